"""bf16: rounding, what is refused, and what conversions in compiled code do."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sparsert_ir
from sparsert_ir.element_types import bfloat16, rounded
from sparsert_ir.errors import ArgumentError, CallError, ScheduleError
from sparsert_ir.schedules.default import default_cpu_schedule

BF16 = bfloat16()
JUST_ABOVE_A_TIE = 1 + 2.0**-8 + 2.0**-40
"""Between two numbers of bf16; its nearest f32 is the middle."""


def of_bits(bits: int) -> float:
    return float(np.array([bits], np.uint16).view(BF16)[0])


@given(value=st.floats(allow_nan=False, allow_infinity=False, width=64))
@example(JUST_ABOVE_A_TIE)
@example(-JUST_ABOVE_A_TIE)
@example(1 + 2.0**-8)
@example(2.0**-133 * 0.5)
@example(2.0**-133 * 0.75)
@example(3.4e38)
def test_numbers_are_rounded_once(value: float) -> None:
    with np.errstate(over="ignore"):
        got = rounded(np.array([value]), BF16)
    bits = int(got.view(np.uint16)[0])
    if np.isinf(got[0]):
        assert abs(value) >= 2.0**127 * (2 - 2.0**-8)
        return
    distance = abs(Fraction(value) - Fraction(float(got[0])))
    for other in (bits - 1, bits + 1):
        if 0 <= other & 0x7FFF < 0x7F80 and other >> 15 == bits >> 15:
            away = abs(Fraction(value) - Fraction(of_bits(other)))
            assert distance < away or (distance == away and bits % 2 == 0)


def test_values_of_a_matrix_are_rounded_once() -> None:
    kernel = sparsert_ir.compile(np.array([[JUST_ABOVE_A_TIE]]), 1, dtype="bf16", target="cpu")
    assert kernel(np.ones((1, 1), BF16))[0, 0] == 1 + 2.0**-7


@pytest.mark.parametrize("staging", ["none", "copy"])
@pytest.mark.parametrize("n", [1, 7, 65536])
def test_every_number_survives_a_product_with_one(n: int, staging: Any) -> None:
    """All bit patterns: zeros, subnormal numbers, infinities and NaNs among them."""
    every = np.arange(65536, dtype=np.uint16).view(BF16)
    x = every[:n].reshape(1, n) if n > 7 else every[0x7F80 - n // 2 :][:n].reshape(1, n)
    schedule = replace(default_cpu_schedule((1, 1), n, "bf16"), staging=staging)
    kernel = sparsert_ir.compile(np.ones((1, 1)), n, dtype="bf16", target="cpu", schedule=schedule)
    y = kernel(np.ascontiguousarray(x))
    np.testing.assert_array_equal(y.astype(np.float32), x.astype(np.float32))


@given(value=st.floats(0, 1, width=32), other=st.floats(-1, 1, width=32))
def test_sums_are_rounded_once_to_nearest(value: float, other: float) -> None:
    """In f32, and then to bf16; ties to even."""
    a, b = (np.array([[number]], np.float32).astype(BF16) for number in (value, other))
    kernel = sparsert_ir.compile(
        np.ones((1, 1)), 1, dtype="bf16", residual=True, target="cpu", lowering="code"
    )
    expected = (a.astype(np.float32) + b.astype(np.float32)).astype(BF16)
    np.testing.assert_array_equal(kernel(a, b), expected)


def test_an_old_gpu_is_refused() -> None:
    for target in ("sm_70", "sm_75"):
        with pytest.raises(ArgumentError, match=f"for {target}, got bf16, which needs .* sm_80"):
            sparsert_ir.compile(np.eye(4), 8, dtype="bf16", target=target)
        with pytest.raises(ArgumentError, match="sm_80 or later, or the CPU"):
            sparsert_ir.compile_conv2d(
                np.ones((2, 2, 3, 3)), (1, 2, 8, 8), dtype="bf16", target=target
            )


@pytest.mark.parametrize("accumulation", ["plain", "folded"])
@pytest.mark.parametrize("target", ["cpu", "sm_90"])
def test_sums_in_bf16_are_refused(target: str, accumulation: Any) -> None:
    schedule = sparsert_ir.Schedule(accumulation=accumulation)
    with pytest.raises(ScheduleError, match="accumulation must be f32 for bf16"):
        sparsert_ir.compile(np.eye(4), 8, dtype="bf16", target=target, schedule=schedule)


def test_arrays_of_another_element_type_are_refused() -> None:
    kernel = sparsert_ir.compile(np.eye(4), 8, dtype="bf16", target="cpu")
    with pytest.raises(CallError, match="expected element type bfloat16, got float16"):
        kernel(np.ones((4, 8), np.float16))
    with pytest.raises(CallError, match="expected element type bfloat16, got"):
        kernel(np.ones((4, 8), "V2"))
