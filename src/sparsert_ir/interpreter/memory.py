"""Memory of the interpreted program, and what stands where nobody wrote."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import IndexType, IntegerAttr, IntegerType, MemRefType
from xdsl.ir import Attribute

from sparsert_ir.dense import Array, Dense, numpy_dtype
from sparsert_ir.element_types import is_bfloat16
from sparsert_ir.errors import InterpreterError
from sparsert_ir.gpu_facts import WORKGROUP
from sparsert_ir.interpreter.races import AccessLog, BoolArray


@dataclass(eq=False)
class Memory:
    """The value of a memref: row-major elements, kept flat.

    workgroup: the memory belongs to one block and holds nothing when the block starts. The blocks
               of a cluster have one each, one after another in `elements`.
    in_flight: elements that were sent, and that nobody has waited for yet.
    version:   counts the stores, so that what was computed from the elements can be kept.
    log:       who touched what during the current launch.
    viewed:    the memory that this one is another shape of; it keeps version and log.
    """

    elements: Array
    shape: tuple[int, ...]
    workgroup: bool = False
    read_only: bool = False
    version: int = 0
    log: AccessLog | None = field(default=None, repr=False)
    in_flight: BoolArray | None = field(default=None, repr=False)
    viewed: "Memory | None" = field(default=None, repr=False)

    @property
    def root(self) -> "Memory":
        """The memory itself, or the one that it is a view of."""
        return self if self.viewed is None else self.viewed

    def reshaped(self, shape: tuple[int, ...]) -> "Memory":
        """The same elements in another shape."""
        return Memory(self.elements, shape, self.workgroup, self.read_only, viewed=self.root)

    @property
    def size(self) -> int:
        """Elements of one block's memory."""
        return prod(self.shape)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Distance between neighbours along each dimension, in elements."""
        return tuple(prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))


def element_dtype(kind: Attribute) -> np.dtype[Any]:
    """The numpy element type of a number, vector, tensor or memref type."""
    element: Attribute = getattr(kind, "element_type", kind)
    if isinstance(element, IndexType):
        return np.dtype(np.int64)
    if element == IntegerType(1):
        return np.dtype(np.bool_)
    try:
        return numpy_dtype(element)
    except (KeyError, TypeError):
        raise InterpreterError(f"no numpy element type for {kind}") from None


def dense_elements(dense: Dense) -> Array:
    """The elements of a dense attribute, of index type too; read-only."""
    dtype = element_dtype(cast(Attribute, dense.get_element_type()))
    if dtype.kind == "b":
        raise InterpreterError(f"expected a constant of numbers, got {dense.type}")
    return np.frombuffer(dense.data.data, dtype.newbyteorder("<")).reshape(dense.get_shape())


def poisoned(shape: int | Sequence[int], dtype: np.dtype[Any]) -> Array:
    """An array that holds poison only: NaN, or the lowest integer."""
    if dtype.kind == "f" or is_bfloat16(dtype):
        return np.full(shape, np.nan, dtype)
    return np.full(shape, False if dtype.kind == "b" else np.iinfo(dtype).min, dtype)


def is_workgroup(kind: MemRefType[Attribute]) -> bool:
    """Whether a memref lies in the memory of a block."""
    space = kind.memory_space
    return isinstance(space, IntegerAttr) and space.value.data == WORKGROUP


def static_shape(kind: MemRefType[Attribute]) -> tuple[int, ...]:
    """The shape of a memref type that must be known; no layout but row-major is understood."""
    shape = tuple(kind.get_shape())
    if min(shape, default=0) < 0 or str(kind.layout) != "none":
        raise InterpreterError(f"expected a row-major memref of known shape, got {kind}")
    return shape
