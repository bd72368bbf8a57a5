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

    A block of IR may become several blocks of text; `end_label` remembers the last of them, which
    is where its branches come from.
    """

    def __init__(self, declarations: Declarations):
        self.declarations = declarations
        self.lines: list[str] = []
        self.names: dict[SSAValue, str] = {}
        self.labels: dict[Block, str] = {}
        self.end_label: dict[Block, str] = {}
        self._label = ""
        self._count = 0

    def fresh(self) -> str:
        """A name that no other value has."""
        self._count += 1
        return f"%{self._count}v"

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

    def label_of(self, block: Block) -> str:
        known = self.labels.get(block)
        if known is None:
            known = self.labels[block] = f"b{len(self.labels)}"
        return known

    def begin(self, label: str) -> None:
        """Start a block of text."""
        self.lines.append(f"{label}:")
        self._label = label

    @property
    def current_label(self) -> str:
        return self._label

    def fresh_label(self) -> str:
        self._count += 1
        return f"l{self._count}"

    def call(self, intrinsic: str, result: Attribute | str, arguments: Sequence[tuple[str, str]]):
        """Call an intrinsic on (type, value) pairs; returns the result's name."""
        kind = result if isinstance(result, str) else type_text(result)
        self.declarations.intrinsic(intrinsic, kind, [t for t, _ in arguments])
        inside = ", ".join(f"{t} {v}" for t, v in arguments)
        return self.assign(f"call {kind} @{intrinsic}({inside})")
