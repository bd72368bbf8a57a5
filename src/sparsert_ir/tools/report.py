"""`-t report`: what stands in a module, function by function, for people to read."""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from xdsl.dialects import arith, func, llvm
from xdsl.dialects.builtin import IntegerAttr, MemRefType, ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue

from sparsert_ir.dense import Dense, to_numpy
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import (
    AccumulateOp,
    ColumnTilesOp,
    ConstantOp,
    Conv2dOp,
    PanelProductOp,
    PtrAccumulateOp,
    ScheduleAttr,
    SeparableConv2dOp,
    SpmmOp,
    StreamLayoutAttr,
    TiledSpmmOp,
    Untiled,
    WritePanelOp,
    WriteRowsOp,
)
from sparsert_ir.layout.packing import StreamLayout

_WIDTH = 16


def report(module: ModuleOp) -> str:
    """One paragraph for each function that has a body, in the order of the module."""
    functions = [
        op
        for op in module.walk()
        if isinstance(op, func.FuncOp | gpu.FuncOp | llvm.FuncOp) and op.body.blocks
    ]
    if not functions:
        return "no functions\n"
    return "\n".join(_paragraph(function) for function in functions)


def _paragraph(function: func.FuncOp | gpu.FuncOp | llvm.FuncOp) -> str:
    lines = [f"@{function.sym_name.data} ({function.name})"]
    lines += [f"  {label:<{_WIDTH}}{text}" for label, text in _facts(function)]
    return "\n".join(lines) + "\n"


def _facts(function: Operation) -> Iterator[tuple[str, str]]:
    schedule = function.attributes.get("sparsert.schedule")
    if isinstance(schedule, ScheduleAttr):
        yield "schedule", _schedule(schedule)
    layout = function.attributes.get("sparsert.layout")
    if isinstance(layout, StreamLayoutAttr):
        yield from _layout(layout.data, schedule)
        yield "warps", _warps(schedule)
        yield from _constants(function)
    for op in function.walk():
        yield from _facts_of(op)
    yield from _multiply_adds(function)
    yield "operations", str(sum(1 for _ in function.walk()))


def _layout(layout: StreamLayout, schedule: Attribute | None) -> Iterator[tuple[str, str]]:
    """How the warps of a kernel read a matrix that is data."""
    tiles = 1
    if layout.together > 1:
        tiles = schedule.data.column_groups if isinstance(schedule, ScheduleAttr) else 1
        yield (
            "tensor cores",
            f"multiply {layout.together} nonzeros of a row at a time, by 8 columns of x, {tiles}"
            f" {'time' if tiles == 1 else 'times'}",
        )
    for rows, panels, readers in zip(
        layout.panel_rows, layout.panels, layout.readers_per_row, strict=True
    ):
        yield (
            "panels",
            (
                f"{panels} of rows: {rows}; readers per row: {readers};"
                f" lanes per reader: {layout.column_groups}"
            ),
        )
    yield (
        "step",
        (
            f"{layout.readers} chunks of {layout.chunk} nonzeros, one per reader; rows of x from"
            f" {layout.banks} banks at once"
        ),
    )
    yield (
        "slices of x",
        (
            f"{layout.slices} of {layout.slice_columns} rows and one of zeros,"
            f" {(layout.slice_columns + 1) * layout.row_bytes * tiles} bytes of shared memory"
        ),
    )


def _warps(schedule: Attribute | None) -> str:
    """How the panels of a matrix that is data are shared out."""
    turns = schedule.data.panels_per_warp if isinstance(schedule, ScheduleAttr) else 1
    if turns == 1:
        return "one for each panel"
    return f"one for up to {turns} panels, one after another, over one copy of x"


def _constants(function: Operation) -> Iterator[tuple[str, str]]:
    """The last arguments of a kernel, which a launch passes, while they have shapes."""
    count = function.attributes.get("sparsert.constants")
    arguments = function.regions[0].blocks[0].args
    number = count.value.data if isinstance(count, IntegerAttr) else 0
    kinds = [argument.type for argument in arguments[len(arguments) - number :]]
    shapes = [_shape(cast(Attribute, kind)) for kind in kinds if isinstance(kind, MemRefType)]
    if shapes:
        yield "constants", ", ".join(shapes)


def _shape(kind: Attribute) -> str:
    """`64x2xi16`"""
    memref = cast(MemRefType[Attribute], kind)
    return "x".join([*map(str, memref.get_shape()), str(memref.element_type)])


def _facts_of(op: Operation) -> Iterator[tuple[str, str]]:
    match op:
        case ConstantOp():
            yield "matrix", _matrix(op)
        case SpmmOp() | Conv2dOp() | SeparableConv2dOp():
            yield from _product(op)
        case TiledSpmmOp():
            yield from _product(op)
            yield from _tiling(op.panels, op.splits, op.weight)
        case PanelProductOp():
            yield from _tiling(op.panels, op.splits, op.weight)
            yield "lane", str(op.sums[0].type)
        case WritePanelOp() | WriteRowsOp():
            yield "epilogue", _epilogue(op)
        case gpu.LaunchFuncOp():
            yield "launches", op.kernel.string_value()
            yield "grid", _sizes(op.grid)
            yield "block", _sizes(op.block)
        case _:
            return


def _matrix(constant: ConstantOp) -> str:
    rows, columns = constant.shape
    nonzeros = constant.values.get_shape()[0]
    return (
        f"{rows} x {columns}, {nonzeros} nonzeros ({nonzeros / (rows * columns):.2%}),"
        f" {constant.values.get_element_type()}"
    )


def _product(op: Untiled | TiledSpmmOp) -> Iterator[tuple[str, str]]:
    window = None if isinstance(op, SpmmOp) or op.window is None else op.window.data
    yield "columns", str(op.result.type.get_shape()[-1] if window is None else window.columns)
    yield "schedule", "not chosen yet" if op.schedule is None else _schedule(op.schedule)
    yield "epilogue", _epilogue(op)


def _schedule(schedule: ScheduleAttr) -> str:
    """The knobs that differ from their default."""
    knobs = str(schedule).partition("<")[2].removesuffix(">")
    return knobs or "every knob at its default"


def _epilogue(op: Untiled | TiledSpmmOp | WritePanelOp | WriteRowsOp) -> str:
    activation = [] if op.activation is None else [op.activation.data.value]
    residual = [] if op.residual is None else ["residual"]
    last = residual if op.residual_after_activation is not None else []
    first = [] if last else residual
    steps = [*(["bias"] if op.bias is not None else []), *first, *activation, *last]
    return ", then ".join(steps) or "none"


def _tiling(panels: Dense, splits: Dense, weight: SSAValue) -> Iterator[tuple[str, str]]:
    rows = to_numpy(panels)
    text = f"{rows.shape[0]} of up to {rows.shape[1]} rows"
    if isinstance(weight.owner, ConstantOp):
        lengths = np.append(np.diff(to_numpy(weight.owner.row_offsets)), 0)
        loads = lengths[rows].sum(axis=1)
        text += f", {loads.min()} to {loads.max()} nonzeros each"
    yield "panels", text
    yield "K groups", str(splits.get_shape()[1] - 1)


def _multiply_adds(function: Operation) -> Iterator[tuple[str, str]]:
    """Of the unrolled runs; neighbours at the same place share one load of x."""
    runs = [op for op in function.walk() if isinstance(op, AccumulateOp | PtrAccumulateOp)]
    if not runs:
        return
    places = [to_numpy(op.columns if isinstance(op, AccumulateOp) else op.offsets) for op in runs]
    loads = sum(int(np.count_nonzero(np.diff(place))) + bool(place.size) for place in places)
    total = sum(place.size for place in places)
    yield "multiply-adds", f"{total} in {len(runs)} runs, with {loads} loads of x"


def _sizes(values: Sequence[SSAValue[Attribute]]) -> str:
    return " x ".join(_known_number(value) for value in values)


def _known_number(value: SSAValue) -> str:
    match value.owner:
        case ColumnTilesOp():
            return str(value.owner.tiles)
        case arith.ConstantOp(value=IntegerAttr() as number):
            return str(number.value.data)
        case _:
            return "?"
