"""Constraints and checks that several operations share; each says what it expected and got."""

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import (
    AnyFloat,
    BFloat16Type,
    DenseIntOrFPElementsAttr,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerAttr,
    MemRefType,
    NoneAttr,
    TensorType,
    VectorType,
    f16,
    i8,
    i16,
    i32,
)
from xdsl.dialects.llvm import LLVMPointerType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import base
from xdsl.utils.exceptions import VerifyException

from sparsert_ir.dense import Dense, IntArray, to_numpy

Lane: TypeAlias = AnyFloat | VectorType[AnyFloat]
"""What one thread holds of one row: a number, or a vector of adjacent columns."""

DENSE = base(DenseIntOrFPElementsAttr)
TENSOR = base(TensorType)
MEMREF = base(MemRefType)
POINTER = base(LLVMPointerType)
FLOAT = base(BFloat16Type) | base(Float16Type) | base(Float32Type) | base(Float64Type)
LANE = FLOAT | base(VectorType)


def expect(holds: bool, what: str, expected: object, got: object) -> None:
    if not holds:
        raise VerifyException(f"expected {what} {expected}, got {got}")


def check_element_type(dense: Dense, what: str) -> None:
    """Row numbers, offsets and the like are i32."""
    element_type = cast(Attribute, dense.get_element_type())
    expect(element_type == i32, f"{what} of element type", i32, element_type)


def check_float(element_type: Attribute, what: str) -> None:
    """The element types that the interpreter and the lowering know."""
    known = isinstance(element_type, BFloat16Type | Float16Type | Float32Type | Float64Type)
    expect(known, f"{what} of element type", "bf16, f16, f32 or f64", element_type)


def check_number(element_type: Attribute, what: str) -> None:
    """What lanes may hold: a float, or an index of a packed matrix."""
    if element_type not in (i8, i16, i32):
        check_float(element_type, what)


def check_float_elements(dense: Dense | None, what: str) -> None:
    """As `check_float`, where the attribute is given."""
    if dense is not None:
        check_float(cast(Attribute, dense.get_element_type()), what)


def check_memory(buffer: SSAValue, what: str, rank: int = 1) -> None:
    """A row-major memref of numbers and of known size, with at least `rank` dimensions."""
    kind = cast(MemRefType[Attribute], buffer.type)
    check_number(kind.element_type, what)
    shape = kind.get_shape()
    expect(len(shape) >= rank, f"{what} of rank", f"{rank} or more", len(shape))
    expect(min(shape) >= 0, f"{what} of", "known size", kind)
    expect(isinstance(kind.layout, NoneAttr), f"{what} that is", "row-major, with no layout", kind)


def check_lane(lane: Attribute) -> None:
    """A number, or a vector of one dimension that is not scalable."""
    check_number(lane_element(lane), "a lane")
    if isinstance(lane, VectorType):
        kind = cast(VectorType[Attribute], lane)
        plain = kind.get_num_dims() == 1 and kind.get_num_scalable_dims() == 0
        expect(plain and kind.get_shape()[0] >= 1, "a lane such as", "vector<4xf32>", kind)


def check_lane_of(lane: Attribute, buffer: SSAValue) -> None:
    """A lane and the memory that it is loaded from or stored to hold the same kind of number."""
    element_type = cast(MemRefType[Attribute], buffer.type).element_type
    expect(
        lane_element(lane) == element_type,
        "a lane of element type",
        element_type,
        lane_element(lane),
    )


def check_sizes(sizes: Sequence[int], what: str) -> None:
    """Sizes of a product: known, not 0, and within the offsets' 32 bits."""
    known = all(1 <= size < 2**31 for size in sizes)
    expect(
        known,
        f"{what} of",
        "1 to 2147483647 rows and columns",
        "x".join("?" if size < 0 else str(size) for size in sizes),
    )


def check_positive(number: IntegerAttr | None, what: str) -> None:
    """Where the number is given, it must be 1 or more."""
    if number is not None:
        expect(number.value.data >= 1, f"{what} of at least", 1, number.value.data)


def check_fold(fold: IntegerAttr | None, x_element: Attribute) -> None:
    """Products are added in the element type of x first only where it is f16."""
    check_positive(fold, "fold")
    if fold is not None and fold.value.data > 1:
        expect(x_element == f16, "fold of 2 or more with x of element type", f16, x_element)


def check_targets(numbers: Dense, what: str) -> None:
    """Where sums go: different places, or -1 for nowhere."""
    check_element_type(numbers, what)
    places = to_numpy(numbers)
    lowest = int(places.min(initial=0))
    expect(lowest >= -1, f"{what} of at least", -1, lowest)
    used = places[places >= 0]
    once = np.unique(used).size == used.size
    expect(once, f"{what} to be, but for -1,", "different", "some twice")


def check_permutation(rows: IntArray, row_count: int) -> None:
    used = np.sort(rows[rows != -1], axis=None)
    whole = np.array_equal(used, np.arange(row_count, dtype=used.dtype))
    expect(whole, "panels to hold", f"each of {row_count} rows once (-1 fills up)", "another set")


def check_splits(splits: IntArray, panel_count: int, column_count: int) -> None:
    expect(
        splits.ndim == 2 and splits.shape[0] == panel_count and splits.shape[1] >= 2,
        "splits of shape",
        f"{panel_count} x (groups + 1)",
        "x".join(map(str, splits.shape)),
    )
    whole = bool((splits[:, 0] == 0).all() and (splits[:, -1] == column_count).all())
    expect(whole, "splits to run", f"from 0 to {column_count}", "others")
    expect(bool((np.diff(splits, axis=1) >= 0).all()), "splits to be", "ascending", "others")


def lane_width(lane: Attribute) -> int:
    """Columns in a lane: the length of a vector, 1 for a number."""
    return lane.get_shape()[0] if isinstance(lane, VectorType) else 1


def lane_element(lane: Attribute) -> AnyFloat:
    """Element type of a lane."""
    return cast(AnyFloat, lane.element_type if isinstance(lane, VectorType) else lane)


def check_sums(lanes: Sequence[SSAValue]) -> None:
    """At least one lane, all of the same type, in which numbers are added: floats, not bf16."""
    expect(bool(lanes), "lanes, in number,", "1 or more", 0)
    check_lane(lanes[0].type)
    element = lane_element(lanes[0].type)
    added = isinstance(element, Float16Type | Float32Type | Float64Type)
    expect(added, "sums of element type", "f16, f32 or f64", element)
    for lane in lanes:
        expect(lane.type == lanes[0].type, "lanes all of type", lanes[0].type, lane.type)


def check_initial(initial: Sequence[SSAValue], sums: Sequence[SSAValue]) -> None:
    """Sums to go on from, if there are any, are like the sums."""
    expected, got = [lane.type for lane in sums], [lane.type for lane in initial]
    expect(not got or got == expected, "initial sums of types", expected, got)


def check_tiling(panels: Dense, splits: Dense, rows: int, columns: int) -> None:
    check_element_type(panels, "panels")
    check_element_type(splits, "splits")
    expect(len(panels.get_shape()) == 2, "panels of rank", 2, len(panels.get_shape()))
    check_permutation(to_numpy(panels), rows)
    check_splits(to_numpy(splits), panels.get_shape()[0], columns)
