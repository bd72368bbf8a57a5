"""The kernels of one layer: compiled when a shape of x first comes, kept up to a limit."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeAlias

from sparsert_ir.compiler import nearest_architecture
from sparsert_ir.errors import ArgumentError, CallError
from sparsert_ir.runtime.device import require_gpu
from sparsert_ir.torch.framework import Tensor, torch
from sparsert_ir.torch.layer import Layer

MAX_KERNELS = 8

_Key: TypeAlias = tuple[tuple[int, ...], str]
"""Shape of x, device."""


def _key(shape: tuple[int, ...], device: Any) -> _Key:
    place = "cpu, 1 thread" if device.type == "cpu" and _is_alone() else str(device)
    return shape, place


def _is_alone() -> bool:
    """Whether torch was told to use one thread of a CPU: kernels do so, too."""
    return torch.get_num_threads() == 1


class LayerKernels:
    """Kernels of one layer by shape of x and device.

    At most `limit` are kept. One more drops the one that was used longest ago, which is compiled
    again when its shape comes back. What was recorded into a CUDA graph is kept besides, since the
    graph uses it. Any number of threads may call; while one compiles, the others wait.
    """

    def __init__(self, layer: Layer, limit: int = MAX_KERNELS) -> None:
        if type(limit) is not int or limit < 1:
            raise ArgumentError(f"max_kernels: expected a whole number from 1, got {limit!r}")
        self.layer = layer
        self.limit = limit
        self.key = f"{layer.digest}-{limit}"
        self.compiled = 0
        self._kernels: OrderedDict[_Key, Callable[..., Any]] = OrderedDict()
        self._recorded: dict[_Key, Callable[..., Any]] = {}
        self._lock = threading.Lock()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of x, for which there are kernels now; used longest ago first."""
        with self._lock:
            return tuple(shape for shape, _ in self._kernels)

    def kernel(self, shape: tuple[int, ...], device: Any) -> Callable[..., Any]:
        """The kernel for x of that shape on a torch device.

        Raises CallError for a device that no kernels are made for, or if it would have to be
        compiled while a CUDA graph is recorded; and what compiling and loading raise.
        """
        key = _key(shape, device)
        recording = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        with self._lock:
            kernel = self._kernels.get(key) or self._recorded.get(key)
            if kernel is None:
                kernel = self._compile(shape, device, recording)
            self._keep(key, kernel)
            if recording:
                self._recorded[key] = kernel
        return kernel

    def lacks(self, shape: tuple[int, ...], device: Any) -> bool:
        """Whether a call for x of that shape would have to compile."""
        key = _key(shape, device)
        with self._lock:
            return key not in self._kernels and key not in self._recorded

    def put(self, shape: tuple[int, ...], device: Any, kernel: Callable[..., Any]) -> None:
        """Keep a kernel that was compiled elsewhere."""
        with self._lock:
            self._keep(_key(shape, device), kernel)

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
        self._kernels[key] = kernel
        self._kernels.move_to_end(key)
        while len(self._kernels) > self.limit:
            self._kernels.popitem(last=False)


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
    kernel = kernels.kernel(tuple(x.shape), x.device)
    if x.device.type == "cpu":
        kernel(x.numpy(), None if residual is None else residual.numpy(), out=y.numpy())
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
