"""Calls of the CUDA driver, with its failures as this package's errors."""

import ctypes
import importlib
from collections.abc import Callable
from typing import Any

from sparsert_ir.errors import ArchitectureError, DeviceError, DeviceMemoryError

OUT_OF_MEMORY = 2
NOT_INITIALIZED = 3
INVALID_CONTEXT = 201
INVALID_HANDLE = 400

_ARCHITECTURE_CODES = frozenset({209, 222, 223})
"""NO_BINARY_FOR_GPU, UNSUPPORTED_PTX_VERSION, JIT_COMPILATION_DISABLED."""

_STICKY_CODES = frozenset({214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721})
"""Errors after which every call in the process fails: the CUDA context is lost."""

_ADVICE = {
    OUT_OF_MEMORY: "free GPU memory, or use a smaller N",
    NOT_INITIALIZED: "CUDA does not survive a fork: start worker processes with 'spawn'",
    222: "update the GPU's driver, or compile for an older architecture",
}
_STICKY_ADVICE = "work launched earlier in this process failed and took the GPU's context with it"


def load_driver() -> Any:
    """The module `cuda.bindings.driver`, which has no type information; ImportError without it."""
    return importlib.import_module("cuda.bindings.driver")


def c_function(name: str, version: int, *types: Any) -> Callable[..., int]:
    """The driver's own function `name`, for what `cuda.bindings` gets wrong; returns the status.

    version: CUDA's number for when the function became what it is, as in cudaTypedefs.h.
    types:   of its arguments, of ctypes.
    Raises DeviceError for a driver without it.
    """
    found = load_driver().cuGetProcAddress(name.encode(), version, 0)
    address, outcome = check(found, f"looking for {name} in the driver")
    if not address:
        raise DeviceError(f"expected a driver with {name}, got {outcome}")
    return ctypes.CFUNCTYPE(ctypes.c_int, *types)(address)


def check(result: tuple[Any, ...], doing: str) -> Any:
    """What a function of `cuda.bindings.driver` returned besides its status.

    doing: what was attempted, for the message of the DeviceError raised on failure.
    """
    status, *values = result
    if status:
        raise driver_error(status, doing)
    return values[0] if len(values) == 1 else values


def driver_error(status: Any, doing: str, log: str = "") -> DeviceError:
    """The error of this package for a failed driver call; `log` is the assembler's."""
    code = int(status)
    advice = _STICKY_ADVICE if code in _STICKY_CODES else _ADVICE.get(code, "")
    message = f"{doing}: {_status_text(status)}"
    message += f"; {advice}" if advice else ""
    message += f"\nassembler log:\n{log}" if log else ""
    return _error_class(code, log)(message)


def _error_class(code: int, log: str) -> type[DeviceError]:
    if code == OUT_OF_MEMORY:
        return DeviceMemoryError
    # The assembler reports a .target that is too new as malformed PTX.
    if code in _ARCHITECTURE_CODES or "SM version specified by .target" in log:
        return ArchitectureError
    return DeviceError


def _status_text(status: Any) -> str:
    """The driver's name of the error and its one-line explanation."""
    name = getattr(status, "name", f"CUDA error {int(status)}")
    failed, explanation = load_driver().cuGetErrorString(status)
    return name if failed else f"{name} ({explanation.decode()})"
