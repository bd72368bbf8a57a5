"""Arrays that claim to be on a GPU, for tests without one."""

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np

CUDA_DEVICE = 2
"""kDLCUDA of dlpack.h."""


class InterfaceArray:
    """An object with `__cuda_array_interface__`."""

    def __init__(self, pointer: int, shape: tuple[int, ...], typestr: str = "<f4", **more: Any):
        self.interface: dict[str, Any] = {
            "data": (pointer, more.pop("readonly", False)),
            "shape": shape,
            "typestr": typestr,
            "strides": None,
            "version": 3,
            "stream": None,
            **more,
        }

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.interface


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("type_code", ctypes.c_uint8),
        ("type_bits", ctypes.c_uint8),
        ("type_lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _DLManagedTensor(ctypes.Structure):
    _fields_ = (
        ("tensor", _DLTensor),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


class DlpackArray:
    """An object with `__dlpack__` in floating point; remembers the consumer's stream."""

    def __init__(
        self,
        pointer: int,
        shape: tuple[int, ...],
        bits: int = 32,
        strides: tuple[int, ...] | None = None,
        device: tuple[int, int] = (CUDA_DEVICE, 0),
    ) -> None:
        extents = ctypes.c_int64 * len(shape)
        self._shape = extents(*shape)
        self._strides = None if strides is None else extents(*strides)
        self._device = device
        tensor = _DLTensor(pointer, *device, len(shape), 2, bits, 1, self._shape, None, 0)
        if self._strides is not None:
            tensor.strides = self._strides
        self._managed = _DLManagedTensor(tensor, None, None)
        self.consumer_stream: int | None = None

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device

    def __dlpack__(self, *, stream: int | None = None, **_: Any) -> Any:
        self.consumer_stream = stream
        new_capsule = ctypes.pythonapi.PyCapsule_New
        new_capsule.restype = ctypes.py_object
        new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return new_capsule(ctypes.addressof(self._managed), b"dltensor", None)


class TorchTensor:
    """What the package reads of a torch.Tensor."""

    def __init__(self, pointer: int, shape: tuple[int, ...], **more: Any) -> None:
        self.pointer = pointer
        self.shape = shape
        self.dtype: Any = more.get("dtype", "torch.float32")
        self.contiguous = more.get("contiguous", True)
        self.is_cuda: bool = more.get("is_cuda", True)
        self.device = SimpleNamespace(index=more.get("index", 0))

    def data_ptr(self) -> int:
        return self.pointer

    def is_contiguous(self) -> bool:
        return self.contiguous


class SparseTorchTensor(TorchTensor):
    """A tensor without an address."""

    def data_ptr(self) -> int:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")


def fake_torch(current_stream: int, made: list[Any]) -> Any:
    """A module like torch; `made` collects the arguments of torch.empty."""

    def empty(shape: tuple[int, ...], dtype: Any, device: Any) -> TorchTensor:
        made.append((shape, dtype, device))
        return TorchTensor(0x900000, shape, dtype=dtype, index=device.index)

    def raw_stream(ordinal: int) -> int:
        return current_stream + ordinal

    return SimpleNamespace(
        Tensor=TorchTensor,
        float32="torch.float32",
        float16="torch.float16",
        bfloat16="torch.bfloat16",
        empty=empty,
        _C=SimpleNamespace(_cuda_getCurrentRawStream=raw_stream),
    )


def cupy_array(pointer: int, shape: tuple[int, ...], dtype: str = "<f4", ordinal: int = 0) -> Any:
    """What the package reads of a contiguous cupy.ndarray."""
    return SimpleNamespace(
        data=SimpleNamespace(ptr=pointer, device_id=ordinal),
        shape=shape,
        dtype=np.dtype(dtype),
        flags=SimpleNamespace(c_contiguous=True),
    )


def fake_cupy(current_stream: int) -> Any:
    """A module like cupy."""

    def get_current_stream(ordinal: int) -> Any:
        return SimpleNamespace(ptr=current_stream + ordinal)

    return SimpleNamespace(cuda=SimpleNamespace(get_current_stream=get_current_stream))
