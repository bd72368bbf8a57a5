"""Compiling all kernels of a model before its first call, several at once."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

from sparsert_ir.cpu.host_threads import available_cores
from sparsert_ir.errors import ArgumentError, CodegenError
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.runtime.device import require_gpu
from sparsert_ir.targets import nearest_architecture
from sparsert_ir.torch.framework import Module, torch
from sparsert_ir.torch.kernels import LayerKernels
from sparsert_ir.torch.layer import Layer
from sparsert_ir.torch.module import SparseModule
from sparsert_ir.workers.pool import WorkerPool

_SECONDS_FOR_ONE = 600.0
_MOST_WORKERS = 16

Progress: TypeAlias = Callable[[int, int], object]
"""Called after each kernel with how many there are by now, and how many there will be."""


@dataclass(frozen=True, eq=False)
class KernelJob:
    """A kernel for x of that shape on GPU `ordinal`; `number` is its place in a list."""

    layer: Layer
    shape: tuple[int, ...]
    target: str
    ordinal: int
    number: int


def build_kernel(job: KernelJob) -> KernelBinary:
    """The assembled kernel; errors as of `sparsert_ir.compile` and `load_kernel`."""
    return job.layer.compile(job.shape, job.target).binary.assembled(job.ordinal)


def prepare(
    model: Module, *inputs: Any, workers: int | None = None, progress: Progress | None = None
) -> int:
    """Compile what a call `model(*inputs)` needs; returns how many kernels that were.

    Kernels for a GPU are compiled in `workers` processes at once, one per core (16 at most) unless
    given; those for a CPU one by one, here. `progress` is called with (done, all) after each: it
    may take minutes. The model's own code is run on stand-ins for tensors
    that have only shapes: ArgumentError for a model whose control flow depends on numbers. Other
    errors are those of the compilations.
    """
    jobs: list[tuple[LayerKernels, tuple[int, ...], Any]] = []
    known: set[tuple[str, tuple[int, ...] | None, str]] = set()
    for module, shape, device in _calls(model, inputs):
        missing = module.kernels.missing(module.kernel_shape(shape), device)
        key = (module.key, missing, str(device))
        if missing is not None and key not in known:
            known.add(key)
            jobs.append((module.kernels, missing, device))
    numbers = itertools.count(1)

    def step() -> None:
        if progress is not None:
            progress(next(numbers), len(jobs))

    on_gpu = [job for job in jobs if job[2].type == "cuda"]
    for kernels, shape, device in jobs:
        if device.type != "cuda":
            kernels.serve(shape, device)
            step()
    if on_gpu:
        _build_for_gpus(on_gpu, workers or min(available_cores(), _MOST_WORKERS, len(on_gpu)), step)
    return len(jobs)


def _calls(model: Module, inputs: Sequence[Any]) -> list[tuple[Any, tuple[int, ...], Any]]:
    """(sparse module, shape of x, device) of each call of a sparse module, in order."""
    calls: list[tuple[Any, tuple[int, ...], Any]] = []

    def record(module: Module, arguments: tuple[Any, ...]) -> None:
        calls.append((module, tuple(arguments[0].shape), arguments[0].device))

    sparse: list[Any] = [module for module in model.modules() if isinstance(module, SparseModule)]
    hooks = [module.register_forward_pre_hook(record) for module in sparse]
    fake: Any = import_module("torch._subclasses.fake_tensor").FakeTensorMode
    try:
        with torch.no_grad(), fake(allow_non_fake_inputs=True) as mode:
            model(*torch.utils._pytree.tree_map_only(torch.Tensor, mode.from_tensor, inputs))
    except Exception as error:
        # It is the model's own code that runs here.
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ArgumentError(
            f"model: expected one that runs on shapes alone, got {reason}; call it once instead"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _build_for_gpus(
    wanted: Sequence[tuple[LayerKernels, tuple[int, ...], Any]],
    workers: int,
    step: Callable[[], object],
) -> None:
    """`step` is called after each kernel."""
    jobs: list[KernelJob] = []
    for number, (kernels, shape, device) in enumerate(wanted):
        ordinal = torch.cuda.current_device() if device.index is None else device.index
        target = nearest_architecture(require_gpu(ordinal).arch)
        jobs.append(KernelJob(kernels.layer, shape, target, ordinal, number))
    # What takes longest goes first.
    jobs.sort(key=lambda job: -job.layer.nonzeros)
    with WorkerPool(build_kernel, workers, _SECONDS_FOR_ONE) as pool:
        for done in pool.run(jobs):
            if done.value is None:
                raise CodegenError(f"kernel for x of shape {done.task.shape}: {done.failure}")
            kernels, shape, device = wanted[done.task.number]
            kernels.put(shape, device, done.value.load_on_gpu(done.task.ordinal))
            step()
