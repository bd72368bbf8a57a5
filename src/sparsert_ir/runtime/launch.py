"""Calling a loaded kernel on the caller's arrays, with everything checked before the launch."""

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt

from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.errors import CallError, DeviceError
from sparsert_ir.gpu_facts import STATIC_SHARED_MEMORY
from sparsert_ir.runtime.arrays import (
    ArrayLibrary,
    ArrayView,
    Wanted,
    library_of,
)
from sparsert_ir.runtime.device import current_gpu
from sparsert_ir.runtime.device_memory import DeviceMemory
from sparsert_ir.runtime.driver import (
    INVALID_CONTEXT,
    INVALID_HANDLE,
    check,
    driver_error,
    load_driver,
)
from sparsert_ir.runtime.program import LoadedKernel
from sparsert_ir.runtime.streams import stream_handle

Extent: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class KernelSignature:
    """What a kernel computes on: `y[y_shape] = kernel(x[x_shape][, residual[y_shape]])`.

    dtype:        element type of all arrays, "f32", "f16" or "bf16".
    has_residual: whether there is a residual.
    alignment:    bytes; what the addresses of all arrays must be a multiple of.
    """

    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    dtype: str
    has_residual: bool = False
    alignment: int = 16


@dataclass(frozen=True, kw_only=True)
class LaunchShape:
    """How a kernel is launched.

    grid, block:  blocks in the grid and threads in a block (x, y, z).
    shared_bytes: dynamic shared memory per block.
    overlapped:   the kernel may start while the one before it on the stream runs (programmatic
                  dependent launch): it waits itself before it touches what that one writes.
    """

    grid: Extent
    block: Extent
    shared_bytes: int = 0
    overlapped: bool = False


class GpuKernel:
    """A callable `y = kernel(x, residual=None, out=None, stream=None)` on arrays of one GPU.

    Guaranteed: arguments are checked before anything is launched; the call returns without
    waiting for the GPU; with `out=` it allocates nothing on the GPU and can be captured in a CUDA
    graph; any number of threads may call it.
    Not guaranteed: no gradient is recorded; an array must stay alive, and unchanged by other
    streams, until the kernel has run.
    """

    def __init__(
        self,
        kernel: LoadedKernel,
        signature: KernelSignature,
        shape: LaunchShape,
        constants: Sequence[npt.NDArray[Any]] = (),
    ):
        """constants: arrays that are copied to the GPU now; each launch passes them after y.

        Raises DeviceError for a launch shape that the GPU cannot run, DeviceMemoryError.
        """
        self.kernel = kernel
        self.signature = signature
        self.shape = shape
        _require_launchable(kernel, shape)
        self._constants = [
            DeviceMemory.copy_of(array, kernel.gpu.ordinal, " for a packed matrix")
            for array in constants
        ]
        pointers = [constant.pointer for constant in self._constants]
        self._arguments = LaunchArguments(shape, 3 if signature.has_residual else 2, pointers)
        driver = load_driver()
        self._launch_kernel = driver.cuLaunchKernel
        self._launch_overlapped = driver.cuLaunchKernelEx if shape.overlapped else None
        self._fixed = (kernel.function, *shape.grid, *shape.block, shape.shared_bytes)
        self._y_bytes = _byte_count(signature.y_shape, signature.dtype)
        self._x_bytes = _byte_count(signature.x_shape, signature.dtype)
        mask = signature.alignment - 1
        self._x_wanted, self._y_wanted = (
            Wanted(shape, signature.dtype, kernel.gpu.ordinal, mask)
            for shape in (signature.x_shape, signature.y_shape)
        )

    def __repr__(self) -> str:
        return f"GpuKernel(@{self.kernel.name} on {self.kernel.gpu.name})"

    def __call__(
        self,
        x: object,
        residual: object = None,
        out: object = None,
        stream: object = None,
    ) -> Any:
        """Launch on `stream`, or the stream on which the library of `x` works; returns y.

        x, residual: contiguous arrays on the kernel's GPU: torch, cupy, or anything with
                     `__cuda_array_interface__` or `__dlpack__`.
        out:         y, in the same terms; it must not overlap an input. Allocated by the library
                     of `x` if None.
        stream:      a handle, a stream of torch or cupy, or an object with `__cuda_stream__`.
        Raises CallError for an argument that the kernel cannot run on, DeviceError if the launch
        failed or the GPU reports an earlier failure, and what the library of `x` raises where it
        has no memory for y.
        """
        given = None if stream is None else self._handle(stream)
        try:
            library = library_of(type(x))
            handle = library.current_stream(x) if given is None else given
            if out is None and library.pointer_if(x, self._x_wanted):
                out = library.empty(x, self.signature.y_shape, given)
            if (
                type(out) is type(x)
                and residual is None
                and self._launch_plain(library, x, out, handle)
            ):
                return out
            x_view = library.view(x, handle)
        except CallError as error:
            raise self._named(error, "x") from error
        self._check("x", x_view, self.signature.x_shape)
        inputs = (x_view,)
        if residual is not None or self.signature.has_residual:
            inputs = (x_view, self._residual_view(residual, handle))
        y: object = library.empty(x, self.signature.y_shape, given) if out is None else out
        y_view = self._view("out", y, handle)
        self._check_output(y_view, inputs)
        self._launch((*inputs, y_view), handle)
        return y

    def _launch_plain(self, library: ArrayLibrary, x: object, y: object, handle: int) -> bool:
        """Launch on two arrays that are just as expected; False, and no launch, for any others."""
        x_pointer = library.pointer_if(x, self._x_wanted)
        y_pointer = library.pointer_if(y, self._y_wanted)
        apart = x_pointer >= y_pointer + self._y_bytes or y_pointer >= x_pointer + self._x_bytes
        if not (x_pointer and y_pointer and apart) or self.signature.has_residual:
            return False
        self._launch_at((x_pointer, y_pointer), handle)
        return True

    def _handle(self, stream: object) -> int:
        try:
            return stream_handle(stream)
        except CallError as error:
            raise self._named(error, "stream") from error

    def _view(self, role: str, array: object, handle: int) -> ArrayView:
        try:
            return library_of(type(array)).view(array, handle)
        except CallError as error:
            raise self._named(error, role) from error

    def _residual_view(self, residual: object, handle: int) -> ArrayView:
        if residual is None:
            raise self._refusal("residual", "an array, which the kernel adds", "None")
        if not self.signature.has_residual:
            raise self._refusal("residual", "None: this kernel adds no residual", "an array")
        view = self._view("residual", residual, handle)
        self._check("residual", view, self.signature.y_shape)
        return view

    def _check(self, role: str, view: ArrayView, shape: tuple[int, ...]) -> None:
        signature = self.signature
        if (
            view.device != self.kernel.gpu.ordinal
            or view.dtype != signature.dtype
            or view.shape != shape
            or not view.contiguous
            or view.pointer % signature.alignment
        ):
            raise self._explain(role, view, shape)

    def _explain(self, role: str, view: ArrayView, shape: tuple[int, ...]) -> CallError:
        """The first reason why `view` is refused."""
        ordinal, signature = self.kernel.gpu.ordinal, self.signature
        if view.device != ordinal:
            got = "memory of the host" if view.device is None else f"memory of GPU {view.device}"
            return self._refusal(role, f"memory of GPU {ordinal}", got)
        if view.dtype != signature.dtype:
            return self._refusal(role, f"element type {signature.dtype}", view.dtype)
        if view.shape != shape:
            return self._refusal(role, f"shape {shape}", str(tuple(view.shape)))
        if not view.contiguous:
            return self._refusal(role, "row-major elements without gaps", "other strides; copy it")
        expected = f"an address that is a multiple of {signature.alignment}"
        return self._refusal(role, expected, f"{view.pointer:#x}; copy it")

    def _check_output(self, y: ArrayView, inputs: tuple[ArrayView, ...]) -> None:
        self._check("out", y, self.signature.y_shape)
        if y.readonly:
            raise self._refusal("out", "an array that may be written", "a read-only one")
        end = y.pointer + self._y_bytes
        for view, role, size in zip(
            inputs, ("x", "residual"), (self._x_bytes, self._y_bytes), strict=False
        ):
            if view.pointer < end and y.pointer < view.pointer + size:
                raise self._refusal("out", "memory of its own", f"memory that overlaps {role}")

    def _refusal(self, role: str, expected: str, got: str) -> CallError:
        return CallError(f"kernel @{self.kernel.name}: {role}: expected {expected}, got {got}")

    def _named(self, error: CallError, role: str) -> CallError:
        return CallError(f"kernel @{self.kernel.name}: {role}: {error}")

    def _launch(self, views: tuple[ArrayView, ...], stream: int) -> None:
        self._launch_at(tuple(view.pointer for view in views), stream)

    def _launch_at(self, addresses: tuple[int, ...], stream: int) -> None:
        self._arguments.pointers[: len(addresses)] = addresses
        (status,) = self._launch_once(stream)
        if status:
            self._launch_in_context(status, stream)

    def _launch_once(self, stream: int) -> tuple[Any]:
        """Launch with the thread's arguments; returns the driver's status."""
        arguments = self._arguments
        if self._launch_overlapped is None:
            return self._launch_kernel(*self._fixed, stream, arguments.address, 0)
        arguments.config.hStream = stream
        function = self.kernel.function
        return self._launch_overlapped(arguments.config, function, arguments.address, 0)

    def _launch_in_context(self, status: Any, stream: int) -> None:
        """Launch again in the kernel's context if `status` says that another one is current.

        A thread that has not used the GPU yet, or works with another GPU, gets here.
        """
        doing = f"kernel @{self.kernel.name}: launching it on GPU {self.kernel.gpu.ordinal}"
        if int(status) not in (INVALID_CONTEXT, INVALID_HANDLE):
            raise driver_error(status, doing)
        with current_gpu(self.kernel.gpu.ordinal):
            check(self._launch_once(stream), doing)

    def replace_constant(self, number: int, array: npt.NDArray[Any]) -> None:
        """Overwrite a constant with another array of its size, once all of the GPU's work is done.

        Raises DeviceError; the constant is the old one then.
        """
        with current_gpu(self.kernel.gpu.ordinal):
            check(load_driver().cuCtxSynchronize(), "waiting for the GPU")
        self._constants[number].write(array)


class LaunchArguments(threading.local):
    """What the driver reads at a launch, once for each thread that calls.

    pointers: the kernel's arguments; the arrays of a call come first, then the constants.
    address:  of the array of their addresses.
    config:   of a launch that overlaps the one before it, else None.
    """

    def __init__(self, shape: LaunchShape, arrays: int, constants: Sequence[int]) -> None:
        count = arrays + len(constants)
        self.pointers = (ctypes.c_uint64 * count)(*[0] * arrays, *constants)
        first = ctypes.addressof(self.pointers)
        step = ctypes.sizeof(ctypes.c_uint64)
        self._addresses = (ctypes.c_void_p * count)(*(first + step * i for i in range(count)))
        self.address = ctypes.addressof(self._addresses)
        self.config: Any = _overlapped_config(shape) if shape.overlapped else None


def _overlapped_config(shape: LaunchShape) -> Any:
    driver = load_driver()
    attribute = driver.CUlaunchAttribute()
    attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
    attribute.value.programmaticStreamSerializationAllowed = 1
    config = driver.CUlaunchConfig()
    config.gridDimX, config.gridDimY, config.gridDimZ = shape.grid
    config.blockDimX, config.blockDimY, config.blockDimZ = shape.block
    config.sharedMemBytes = shape.shared_bytes
    config.attrs = [attribute]
    config.numAttrs = 1
    return config


def _byte_count(shape: tuple[int, ...], dtype: str) -> int:
    count = ELEMENT_BYTES[dtype]
    for extent in shape:
        count *= extent
    return count


def _require_launchable(kernel: LoadedKernel, shape: LaunchShape) -> None:
    """Refuse blocks that are too large, and ask the driver for much shared memory."""
    driver = load_driver()
    x, y, z = shape.block
    if x * y * z > kernel.max_threads:
        raise DeviceError(
            f"kernel @{kernel.name}: expected at most {kernel.max_threads} threads per block with"
            f" {kernel.registers} registers each, got {x * y * z}; choose a smaller block"
        )
    if shape.shared_bytes <= STATIC_SHARED_MEMORY - kernel.shared_bytes:
        return
    doing = f"kernel @{kernel.name}: asking for {shape.shared_bytes} bytes of shared memory"
    which = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    with current_gpu(kernel.gpu.ordinal):
        check(driver.cuFuncSetAttribute(kernel.function, which, shape.shared_bytes), doing)
