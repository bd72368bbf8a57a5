"""A lane's columns as the pieces that one instruction computes.

NVPTX has multiply-adds of one number, and of two f16; a CPU has them of a whole vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import Attribute

from sparsert_ir.dialects.sparsert import lane_element, lane_width
from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.fused import suffix, vector_type
from sparsert_ir.emit.literals import type_text


@dataclass(frozen=True)
class Pieces:
    """A lane of `width` columns as `count` pieces of `size` columns with elements `element`."""

    element: str
    width: int
    size: int

    @classmethod
    def of(cls, writer: FunctionWriter, lane: Attribute) -> "Pieces":
        return cls.of_element(writer, type_text(lane_element(lane)), lane_width(lane))

    @classmethod
    def of_element(cls, writer: FunctionWriter, element: str, width: int) -> "Pieces":
        if not writer.on_gpu:
            return cls(element, width, width)
        return cls(element, width, 2 if element == "half" and width % 2 == 0 else 1)

    @property
    def count(self) -> int:
        return self.width // self.size

    @property
    def type(self) -> str:
        """LLVM type of one piece."""
        return vector_type(self.element, self.size)

    @property
    def lane_type(self) -> str:
        """LLVM type of the whole lane."""
        return vector_type(self.element, self.width)

    @property
    def suffix(self) -> str:
        """How an intrinsic's name spells a piece's type: `f32`, `v2f16`."""
        return suffix(self.element, self.size)

    def with_element(self, element: str) -> "Pieces":
        return Pieces(element, self.width, self.size)

    def literal(self, number: str) -> str:
        """A number in every column of a piece."""
        return number if self.size == 1 else f"splat ({self.element} {number})"

    def split(self, writer: FunctionWriter, lane: str) -> list[str]:
        """The pieces of a whole lane."""
        if self.count == 1:
            return [lane]
        if self.size == 1:
            return [
                writer.assign(f"extractelement {self.lane_type} {lane}, i32 {i}")
                for i in range(self.width)
            ]
        return [
            writer.assign(
                f"shufflevector {self.lane_type} {lane}, {self.lane_type} poison,"
                f" <{self.size} x i32> {self._mask(i * self.size, self.size)}"
            )
            for i in range(self.count)
        ]

    def numbers(self, writer: FunctionWriter, pieces: Sequence[str]) -> list[str]:
        """The single numbers of some pieces."""
        if self.size == 1:
            return list(pieces)
        return [
            writer.assign(f"extractelement {self.type} {piece}, i32 {i}")
            for piece in pieces
            for i in range(self.size)
        ]

    def of_numbers(self, writer: FunctionWriter, numbers: Sequence[str]) -> list[str]:
        """The pieces of `width` single numbers."""
        if self.size == 1:
            return list(numbers)
        groups = [numbers[i : i + self.size] for i in range(0, self.width, self.size)]
        return [join_numbers(writer, self.element, group) for group in groups]

    def join(self, writer: FunctionWriter, pieces: Sequence[str]) -> str:
        """The whole lane of some pieces."""
        if self.count == 1:
            return pieces[0]
        if self.size == 1:
            return join_numbers(writer, self.element, pieces)
        joined, size = list(pieces), self.size
        while len(joined) > 1:
            kind = f"<{size} x {self.element}>"
            size *= 2
            mask = self._mask(0, size)
            joined = [
                writer.assign(f"shufflevector {kind} {a}, {kind} {b}, <{size} x i32> {mask}")
                for a, b in zip(joined[::2], joined[1::2], strict=True)
            ]
        return joined[0]

    @staticmethod
    def _mask(first: int, count: int) -> str:
        return "<" + ", ".join(f"i32 {first + i}" for i in range(count)) + ">"


def join_numbers(writer: FunctionWriter, element: str, numbers: Sequence[str]) -> str:
    """A vector of single numbers."""
    kind = f"<{len(numbers)} x {element}>"
    joined = "poison"
    for i, number in enumerate(numbers):
        joined = writer.assign(f"insertelement {kind} {joined}, {element} {number}, i32 {i}")
    return joined
