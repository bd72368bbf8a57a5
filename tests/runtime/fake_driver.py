"""A stand-in for `cuda.bindings.driver`, so that the runtime's own logic runs without a GPU."""

import ctypes
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from sparsert_ir.runtime.device import Gpu, Probe

MODULES = (
    "arrays",
    "device",
    "device_array",
    "device_memory",
    "driver",
    "launch",
    "program",
    "streams",
    "timing",
)
"""The modules of the runtime that call the driver."""


DEVICE_ORDINAL = 9
"""CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL of cuda.h."""

INVALID_VALUE = 1

GET_ATTRIBUTE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.c_int, ctypes.c_uint64
)
"""The type of the C function cuPointerGetAttribute, where the attribute is an int."""


class Names:
    """An enumeration whose members are their own names."""

    def __getattr__(self, name: str) -> str:
        return name


@dataclass(frozen=True)
class Launch:
    """One launch as the driver saw it."""

    function: object
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared_bytes: int
    stream: int
    pointers: tuple[int, ...]
    attributes: tuple[str, ...] = ()


@dataclass
class FakeDriver:
    """Counts what is alive, remembers what it was given, and fails where it is told to.

    owners: the GPU of each address that the driver knows.
    """

    patch: pytest.MonkeyPatch
    arguments: int = 2
    failures: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    log: bytes = b""
    assembled: list[bytes] = field(default_factory=list[bytes])
    loaded: list[bytes] = field(default_factory=list[bytes])
    launches: list[Launch] = field(default_factory=list[Launch])
    attributes_set: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    linkers_alive: int = 0
    modules_alive: int = 0
    context_depth: int = 0
    memory: dict[int, bytes] = field(default_factory=dict[int, bytes])
    owners: dict[int, int] = field(default_factory=dict[int, int])
    waits: int = 0
    lacks_functions: bool = False

    CUjit_option = CUjitInputType = CUfunction_attribute = CUlaunchAttributeID = Names()
    CUlaunchConfig = SimpleNamespace
    CUpointer_attribute = SimpleNamespace(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL=DEVICE_ORDINAL)

    def install(self) -> None:
        for module in MODULES:
            self.patch.setattr(f"sparsert_ir.runtime.{module}.load_driver", lambda: self)
        self.patch.setattr("sparsert_ir.runtime.device.primary_context", self.primary_context)
        self.set_probe(driver_version=13000)

    def primary_context(self, ordinal: int) -> str:
        return f"context {ordinal}"

    def set_probe(self, driver_version: int) -> None:
        gpu = Gpu(ordinal=0, name="Fake", arch="sm_90", multiprocessors=132, memory=2**37)
        probe = Probe((gpu,), driver_version)
        for module in ("device", "program"):
            self.patch.setattr(f"sparsert_ir.runtime.{module}.probe_gpus", lambda: probe)

    def fail(self, function: str, *codes: int, log: bytes = b"") -> None:
        """Let the next calls of `function` return `codes`, one each."""
        self.failures[function] = list(codes)
        self.log = log

    def _status(self, function: str) -> int:
        codes = self.failures.get(function)
        return codes.pop(0) if codes else 0

    def cuGetErrorString(self, status: int) -> tuple[int, bytes]:  # noqa: N802
        return 0, b"explained"

    def __post_init__(self) -> None:
        self._get_attribute = GET_ATTRIBUTE(self._write_owner)

    def _write_owner(self, ordinal: Any, which: int, pointer: int) -> int:
        assert which == DEVICE_ORDINAL
        if pointer not in self.owners:
            return INVALID_VALUE
        ordinal[0] = self.owners[pointer]
        return 0

    def cuGetProcAddress(self, name: bytes, version: int, flags: int) -> tuple[int, int, str]:  # noqa: N802
        assert (name, version, flags) == (b"cuPointerGetAttribute", 4000, 0)
        status = self._status("cuGetProcAddress")
        if self.lacks_functions:
            return status, 0, "VERSION_NOT_SUFFICIENT"
        address = ctypes.cast(self._get_attribute, ctypes.c_void_p).value
        assert address
        return status, address, "SUCCESS"

    def cuPointerGetAttribute(self, which: int, pointer: int) -> tuple[int, int | None]:  # noqa: N802
        """Says 0 for every address that it knows, as some versions of `cuda.bindings` do."""
        assert which == DEVICE_ORDINAL
        return (0, 0) if pointer in self.owners else (INVALID_VALUE, None)

    def cuCtxPushCurrent(self, context: str) -> tuple[int]:  # noqa: N802
        self.context_depth += 1
        return (0,)

    def cuCtxPopCurrent(self) -> tuple[int, str]:  # noqa: N802
        self.context_depth -= 1
        return 0, "context"

    def cuLinkCreate(self, count: int, options: list[str], values: list[Any]) -> tuple[Any, ...]:  # noqa: N802
        assert count == len(options) == len(values)
        self._log_buffer = dict(zip(options, values, strict=True))["CU_JIT_ERROR_LOG_BUFFER"]
        self.linkers_alive += 1
        return 0, "linker"

    def cuLinkAddData(self, linker: str, kind: str, data: bytes, *more: Any) -> tuple[int]:  # noqa: N802
        assert more[0] == len(data)
        self.assembled.append(data)
        self._log_buffer[: len(self.log)] = self.log
        return (self._status("cuLinkAddData"),)

    def cuLinkComplete(self, linker: str) -> tuple[int, int, int]:  # noqa: N802
        binary = b"cubin of " + self.assembled[-1]
        self._binary = ctypes.create_string_buffer(binary)
        return self._status("cuLinkComplete"), ctypes.addressof(self._binary), len(binary)

    def cuLinkDestroy(self, linker: str) -> tuple[int]:  # noqa: N802
        self.linkers_alive -= 1
        return (0,)

    def cuModuleLoadData(self, image: bytes) -> tuple[int, str]:  # noqa: N802
        self.loaded.append(image)
        status = self._status("cuModuleLoadData")
        self.modules_alive += not status
        return status, "module"

    def cuModuleUnload(self, module: str) -> tuple[int]:  # noqa: N802
        self.modules_alive -= 1
        return (0,)

    def cuModuleGetFunction(self, module: str, name: bytes) -> tuple[int, str]:  # noqa: N802
        return self._status("cuModuleGetFunction"), "function"

    def cuFuncGetAttribute(self, which: str, function: str) -> tuple[int, int]:  # noqa: N802
        values = {"NUM_REGS": 40, "LOCAL_SIZE_BYTES": 8, "SHARED_SIZE_BYTES": 1024}
        return 0, values.get(which.removeprefix("CU_FUNC_ATTRIBUTE_"), 512)

    def cuFuncSetAttribute(self, *arguments: Any) -> tuple[int]:  # noqa: N802
        self.attributes_set.append(arguments)
        return (self._status("cuFuncSetAttribute"),)

    def cuLaunchKernel(self, function: object, *more: int) -> tuple[int]:  # noqa: N802
        """Reads the arguments where the real driver would."""
        *sizes, shared_bytes, stream, address, extra = more
        assert extra == 0
        addresses = (ctypes.c_uint64 * self.arguments).from_address(address)
        pointers = tuple(ctypes.c_uint64.from_address(where).value for where in addresses)
        grid, block = tuple(sizes[:3]), tuple(sizes[3:])
        self.launches.append(Launch(function, grid, block, shared_bytes, stream, pointers))
        return (self._status("cuLaunchKernel"),)

    def CUlaunchAttribute(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(value=SimpleNamespace())

    def cuLaunchKernelEx(  # noqa: N802
        self, config: SimpleNamespace, function: object, address: int, extra: int
    ) -> tuple[int]:
        assert len(config.attrs) == config.numAttrs
        grid = (config.gridDimX, config.gridDimY, config.gridDimZ)
        block = (config.blockDimX, config.blockDimY, config.blockDimZ)
        fixed = (*grid, *block, config.sharedMemBytes, config.hStream)
        (status,) = self.cuLaunchKernel(function, *fixed, address, extra)
        attributes = tuple(attribute.id for attribute in config.attrs)
        self.launches[-1] = replace(self.launches[-1], attributes=attributes)
        return (status,)

    def cuMemAlloc(self, size: int) -> tuple[int, int]:  # noqa: N802
        status = self._status("cuMemAlloc")
        pointer = 0x100000 * (1 + len(self.memory))
        if not status:
            self.memory[pointer] = b""
        return status, pointer

    def cuMemFree(self, pointer: int) -> tuple[int]:  # noqa: N802
        del self.memory[pointer]
        return (0,)

    def cuMemcpyHtoDAsync(  # noqa: N802
        self, pointer: int, address: int, size: int, stream: int
    ) -> tuple[int]:
        status = self._status("cuMemcpyHtoDAsync")
        if not status:
            self.memory[pointer] = ctypes.string_at(address, size)
        return (status,)

    def cuMemcpyDtoH(self, address: int, pointer: int, size: int) -> tuple[int]:  # noqa: N802
        status = self._status("cuMemcpyDtoH")
        if not status:
            ctypes.memmove(address, self.memory[pointer], size)
        return (status,)

    def cuStreamSynchronize(self, stream: int) -> tuple[int]:  # noqa: N802
        return (self._status("cuStreamSynchronize"),)

    def cuCtxSynchronize(self) -> tuple[int]:  # noqa: N802
        self.waits += 1
        return (self._status("cuCtxSynchronize"),)
