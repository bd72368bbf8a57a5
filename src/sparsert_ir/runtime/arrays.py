"""Arrays of any GPU library, read without a copy: torch, cupy, and the two exchange protocols.

An `ArrayLibrary` answers for all arrays of one type how to read one, on which stream its library
works, and how to make another; `library_of` finds it once per type.
"""

import ctypes
import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from sparsert_ir.element_types import DTYPES, numpy_type
from sparsert_ir.errors import CallError
from sparsert_ir.runtime.device_array import ResultArray
from sparsert_ir.runtime.driver import c_function, load_driver
from sparsert_ir.runtime.streams import cupy_stream, order_after

DTYPE_NAMES = {"<f4": "f32", "<f2": "f16", "<V2": "bf16"}
"""Element types of kernels, by numpy's notation; that of bf16 is what ml_dtypes makes it."""


class ArrayView(NamedTuple):
    """What a kernel must know of an array.

    pointer:    address of the first element.
    dtype:      "f32", "f16", "bf16", or the library's name of any other type.
    contiguous: whether the elements lie in row-major order without gaps.
    device:     number of the GPU that holds it, None for memory that no GPU owns.
    readonly:   whether its owner forbids writing.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: str
    contiguous: bool
    device: int | None
    readonly: bool


class Wanted(NamedTuple):
    """What a kernel expects of an array.

    device: number of the GPU. alignment_mask: bits of the address that must be 0.
    """

    shape: tuple[int, ...]
    dtype: str
    device: int
    alignment_mask: int


class ArrayLibrary(Protocol):
    """How the arrays of one type are read and made."""

    def current_stream(self, array: Any) -> int:
        """Handle of the stream on which the library works with `array` now."""
        ...

    def view(self, array: Any, stream: int) -> ArrayView:
        """Read `array` for use on `stream`; the host never waits."""
        ...

    def pointer_if(self, array: Any, wanted: Wanted) -> int:
        """The address of an array that is contiguous and all that is wanted.

        0 for every other array, and for one that takes a closer look: `view` then tells more.
        """
        ...

    def empty(self, like: Any, shape: tuple[int, ...], stream: int | None) -> Any:
        """A new array of the type and on the device of `like`.

        stream: where it will be used, None for the library's current stream.
        """
        ...


class TorchLibrary:
    """torch.Tensor."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._dtypes: dict[Any, str] = {
            torch.float32: "f32",
            torch.float16: "f16",
            torch.bfloat16: "bf16",
        }
        self._by_name: dict[str, Any] = {name: dtype for dtype, name in self._dtypes.items()}
        # What torch.cuda.current_stream wraps into a Python object, at a tenth of its cost.
        self._raw_stream = getattr(torch._C, "_cuda_getCurrentRawStream", None)

    def current_stream(self, array: Any) -> int:
        if not array.is_cuda:
            return 0
        ordinal = array.device.index
        if self._raw_stream is not None:
            return self._raw_stream(ordinal)
        return self._torch.cuda.current_stream(ordinal).cuda_stream

    def view(self, array: Any, stream: int) -> ArrayView:
        dtype = array.dtype
        try:
            return ArrayView(
                array.data_ptr(),
                array.shape,
                self._dtypes.get(dtype) or str(dtype),
                array.is_contiguous(),
                array.device.index if array.is_cuda else None,
                False,
            )
        except RuntimeError as error:
            # Sparse, fake and wrapped tensors have no address.
            raise CallError(f"expected a tensor in dense storage, got {error}") from error

    def pointer_if(self, array: Any, wanted: Wanted) -> int:
        try:
            if (
                array.dtype is self._by_name[wanted.dtype]
                and array.shape == wanted.shape
                and array.is_contiguous()
                and array.get_device() == wanted.device
            ):
                pointer: int = array.data_ptr()
                return 0 if pointer & wanted.alignment_mask else pointer
        except RuntimeError:
            # Sparse, fake and wrapped tensors have no address.
            pass
        return 0

    def empty(self, like: Any, shape: tuple[int, ...], stream: int | None) -> Any:
        torch = self._torch
        if stream is None:
            return torch.empty(shape, dtype=like.dtype, device=like.device)
        # The allocator hands memory out again in the order of the stream it was allocated on.
        with torch.cuda.stream(torch.cuda.ExternalStream(stream, device=like.device)):
            return torch.empty(shape, dtype=like.dtype, device=like.device)


class _CloserLook:
    """A library whose arrays are read by `view` alone."""

    def pointer_if(self, array: Any, wanted: Wanted) -> int:
        return 0


class CupyLibrary(_CloserLook):
    """cupy.ndarray."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy

    def current_stream(self, array: Any) -> int:
        return self._cupy.cuda.get_current_stream(array.data.device_id).ptr

    def view(self, array: Any, stream: int) -> ArrayView:
        dtype: str = array.dtype.str
        return ArrayView(
            array.data.ptr,
            array.shape,
            DTYPE_NAMES.get(dtype, dtype),
            array.flags.c_contiguous,
            array.data.device_id,
            False,
        )

    def empty(self, like: Any, shape: tuple[int, ...], stream: int | None) -> Any:
        cupy = self._cupy
        with like.device:
            if stream is None:
                return cupy.empty(shape, dtype=like.dtype)
            with like.device, cupy_stream(cupy, stream):
                return cupy.empty(shape, dtype=like.dtype)


class CudaArrayInterfaceLibrary(_CloserLook):
    """Objects with `__cuda_array_interface__`, version 3 (numba's documentation defines it)."""

    def current_stream(self, array: Any) -> int:
        return _interface(array).get("stream") or 0

    def view(self, array: Any, stream: int) -> ArrayView:
        interface = _interface(array)
        order_after(interface.get("stream"), stream)
        pointer, readonly = interface["data"]
        shape = tuple(interface["shape"])
        typestr: str = interface["typestr"]
        strides = interface.get("strides")
        return ArrayView(
            pointer,
            shape,
            DTYPE_NAMES.get(typestr, typestr),
            strides is None or is_contiguous(shape, strides, int(typestr[2:])),
            self.device_of(pointer),
            bool(readonly),
        )

    def empty(self, like: Any, shape: tuple[int, ...], stream: int | None) -> Any:
        return _device_array(self, like, shape, stream)

    def device_of(self, pointer: int) -> int | None:
        """The GPU that owns an address, None if no GPU does: the interface does not tell."""
        which = load_driver().CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        ordinal = ctypes.c_int()
        status = self._get_attribute(ctypes.byref(ordinal), int(which), pointer)
        # The driver has negative numbers for memory that it knows and that is on no GPU.
        return None if status or ordinal.value < 0 else ordinal.value

    @functools.cached_property
    def _get_attribute(self) -> Callable[..., int]:
        # That of cuda.bindings says 0 for every address from 13.2.0 to 13.4.2.
        types = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64)
        return c_function("cuPointerGetAttribute", 4000, *types)


class DlpackLibrary(_CloserLook):
    """Objects with `__dlpack__`: the producer makes its data safe to use on the kernel's stream."""

    def current_stream(self, array: Any) -> int:
        return 0

    def view(self, array: Any, stream: int) -> ArrayView:
        kind, ordinal = array.__dlpack_device__()
        if kind not in _DLPACK_CUDA_DEVICES:
            return ArrayView(0, (), "", False, None, False)
        views: Any = importlib.import_module("cuda.core.utils").StridedMemoryView
        try:
            # DLPack's number of the default stream is 1.
            view = views.from_dlpack(array, stream or 1)
        except (BufferError, TypeError, ValueError, NotImplementedError) as error:
            raise CallError(f"expected an array that DLPack can export, got {error}") from error
        dtype = "" if view.dtype is None else view.dtype.str
        contiguous = view.strides is None or is_contiguous(view.shape, view.strides, 1)
        name = DTYPE_NAMES.get(dtype, dtype)
        return ArrayView(view.ptr, tuple(view.shape), name, contiguous, ordinal, view.readonly)

    def empty(self, like: Any, shape: tuple[int, ...], stream: int | None) -> Any:
        return _device_array(self, like, shape, stream)


_DLPACK_CUDA_DEVICES = frozenset({2, 13})
"""kDLCUDA and kDLCUDAManaged of dlpack.h."""


@functools.cache
def library_of(kind: type[object]) -> ArrayLibrary:
    """The library for arrays of type `kind`; CallError for a type that is no array."""
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and issubclass(kind, torch.Tensor):
        return TorchLibrary(torch)
    if cupy is not None and issubclass(kind, cupy.ndarray):
        return CupyLibrary(cupy)
    if hasattr(kind, "__cuda_array_interface__"):
        return CudaArrayInterfaceLibrary()
    if hasattr(kind, "__dlpack__") and hasattr(kind, "__dlpack_device__"):
        return DlpackLibrary()
    raise CallError(
        "expected an array on a GPU (torch, cupy, or with __cuda_array_interface__ or"
        f" __dlpack__), got {kind.__module__}.{kind.__qualname__}"
    )


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...], unit: int) -> bool:
    """Whether strides are those of row-major order; `unit` is the stride of one element."""
    expected = unit
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent > 1 and stride != expected:
            return False
        expected *= extent
    return True


def _interface(array: Any) -> dict[str, Any]:
    try:
        return array.__cuda_array_interface__
    except AttributeError as error:
        raise CallError(f"expected an array on a GPU, got {error}") from error


def _device_array(
    library: ArrayLibrary, like: Any, shape: tuple[int, ...], stream: int | None
) -> ResultArray:
    handle = library.current_stream(like) if stream is None else stream
    view = library.view(like, handle)
    if view.device is None or view.dtype not in DTYPES:
        expected = f"one of {', '.join(DTYPES)} on a GPU"
        raise CallError(f"expected {expected}, got {view.dtype or 'host memory'}")
    return ResultArray.allocate(view.device, shape, numpy_type(view.dtype).name, handle)
