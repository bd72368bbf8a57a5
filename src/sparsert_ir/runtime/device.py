"""Which GPUs there are, and making one of them current."""

import functools
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sparsert_ir.errors import ArgumentError, NoDeviceError
from sparsert_ir.runtime.driver import check, load_driver


@dataclass(frozen=True)
class Gpu:
    """One CUDA device.

    ordinal:         its number in this process, from 0 (CUDA_VISIBLE_DEVICES applies).
    arch:            "sm_" and the compute capability without its dot, such as "sm_90".
    multiprocessors: how many it has.
    memory:          bytes of device memory.
    """

    ordinal: int
    name: str
    arch: str
    multiprocessors: int
    memory: int


@dataclass(frozen=True)
class Probe:
    """What looking for GPUs found; `reason` says why there are none."""

    gpus: tuple[Gpu, ...]
    driver_version: int = 0
    reason: str = ""


@functools.cache
def probe_gpus() -> Probe:
    """Look for GPUs, once per process. Never raises: a broken driver is a reason, too.

    driver_version is CUDA's number for the newest CUDA that the driver supports (13.0: 13000).
    """
    try:
        return _probe()
    except ImportError as error:
        return Probe((), reason=f"the package cuda-python is not usable ({error})")
    except Exception as error:
        # Whatever a missing, broken or mismatched driver does to the bindings ends up here.
        return Probe((), reason=f"the NVIDIA driver is not usable ({error})")


def _probe() -> Probe:
    driver = load_driver()
    check(driver.cuInit(0), "starting CUDA")
    count = check(driver.cuDeviceGetCount(), "counting the GPUs")
    if count == 0:
        return Probe((), reason="the NVIDIA driver reports no GPU")
    version = check(driver.cuDriverGetVersion(), "asking for the driver's version")
    return Probe(tuple(_describe(ordinal) for ordinal in range(count)), version)


def _describe(ordinal: int) -> Gpu:
    driver = load_driver()
    doing = f"asking for the properties of GPU {ordinal}"
    device = check(driver.cuDeviceGet(ordinal), doing)

    def attribute(name: str) -> int:
        which = getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(check(driver.cuDeviceGetAttribute(which, device), doing))

    major = attribute("COMPUTE_CAPABILITY_MAJOR")
    minor = attribute("COMPUTE_CAPABILITY_MINOR")
    name: bytes = check(driver.cuDeviceGetName(128, device), doing)
    return Gpu(
        ordinal,
        name.partition(b"\0")[0].decode().strip(),
        f"sm_{major}{minor}",
        attribute("MULTIPROCESSOR_COUNT"),
        int(check(driver.cuDeviceTotalMem(device), doing)),
    )


def find_gpu(ordinal: int | None = None) -> Gpu | None:
    """GPU number `ordinal` (the first one by default), or None; `probe_gpus().reason` says why."""
    gpus = probe_gpus().gpus
    wanted = 0 if ordinal is None else ordinal
    return gpus[wanted] if 0 <= wanted < len(gpus) else None


def require_gpu(ordinal: int | None = None) -> Gpu:
    """GPU number `ordinal` (the first one by default).

    Raises NoDeviceError where there is no usable GPU, ArgumentError for a number too large.
    """
    gpu = find_gpu(ordinal)
    if gpu is not None:
        return gpu
    probe = probe_gpus()
    if not probe.gpus:
        raise NoDeviceError(
            f"expected an NVIDIA GPU with its driver, got none: {probe.reason};"
            ' compile with target="cpu" instead'
        )
    raise ArgumentError(f"expected a GPU number from 0 to {len(probe.gpus) - 1}, got {ordinal}")


@functools.cache
def primary_context(ordinal: int) -> Any:
    """The context of a GPU that torch, cupy and the CUDA runtime share; kept for the process."""
    driver = load_driver()
    doing = f"opening GPU {ordinal}"
    device = check(driver.cuDeviceGet(ordinal), doing)
    return check(driver.cuDevicePrimaryCtxRetain(device), doing)


@contextmanager
def current_gpu(ordinal: int) -> Generator[None]:
    """Driver calls inside the `with` act on GPU `ordinal`; the caller's context comes back."""
    driver = load_driver()
    doing = f"switching to GPU {ordinal}"
    check(driver.cuCtxPushCurrent(primary_context(ordinal)), doing)
    try:
        yield
    finally:
        check(driver.cuCtxPopCurrent(), doing)
