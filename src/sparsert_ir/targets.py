"""What kernels can be made for: the CPU, and the architectures of GPUs."""

from sparsert_ir.emit.ptx import ARCHITECTURES, check_architecture
from sparsert_ir.errors import ArgumentError
from sparsert_ir.gpu_facts import architecture_number
from sparsert_ir.runtime.device import find_gpu


def target_of(target: str | None) -> str:
    """ "cpu" or an architecture that kernels are made for: the GPU's present unless given."""
    if target is None:
        gpu = find_gpu()
        return "cpu" if gpu is None else nearest_architecture(gpu.arch)
    if not isinstance(target, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"target: expected a string or None, got {target!r}")
    if target == "cpu":
        return target
    return check_architecture(target)


def nearest_architecture(architecture: str) -> str:
    """The newest architecture that we compile for and whose code runs on `architecture`."""
    number = architecture_number(architecture)
    older = [known for known in ARCHITECTURES if architecture_number(known) <= number]
    if not older:
        raise ArgumentError(
            f"target: expected a GPU of {ARCHITECTURES[0]} or later, got {architecture}; use"
            ' target="cpu"'
        )
    return older[-1]
