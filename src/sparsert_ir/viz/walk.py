"""The stages of one compilation, as a page shows them."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.printer import Printer

from sparsert_ir.context import make_context
from sparsert_ir.kernel import INPUT_STAGE, Kernel
from sparsert_ir.pipeline import count_ops, run_passes
from sparsert_ir.viz.shortening import excerpt, shorten_ir

_INPUT = """The layer as the library builds it: the matrix once, as a constant in CSR, then the
product and what follows it, on tensors."""
_LLVM_TEXT = """Text of LLVM IR is written from the llvm and nvvm dialects. Each nonzero is the
constant operand of a multiply-add, each column a constant offset, where the matrix is code."""
_PTX = "LLVM's NVPTX back end turns the text into PTX, which the driver assembles for the GPU."
_MACHINE_CODE = "LLVM turns the text into machine code of this processor."


@dataclass(frozen=True)
class Stage:
    """One step. seconds is None for the input.

    explanation:    paragraphs; changed: whether the text differs from the stage's before.
    lines, size:    of the whole text, which `shown` shortens.
    """

    name: str
    explanation: tuple[str, ...]
    seconds: float | None
    operations: int | None
    shown: str
    lines: int
    size: int
    changed: bool


def walk(kernel: Kernel, step: Callable[[str], None]) -> list[Stage]:
    """Run the compilation of `kernel` again and keep what each stage leaves; `step` is called after
    each. Times are those of the kernel's own compilation.
    """
    compilation = kernel.compilation
    module = compilation.build()
    whole = _print(module)
    stages = [_stage(INPUT_STAGE, (_flat(_INPUT),), None, count_ops(module), whole, changed=True)]
    step(INPUT_STAGE)
    seconds = {record.name: record.seconds for record in kernel.stats.stages}

    def observe(one: ModulePass, module: ModuleOp) -> None:
        nonlocal whole
        before, whole = whole, _print(module)
        stages.append(
            _stage(
                one.name,
                explanation(type(one)),
                seconds[one.name],
                count_ops(module),
                whole,
                changed=before != whole,
            )
        )
        step(one.name)

    for _ in run_passes(module, compilation.passes(), make_context(), observe):
        pass
    return [*stages, *_texts(kernel, seconds)]


def explanation(one: type) -> tuple[str, ...]:
    """The paragraphs of a pass' docstring, "Requires" and "Guarantees" apart."""
    words = inspect.getdoc(one) or ""
    words = re.sub(r"\n(?=(?:Requires|Guarantees): )", "\n\n", words)
    return tuple(_flat(part) for part in words.split("\n\n") if part.strip())


def _texts(kernel: Kernel, seconds: dict[str, float]) -> list[Stage]:
    """LLVM IR, then PTX or assembly: excerpts around the first multiply-adds."""
    is_gpu = kernel.compilation.is_gpu
    last = "ptx" if is_gpu else "machine-code"
    end = kernel.ptx if is_gpu else kernel.assembly
    return [
        _text("llvm-text", _flat(_LLVM_TEXT), kernel.llvm_ir, "@llvm.fma", seconds),
        _text(last, _PTX if is_gpu else _MACHINE_CODE, end, "fma.rn" if is_gpu else "fma", seconds),
    ]


def _text(name: str, words: str, whole: str, landmark: str, seconds: dict[str, float]) -> Stage:
    return Stage(
        name=name,
        explanation=(words,),
        seconds=seconds[name],
        operations=None,
        shown=excerpt(whole, landmark, 14, 36),
        lines=whole.count("\n"),
        size=len(whole),
        changed=True,
    )


def _stage(
    name: str,
    words: tuple[str, ...],
    seconds: float | None,
    operations: int,
    whole: str,
    *,
    changed: bool,
) -> Stage:
    shown = shorten_ir(whole) if changed else ""
    return Stage(name, words, seconds, operations, shown, whole.count("\n"), len(whole), changed)


def _flat(words: str) -> str:
    return " ".join(words.split())


def _print(module: ModuleOp) -> str:
    stream = StringIO()
    Printer(stream).print_op(module)
    return stream.getvalue() + "\n"
