"""The fused multiply-add of numbers and vectors, also where a processor has none for f16."""

from sparsert_ir.emit.function_writer import FunctionWriter

_SUFFIXES = {"half": "f16", "float": "f32", "double": "f64"}


def suffix(element: str, width: int) -> str:
    """How an intrinsic's name spells a type: `f32`, `v2f16`."""
    name = _SUFFIXES[element]
    return name if width == 1 else f"v{width}{name}"


def vector_type(element: str, width: int) -> str:
    """LLVM's name of a number or a vector of them."""
    return element if width == 1 else f"<{width} x {element}>"


class MultiplyAdd:
    """Writes `a * b + c` of `width` elements, rounded once.

    A host rounds f16 twice, to f32 and then to f16: LLVM would call a function of the compiler's
    runtime library (double to half) that is not there in code compiled into a running process.
    """

    def __init__(self, writer: FunctionWriter, element: str, width: int):
        self._writer = writer
        self._type = vector_type(element, width)
        self._wide = None
        inner = element
        if element == "half" and not writer.on_gpu:
            inner, self._wide = "float", vector_type("float", width)
        kind = vector_type(inner, width)
        name = f"llvm.fma.{suffix(inner, width)}"
        writer.declarations.intrinsic(name, kind, [kind] * 3)
        self._head = f"call {kind} @{name}({kind} "
        self._separator = f", {kind} "

    def text(self, a: str, b: str, c: str) -> str:
        """The instruction whose result is the sum; what it needs is written before it."""
        if self._wide is None:
            return f"{self._head}{a}{self._separator}{b}{self._separator}{c})"
        assign = self._writer.assign
        a, b, c = (assign(f"fpext {self._type} {value} to {self._wide}") for value in (a, b, c))
        total = assign(f"{self._head}{a}{self._separator}{b}{self._separator}{c})")
        return f"fptrunc {self._wide} {total} to {self._type}"
