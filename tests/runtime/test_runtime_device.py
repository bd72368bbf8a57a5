"""Finding GPUs, and what users are told where there are none."""

import subprocess
import sys
from typing import Any

import pytest

from sparsert_ir.errors import (
    ArchitectureError,
    ArgumentError,
    DeviceError,
    DeviceMemoryError,
    NoDeviceError,
)
from sparsert_ir.runtime import device, driver
from sparsert_ir.runtime.device import Gpu, Probe, find_gpu, probe_gpus, require_gpu
from sparsert_ir.runtime.driver import driver_error

FAKE_GPU = Gpu(ordinal=0, name="Fake", arch="sm_90", multiprocessors=132, memory=2**37)


def set_probe(monkeypatch: pytest.MonkeyPatch, probe: Probe) -> None:
    monkeypatch.setattr(device, "probe_gpus", lambda: probe)


def test_importing_the_runtime_imports_no_cuda() -> None:
    modules = "device, program, cache, arrays, launch, timing"
    code = (
        f"import sys; from sparsert_ir.runtime import {modules};"
        "sys.exit(any(name.split('.')[0] == 'cuda' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_probing_never_raises_and_gives_a_reason_without_gpu() -> None:
    probe = probe_gpus()
    assert bool(probe.gpus) != bool(probe.reason)
    assert (find_gpu() is None) == (not probe.gpus)


def test_no_gpu_says_why_and_what_to_do() -> None:
    reason = probe_gpus().reason
    if not reason:
        pytest.skip("this machine has a GPU")
    with pytest.raises(NoDeviceError, match='target="cpu"') as caught:
        require_gpu()
    assert reason in str(caught.value)


@pytest.mark.parametrize("failure", [ImportError("no cuda"), OSError("libcuda is broken")])
def test_a_broken_installation_is_a_reason_not_an_error(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def load_nothing() -> Any:
        raise failure

    monkeypatch.setattr(device, "load_driver", load_nothing)
    probe = probe_gpus.__wrapped__()
    assert probe.gpus == ()
    assert str(failure) in probe.reason


def test_a_driver_without_gpus_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class EmptyDriver:
        def cuInit(self, flags: int) -> tuple[int]:  # noqa: N802
            return (0,)

        def cuDeviceGetCount(self) -> tuple[int, int]:  # noqa: N802
            return 0, 0

    monkeypatch.setattr(device, "load_driver", EmptyDriver)
    assert "reports no GPU" in probe_gpus.__wrapped__().reason


def test_gpus_are_found_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    set_probe(monkeypatch, Probe((FAKE_GPU,), 13000))
    assert find_gpu() == find_gpu(0) == FAKE_GPU
    assert find_gpu(1) is None
    assert find_gpu(-1) is None
    with pytest.raises(ArgumentError, match="from 0 to 0, got 3"):
        require_gpu(3)


def test_gpu_describes_itself(gpu: Gpu) -> None:
    assert gpu.arch.startswith("sm_")
    assert gpu.multiprocessors > 0
    assert gpu.memory > 2**30
    assert probe_gpus().driver_version >= 12000


class FakeStatus(int):
    """A status of the driver, whose name it knows."""

    @property
    def name(self) -> str:
        return f"CUDA_ERROR_{int(self)}"


@pytest.mark.parametrize(
    ("code", "log", "expected", "advice"),
    [
        (2, "", DeviceMemoryError, "free GPU memory"),
        (3, "", DeviceError, "spawn"),
        (209, "", ArchitectureError, ""),
        (222, "", ArchitectureError, "update the GPU's driver"),
        (218, "syntax error", DeviceError, "syntax error"),
        (218, "SM version specified by .target is higher", ArchitectureError, "higher"),
        (700, "", DeviceError, "earlier in this process"),
        (719, "", DeviceError, "earlier in this process"),
    ],
)
def test_driver_failures_become_typed_errors(
    monkeypatch: pytest.MonkeyPatch, code: int, log: str, expected: type, advice: str
) -> None:
    class ExplainingDriver:
        def cuGetErrorString(self, status: int) -> tuple[int, bytes]:  # noqa: N802
            return 0, b"explained"

    monkeypatch.setattr(driver, "load_driver", ExplainingDriver)
    error = driver_error(FakeStatus(code), "launching kernel @k", log)
    assert type(error) is expected
    assert str(error).startswith(f"launching kernel @k: CUDA_ERROR_{code} (explained)")
    assert advice in str(error)
