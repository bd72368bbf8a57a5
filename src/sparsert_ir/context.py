"""The xDSL context with every dialect that the project reads and writes."""

from xdsl.context import Context
from xdsl.ir import Dialect

_FROM_XDSL = (
    "builtin",
    "func",
    "arith",
    "math",
    "scf",
    "cf",
    "memref",
    "vector",
    "tensor",
    "linalg",
)


def make_context(*, allow_unregistered: bool = False) -> Context:
    """A new context; a dialect's Python module is imported when its first name is parsed.

    `gpu` and `llvm` are this project's own, which replace xDSL's.
    """
    from xdsl.dialects import get_all_dialects

    context = Context(allow_unregistered=allow_unregistered)
    xdsl_dialects = get_all_dialects()
    for name in _FROM_XDSL:
        context.register_dialect(name, xdsl_dialects[name])
    context.register_dialect("sparsert", load_sparsert)
    context.register_dialect("gpu", _load_gpu)
    context.register_dialect("llvm", _load_llvm)
    context.register_dialect("nvgpu", load_nvgpu)
    context.register_dialect("nvvm", load_nvvm)
    return context


def load_sparsert() -> Dialect:
    from sparsert_ir.dialects.sparsert import Sparsert

    return Sparsert


def load_nvgpu() -> Dialect:
    from sparsert_ir.dialects.nvgpu import Nvgpu

    return Nvgpu


def load_nvvm() -> Dialect:
    from sparsert_ir.dialects.nvvm import Nvvm

    return Nvvm


def _load_gpu() -> Dialect:
    from sparsert_ir.dialects.gpu import Gpu

    return Gpu


def _load_llvm() -> Dialect:
    from sparsert_ir.dialects.llvm import Llvm

    return Llvm
