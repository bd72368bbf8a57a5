"""PTX text becomes a kernel that is loaded on a GPU."""

import ctypes
import re
from dataclasses import dataclass, field
from typing import Any

from sparsert_ir.errors import ArchitectureError, ArgumentError
from sparsert_ir.runtime.cache import BinaryCache, cache_key, default_cache
from sparsert_ir.runtime.cubin import code_size
from sparsert_ir.runtime.device import Gpu, current_gpu, probe_gpus, require_gpu
from sparsert_ir.runtime.driver import check, driver_error, load_driver

_ARCHITECTURE = re.compile(r"sm_(\d+)([af]?)")
_LOG_BYTES = 64 * 1024
_OPTIONS = ("cuLink",)
"""What decides the binary besides the PTX; part of the cache's key."""


@dataclass(frozen=True)
class LoadedKernel:
    """A kernel on a GPU, ready to be launched; it stays loaded until `unload()`.

    registers:     per thread.
    spilled_bytes: local memory per thread, 0 when nothing spills.
    code_bytes:    machine code of the kernel.
    shared_bytes:  static shared memory per block.
    max_threads:   per block, given the registers.
    from_cache:    whether the binary came from the disk cache.
    """

    name: str
    gpu: Gpu
    registers: int
    spilled_bytes: int
    code_bytes: int
    shared_bytes: int
    max_threads: int
    from_cache: bool
    function: Any = field(repr=False, compare=False)
    module: Any = field(repr=False, compare=False)

    def unload(self) -> None:
        """Take the code off the GPU; the kernel, and graphs that hold it, must not run again."""
        driver = load_driver()
        with current_gpu(self.gpu.ordinal):
            check(driver.cuModuleUnload(self.module), f"unloading kernel @{self.name}")


def load_kernel(
    ptx: str,
    entry: str,
    arch: str,
    *,
    ordinal: int | None = None,
    cache: BinaryCache | None = None,
) -> LoadedKernel:
    """Assemble `ptx`, or take its binary from the cache, and load the kernel named `entry`.

    arch:    the architecture that the PTX was made for ("sm_90", "sm_90a").
    ordinal: the GPU to load it on, the first one by default.
    cache:   `default_cache()` unless given.
    Raises NoDeviceError; ArchitectureError if the GPU or its driver cannot run code for `arch`;
    DeviceMemoryError; DeviceError with the assembler's log for PTX that it refuses.
    """
    gpu = require_gpu(ordinal)
    require_runnable(arch, gpu, entry)
    cubin, from_cache = assemble_cached(ptx, entry, gpu, cache)
    return load_cubin(cubin, entry, gpu, from_cache=from_cache)


def assemble_cached(
    ptx: str, entry: str, gpu: Gpu, cache: BinaryCache | None = None
) -> tuple[bytes, bool]:
    """The cubin of `ptx` for `gpu`, and whether it came from the cache. Errors as of `load_kernel`.

    Nothing is put on the GPU but the process's context.
    """
    store = default_cache() if cache is None else cache
    key = cache_key(ptx, gpu.arch, _OPTIONS, _versions())
    cached = store.load(key)
    if cached is not None:
        return cached, True
    with current_gpu(gpu.ordinal):
        cubin = assemble(ptx, entry)
    store.store(key, cubin)
    return cubin, False


def require_runnable(arch: str, gpu: Gpu, entry: str) -> None:
    """Raise ArchitectureError unless `gpu` runs PTX made for `arch`.

    PTX for "sm_90" runs on that and every later GPU, for "sm_90a" on sm_90 only, for "sm_100f" on
    that and later GPUs of the same major version (PTX ISA, .target).
    """
    wanted, suffix = _parse(arch)
    have, _ = _parse(gpu.arch)
    same_family = wanted // 10 == have // 10
    runs = {"": wanted <= have, "a": wanted == have, "f": same_family and wanted <= have}
    if not runs[suffix]:
        raise ArchitectureError(
            f"kernel @{entry}: expected code that runs on {gpu.arch} ({gpu.name}),"
            f" got code for {arch}; compile it again for {gpu.arch}"
        )


def _parse(arch: str) -> tuple[int, str]:
    match = _ARCHITECTURE.fullmatch(arch)
    if match is None:
        raise ArgumentError(f"expected an architecture such as 'sm_90' or 'sm_90a', got {arch!r}")
    return int(match[1]), match[2]


def _versions() -> tuple[str, ...]:
    # The assembler is part of the driver.
    return (f"driver {probe_gpus().driver_version}",)


def assemble(ptx: str, entry: str) -> bytes:
    """The cubin of `ptx` for the current GPU, made by the driver's assembler.

    Other Python threads run meanwhile. Errors as of `load_kernel`; `entry` is for messages.
    """
    driver = load_driver()
    option = driver.CUjit_option
    log = bytearray(_LOG_BYTES)
    options: dict[Any, Any] = {
        option.CU_JIT_ERROR_LOG_BUFFER: log,
        option.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES: len(log),
    }
    doing = f"kernel @{entry}: assembling its PTX"
    # The driver keeps addresses out of `options` until the linker is destroyed.
    linker = check(driver.cuLinkCreate(len(options), list(options), list(options.values())), doing)
    try:
        text = ptx.encode() + b"\0"
        kind = driver.CUjitInputType.CU_JIT_INPUT_PTX
        name = entry.encode()
        added = driver.cuLinkAddData(linker, kind, text, len(text), name, 0, [], [])
        _check_assembled(added, doing, log)
        address, size = _check_assembled(driver.cuLinkComplete(linker), doing, log)
        return ctypes.string_at(int(address), size)
    finally:
        driver.cuLinkDestroy(linker)


def _check_assembled(result: tuple[Any, ...], doing: str, log: bytearray) -> list[Any]:
    status, *values = result
    if status:
        text = log.partition(b"\0")[0].decode(errors="replace").strip()
        raise driver_error(status, doing, text)
    return values


def load_cubin(cubin: bytes, entry: str, gpu: Gpu, *, from_cache: bool = False) -> LoadedKernel:
    """Load the kernel named `entry` of a binary that was assembled for `gpu`.

    Raises DeviceError, DeviceMemoryError, or ArchitectureError for a binary of another GPU.
    """
    with current_gpu(gpu.ordinal):
        return _load(cubin, entry, gpu, from_cache=from_cache)


def _load(cubin: bytes, entry: str, gpu: Gpu, *, from_cache: bool) -> LoadedKernel:
    driver = load_driver()
    doing = f"kernel @{entry}: loading it on GPU {gpu.ordinal}"
    module = check(driver.cuModuleLoadData(cubin), doing)
    try:
        function = check(driver.cuModuleGetFunction(module, entry.encode()), doing)

        def attribute(name: str) -> int:
            which = getattr(driver.CUfunction_attribute, f"CU_FUNC_ATTRIBUTE_{name}")
            return int(check(driver.cuFuncGetAttribute(which, function), doing))

        return LoadedKernel(
            name=entry,
            gpu=gpu,
            registers=attribute("NUM_REGS"),
            spilled_bytes=attribute("LOCAL_SIZE_BYTES"),
            code_bytes=code_size(cubin, entry),
            shared_bytes=attribute("SHARED_SIZE_BYTES"),
            max_threads=attribute("MAX_THREADS_PER_BLOCK"),
            from_cache=from_cache,
            function=function,
            module=module,
        )
    except BaseException:
        driver.cuModuleUnload(module)
        raise
