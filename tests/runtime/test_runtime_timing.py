"""Timing launches."""

from typing import Any

import pytest

from sparsert_ir.errors import ArgumentError, NoDeviceError
from sparsert_ir.runtime.device import find_gpu
from sparsert_ir.runtime.timing import _summarize, time_launches  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "wrong", [{"runs": []}, {"runs": print, "repeats": 0}, {"runs": print, "replays": 0}]
)
def test_nothing_to_time_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="one run, one repeat and one replay or more"):
        time_launches(**wrong)


def test_timing_needs_a_gpu() -> None:
    if find_gpu() is not None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(NoDeviceError):
        time_launches(print)


def test_times_are_per_launch() -> None:
    result = _summarize([float(20 * (i + 1)) for i in range(11)], 20)
    assert (result.min_us, result.p10_us, result.median_us, result.p90_us) == (1.0, 2.0, 6.0, 10.0)
    assert result.launches == 20
