"""The text of one function while it is written: names of values, blocks, needed declarations."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.ir import Attribute, Block, SSAValue

from sparsert_ir.emit.literals import type_text


@dataclass
class Declarations:
    """Intrinsics that the module uses: name -> declaration, in order of first use."""

    texts: dict[str, str] = field(default_factory=dict[str, str])

    def intrinsic(self, name: str, result: str, arguments: Sequence[str]) -> None:
        if name not in self.texts:
            self.texts[name] = f"declare {result} @{name}({', '.join(arguments)})"


class FunctionWriter:
    """Collects the lines of a function's blocks.

    A block of IR may become several blocks of text, so branches are recorded as they are written.

    on_gpu: whether the text is for NVPTX, whose arithmetic knows numbers and pairs of f16 only; a
            CPU takes whole vectors.
    edges:  for each block, the labels that branch to it and the names of what they pass.
    """

    def __init__(self, declarations: Declarations, *, on_gpu: bool):
        self.declarations = declarations
        self.on_gpu = on_gpu
        self.lines: list[str] = []
        self.names: dict[SSAValue, str] = {}
        self.edges: dict[Block, list[tuple[str, list[str]]]] = {}
        self._labels: dict[Block, str] = {}
        self._label = ""
        self._count = 0

    def fresh(self) -> str:
        """A name that no other value has."""
        self._count += 1
        return f"%v{self._count}"

    def name(self, value: SSAValue) -> str:
        """The name, or the literal, of a value."""
        known = self.names.get(value)
        if known is None:
            known = self.names[value] = self.fresh()
        return known

    def typed(self, value: SSAValue) -> str:
        """`type name`."""
        return f"{type_text(value.type)} {self.name(value)}"

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def assign(self, text: str) -> str:
        """Write an instruction with a new result; returns its name."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def define(self, value: SSAValue, text: str) -> None:
        """Write the instruction whose result is `value`."""
        self.lines.append(f"  {self.name(value)} = {text}")

    def label_of(self, block: Block) -> str:
        known = self._labels.get(block)
        if known is None:
            known = self._labels[block] = f"b{len(self._labels)}"
        return known

    def begin(self, label: str) -> None:
        """Start a block of text."""
        self.lines.append(f"{label}:")
        self._label = label

    def edge(self, target: Block, arguments: Sequence[SSAValue]) -> str:
        """Record a branch from here; returns `label %target`."""
        values = [self.name(argument) for argument in arguments]
        self.edges.setdefault(target, []).append((self._label, values))
        return f"label %{self.label_of(target)}"

    def call(
        self, intrinsic: str, result: Attribute | str, arguments: Sequence[tuple[str, str]]
    ) -> str:
        """Call an intrinsic on (type, value) pairs; returns the result's name."""
        return self.assign(self.call_text(intrinsic, result, arguments))

    def call_text(
        self, intrinsic: str, result: Attribute | str, arguments: Sequence[tuple[str, str]]
    ) -> str:
        """A call of an intrinsic, which gets declared."""
        kind = result if isinstance(result, str) else type_text(result)
        self.declarations.intrinsic(intrinsic, kind, [t for t, _ in arguments])
        inside = ", ".join(f"{t} {v}" for t, v in arguments)
        return f"call {kind} @{intrinsic}({inside})"
