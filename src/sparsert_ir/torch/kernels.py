"""The kernels of one layer: compiled when a shape of x first comes, kept up to a limit."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from sparsert_ir.errors import ArgumentError, CallError
from sparsert_ir.runtime.device import require_gpu
from sparsert_ir.targets import nearest_architecture
from sparsert_ir.torch.framework import Tensor, torch
from sparsert_ir.torch.layer import Layer
from sparsert_ir.torch_matrices import host_array

MAX_KERNELS = 8

_Key: TypeAlias = tuple[tuple[int, ...], str]
"""Shape of x, device."""


def _key(shape: tuple[int, ...], device: Any) -> _Key:
    place = "cpu, 1 thread" if device.type == "cpu" and _is_alone() else str(device)
    return shape, place


def _is_alone() -> bool:
    """Whether torch was told to use one thread of a CPU: kernels do so, too."""
    return torch.get_num_threads() == 1


class Served(NamedTuple):
    """A kernel, and the shape of x that it takes: that of the call, or with more columns."""

    kernel: Callable[..., Any]
    shape: tuple[int, ...]


class LayerKernels:
    """Kernels of one layer by shape of x and device.

    The first `limit` shapes get kernels of their own. After them, products are computed with their
    columns rounded up to one of four numbers for each doubling (`rounded_columns`), whose kernels
    are kept, too: however N varies, little is compiled. Where a layer cannot be rounded up
    (convolutions that are no products), one more shape drops the kernel that was used longest ago,
    which is compiled again when its shape comes back. What was recorded into a CUDA graph is kept
    besides, since the graph uses it. Any number of threads may call; while one compiles, the others
    wait.
    """

    def __init__(self, layer: Layer, limit: int = MAX_KERNELS) -> None:
        if type(limit) is not int or limit < 1:
            raise ArgumentError(f"max_kernels: expected a whole number from 1, got {limit!r}")
        self.layer = layer
        self.limit = limit
        self.key = f"{layer.digest}-{limit}"
        self.compiled = 0
        self._own: OrderedDict[_Key, Callable[..., Any]] = OrderedDict()
        self._rounded: dict[_Key, Callable[..., Any]] = {}
        self._recorded: dict[_Key, Callable[..., Any]] = {}
        self._lock = threading.Lock()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of x, for which there are kernels now; used longest ago first, then the rounded ones."""
        with self._lock:
            return tuple(shape for shape, _ in (*self._own, *self._rounded))

    def serve(self, shape: tuple[int, ...], device: Any) -> Served:
        """The kernel for x of that shape on a torch device.

        Raises CallError for a device that no kernels are made for, or if it would have to be
        compiled while a CUDA graph is recorded; and what compiling and loading raise.
        """
        recording = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        with self._lock:
            wanted = self._served_shape(shape, device)
            key = _key(wanted, device)
            kernel = self._find(key)
            if kernel is None:
                kernel = self._compile(wanted, device, recording)
            self._keep(key, kernel)
            if recording:
                self._recorded[key] = kernel
        return Served(kernel, wanted)

    def missing(self, shape: tuple[int, ...], device: Any) -> tuple[int, ...] | None:
        """What a call for x of that shape would have to compile: the shape of a kernel's x."""
        with self._lock:
            wanted = self._served_shape(shape, device)
            return wanted if self._find(_key(wanted, device)) is None else None

    def put(self, shape: tuple[int, ...], device: Any, kernel: Callable[..., Any]) -> None:
        """Keep a kernel for x of that shape that was compiled elsewhere."""
        with self._lock:
            self._keep(_key(shape, device), kernel)

    def _find(self, key: _Key) -> Callable[..., Any] | None:
        return self._own.get(key) or self._rounded.get(key) or self._recorded.get(key)

    def _served_shape(self, shape: tuple[int, ...], device: Any) -> tuple[int, ...]:
        """Its own where there is a kernel for it or room for one."""
        if self._find(_key(shape, device)) is not None or len(self._own) < self.limit:
            return shape
        return self.layer.rounded(shape) or shape

    def _compile(self, shape: tuple[int, ...], device: Any, recording: bool) -> Any:
        if recording:
            raise CallError(
                f"x: expected a kernel for shape {shape} before a CUDA graph is recorded, got none;"
                " run the model once with inputs of this shape first"
            )
        self.compiled += 1
        if device.type == "cpu":
            return self.layer.compile(shape, "cpu", 1 if _is_alone() else None)
        if device.type != "cuda":
            raise CallError(
                f"x: expected a tensor on the CPU or an NVIDIA GPU, got device {device}; move the"
                " model's inputs there, or keep the dense layer"
            )
        ordinal = torch.cuda.current_device() if device.index is None else device.index
        target = nearest_architecture(require_gpu(ordinal).arch)
        return self.layer.compile(shape, target).binary.load_on_gpu(ordinal)

    def _keep(self, key: _Key, kernel: Callable[..., Any]) -> None:
        shape, is_full = key[0], len(self._own) >= self.limit
        if key not in self._own and is_full and self.layer.rounded(shape) == shape:
            self._rounded[key] = kernel
            return
        self._own[key] = kernel
        self._own.move_to_end(key)
        while len(self._own) > self.limit:
            self._own.popitem(last=False)


# Operators of torch take tensors, numbers and strings, so a compiled graph can name a layer only
# by a string. The modules own their kernels; this finds them while they live.
_LAYERS: "weakref.WeakValueDictionary[str, LayerKernels]" = weakref.WeakValueDictionary()
_LAYERS_LOCK = threading.Lock()


def kernels_of(layer: Layer, limit: int = MAX_KERNELS) -> LayerKernels:
    """The kernels of a layer; equal layers share them."""
    made = LayerKernels(layer, limit)
    with _LAYERS_LOCK:
        return _LAYERS.setdefault(made.key, made)


def kernels_named(key: str) -> LayerKernels:
    """The kernels with this key; CallError if no module holds them any more."""
    kernels = _LAYERS.get(key)
    if kernels is None:
        raise CallError(
            f"layer: expected the key of one that a module of this process holds, got {key!r}"
        )
    return kernels


def call_kernel(
    kernels: LayerKernels, x: Tensor, y: Tensor, residual: Tensor | None = None
) -> None:
    """`y = layer(x, residual)`, all in row-major order on one device."""
    kernel, shape = kernels.serve(tuple(x.shape), x.device)
    columns = y.shape[-1]
    if shape == tuple(x.shape):
        _call(kernel, x, residual, y)
        return
    added = (0, shape[-1] - columns)
    wide_x, wide = torch.nn.functional.pad(x, added), y.new_empty((y.shape[0], shape[-1]))
    wide_residual = None if residual is None else torch.nn.functional.pad(residual, added)
    _call(kernel, wide_x, wide_residual, wide)
    y.copy_(wide[:, :columns])


def _call(kernel: Callable[..., Any], x: Tensor, residual: Tensor | None, y: Tensor) -> None:
    if x.device.type == "cpu":
        added = None if residual is None else host_array(residual)
        kernel(host_array(x), added, out=host_array(y))
        return
    inputs = (_aligned(x), None if residual is None else _aligned(residual))
    if _is_aligned(y):
        kernel(*inputs, out=y)
    else:
        y.copy_(kernel(*inputs))


def _is_aligned(x: Tensor) -> bool:
    """Whether a kernel of a GPU can load from its address."""
    return x.data_ptr() % 16 == 0


def _aligned(x: Tensor) -> Tensor:
    return x if _is_aligned(x) else x.clone()
