"""What a benchmark ran on."""

import contextlib
import platform
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sparsert_ir.cost_model.limits import GpuLimits, limits_of
from sparsert_ir.runtime.device import probe_gpus, require_gpu
from sparsert_ir.runtime.driver import check, load_driver
from sparsert_ir.targets import nearest_architecture

_PACKAGES = ("sparsert_ir", "xdsl", "llvmlite", "torch", "cupy-cuda13x", "cupy", "gimmik")


@dataclass(frozen=True)
class Machine:
    """clock_ghz: the highest clock of the multiprocessors; driver: the newest CUDA it supports."""

    gpu: str
    arch: str
    multiprocessors: int
    clock_ghz: float
    l2_bytes: int
    driver: int
    python: str
    versions: dict[str, str]

    def limits(self, bytes_per_second: float | None) -> GpuLimits:
        """What this GPU can do at most, with its own clock and measured memory."""
        known = limits_of(nearest_architecture(self.arch))
        return replace(
            known,
            name=self.gpu,
            multiprocessors=self.multiprocessors,
            clock_ghz=self.clock_ghz,
            l2_bytes=self.l2_bytes,
            bytes_per_second=bytes_per_second or known.bytes_per_second,
        )

    def record(self) -> dict[str, Any]:
        return asdict(self)


def this_machine() -> Machine:
    """Raises NoDeviceError where there is no GPU."""
    gpu = require_gpu()
    return Machine(
        gpu=gpu.name,
        arch=gpu.arch,
        multiprocessors=gpu.multiprocessors,
        clock_ghz=_attribute("CLOCK_RATE") / 1e6,
        l2_bytes=_attribute("L2_CACHE_SIZE"),
        driver=probe_gpus().driver_version,
        python=platform.python_version(),
        versions=_versions(),
    )


def _attribute(name: str) -> int:
    driver = load_driver()
    which = getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
    device = check(driver.cuDeviceGet(0), "finding the GPU")
    return int(check(driver.cuDeviceGetAttribute(which, device), f"asking for {name}"))


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    with contextlib.suppress(ImportError):
        found["cuda of torch"] = str(import_module("torch").version.cuda)
    return found


def bandwidth() -> float:
    """Bytes per second of a copy of 1 GiB in device memory, read and written bytes together."""
    from sparsert_ir.runtime.timing import time_launches

    torch: Any = import_module("torch")
    source = torch.empty(2**28, dtype=torch.float32, device="cuda").normal_()
    target = torch.empty_like(source)
    timing = time_launches(lambda: target.copy_(source), repeats=4, replays=5)
    return 2 * source.numel() * 4 / (timing.median_us * 1e-6)
