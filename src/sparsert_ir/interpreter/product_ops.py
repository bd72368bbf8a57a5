"""Thread level of `sparsert`: panels, runs of multiply-adds and what happens to their sums."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from xdsl.ir import Attribute, Operation

from sparsert_ir.dense import Array, IntArray, to_numpy
from sparsert_ir.dialects.sparsert import (
    AccumulateOp,
    ColumnTilesOp,
    FirstColumnOp,
    LoadColumnsOp,
    PanelProductOp,
    StoreColumnsOp,
    WritePanelOp,
    WriteRowsOp,
    lane_width,
)
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import Memory, element_dtype, poisoned
from sparsert_ir.interpreter.memory_ops import (
    Access,
    check_read,
    lane_shape,
    locate_lane,
    read,
    write,
)
from sparsert_ir.interpreter.multiply_add import Run, deal_run, run_sums
from sparsert_ir.interpreter.views import View, view_of
from sparsert_ir.layout.partition import panel_run
from sparsert_ir.matrix import SparseMatrix


def matrix_run(
    matrix: SparseMatrix,
    panels: IntArray,
    splits: IntArray,
    panel: int,
    group: int,
    positions: Array | None = None,
) -> Run:
    """The multiply-adds of one K group of one panel, in the order in which a thread adds them;
    with `positions`, one for each nonzero, the run's columns are those.
    """
    begin, end = int(splits[panel, group]), int(splits[panel, group + 1])
    columns, rows, order = panel_run(
        matrix.row_offsets, matrix.column_indices, panels[panel], begin, end
    )
    sources = columns if positions is None else positions[order]
    return deal_run(sources, rows, matrix.values[order], panels.shape[1])


def epilogue(
    total: Array, bias: Array | None, residual: Array | None, relu: bool, residual_after: bool
) -> Array:
    """`activation(total + bias + residual)` in the element type of `total`; NaN stays NaN.

    With `residual_after` the residual is added after the activation.
    """
    if bias is not None:
        total = total + bias.astype(total.dtype)
    if residual is not None and not residual_after:
        total = total + residual.astype(total.dtype)
    if relu:
        total = np.maximum(total, total.dtype.type(0))
    if residual is not None and residual_after:
        total = total + residual.astype(total.dtype)
    return total


@dataclass(frozen=True)
class _Product:
    """The sums of a run for all columns of x, valid while x has the version `version`."""

    run: Run
    x: Memory
    version: int
    sums: Array


def _product(
    frame: Frame,
    key: tuple[Operation, int, int],
    x: View,
    make_run: Callable[[], Run],
    fold: int | None,
) -> _Product:
    """The sums of a run for all columns at once: columns do not depend on each other, so a lane is
    a slice of what is computed here once.
    """
    kept: _Product | None = frame.machine.products.get(key)
    if kept is not None and kept.x is x.memory and kept.version == x.memory.root.version:
        return kept
    if x.memory.workgroup and frame.in_cluster:
        frame.fail(key[0], "expected x in global memory, got a cluster's workgroup memory")
    run = make_run() if kept is None else kept.run
    _check_columns(frame, key[0], run, x)
    dtype = element_dtype(key[0].results[0].type)
    sums = run_sums(run, x.gather(run.columns), dtype, fold)
    version = x.memory.root.version
    frame.machine.products[key] = made = _Product(run, x.memory, version, sums)
    return made


def _check_columns(frame: Frame, op: Operation, run: Run, x: View) -> None:
    if run.columns.size and run.columns[-1] >= x.row_count:
        frame.fail(op, f"expected columns below {x.row_count}, got {run.columns[-1]}")


def _lane_sums(
    frame: Frame, op: Operation, product: _Product, x: View, column: Array, lane: Attribute
) -> Array:
    """Sums of the active threads, shape (rows, active threads, width); poison past the end."""
    start = column[frame.lanes]
    width = lane_width(lane)
    check_read(x.locate(frame, op, product.run.columns[:, np.newaxis], start, width))
    place = start[:, np.newaxis] + np.arange(width)
    inside = place < product.sums.shape[1]
    sums = poisoned((product.sums.shape[0], *place.shape), product.sums.dtype)
    sums[:, inside] = product.sums[:, place[inside]]
    return sums


def _sums_of(
    frame: Frame,
    key: tuple[PanelProductOp | AccumulateOp, int, int],
    x: View,
    make_run: Callable[[], Run],
    column: Array,
    initial: Operands,
) -> Array:
    """Sums of the active threads, shape (rows, active threads, width)."""
    op = key[0]
    if initial:
        return _continued_sums(frame, op, make_run(), x, column, np.stack(initial))
    product = _product(frame, key, x, make_run, _fold(op))
    return _lane_sums(frame, op, product, x, column, op.sums[0].type)


def _continued_sums(
    frame: Frame,
    op: PanelProductOp | AccumulateOp,
    run: Run,
    x: View,
    column: Array,
    initial: Array,
) -> Array:
    """As `_lane_sums`, from the initial sums (of all threads) on."""
    _check_columns(frame, op, run, x)
    start, width = column[frame.lanes], lane_width(op.sums[0].type)
    check_read(x.locate(frame, op, run.columns[:, np.newaxis], start, width))
    whole = x.gather(run.columns)
    place = start[:, np.newaxis] + np.arange(width)
    lanes = whole[:, np.minimum(place, whole.shape[1] - 1).ravel()]
    before = initial[:, frame.lanes].reshape(initial.shape[0], -1)
    return run_sums(run, lanes, before.dtype, _fold(op), before).reshape(-1, *place.shape)


def _panel_product(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(PanelProductOp, op)
    matrix, memory, column, panel, group, *rest = operands
    initial = rest[1:] if op.tile is not None else rest
    x = view_of(memory, op.window)
    panels, splits = to_numpy(op.panels), to_numpy(op.splits)
    positions = None if op.positions is None else to_numpy(op.positions)
    lane = op.sums[0].type
    sums = poisoned((panels.shape[1], frame.threads, lane_width(lane)), element_dtype(lane))
    pairs = zip(panel[frame.lanes].tolist(), group[frame.lanes].tolist(), strict=True)
    for one_panel, one_group in sorted(set(pairs)):
        _check_panel(frame, op, one_panel, one_group)

        def make_run(one_panel: int = one_panel, one_group: int = one_group) -> Run:
            return matrix_run(matrix, panels, splits, one_panel, one_group, positions)

        with frame.only(frame.mask & (panel == one_panel) & (group == one_group)):
            sums[:, frame.lanes] = _sums_of(
                frame, (op, one_panel, one_group), x, make_run, column, initial
            )
    return list(sums.reshape(*sums.shape[:2], *lane_shape(lane)))


def _fold(op: PanelProductOp | AccumulateOp) -> int | None:
    return None if op.fold is None else op.fold.value.data


def _check_panel(frame: Frame, op: PanelProductOp, panel: int, group: int) -> None:
    panel_count, groups = op.panels.get_shape()[0], op.splits.get_shape()[1] - 1
    if not (0 <= panel < panel_count and 0 <= group < groups):
        frame.fail(
            op,
            f"expected a panel below {panel_count} and a group below {groups}, got panel {panel}"
            f" and group {group}",
            int(frame.lanes[0]),
        )


def _accumulate(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(AccumulateOp, op)
    memory, column, *initial = operands
    x = view_of(memory, op.window)
    lane = op.sums[0].type

    def make_run() -> Run:
        columns, rows, values = map(to_numpy, (op.columns, op.rows, op.values))
        return deal_run(columns, rows, values, len(op.sums))

    sums = poisoned((len(op.sums), frame.threads, lane_width(lane)), element_dtype(lane))
    sums[:, frame.lanes] = _sums_of(frame, (op, 0, 0), x, make_run, column, initial)
    return list(sums.reshape(*sums.shape[:2], *lane_shape(lane)))


def _write_panel(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(WritePanelOp, op)
    y, column, panel_of_all, *rest = operands
    panel = panel_of_all[frame.lanes]
    panels = to_numpy(op.panels)
    if ((panel < 0) | (panel >= panels.shape[0])).any():
        frame.fail(op, f"expected a panel below {panels.shape[0]}, got {panel.tolist()}")
    rows = panels[panel].T
    bias = None if op.bias is None else to_numpy(op.bias)[np.maximum(rows, 0)]
    _write_sums(frame, op, [y, column, *rest], rows, bias)
    return []


def _write_rows(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(WriteRowsOp, op)
    rows = to_numpy(op.rows)[:, np.newaxis]
    bias = None if op.bias is None else to_numpy(op.bias)[:, np.newaxis]
    _write_sums(frame, op, operands, rows, bias)
    return []


def _write_sums(
    frame: Frame,
    op: WritePanelOp | WriteRowsOp,
    operands: Operands,
    rows: Array,
    bias: Array | None,
) -> None:
    """Write the sums of `rows`, shape (rows, active threads or 1), through the epilogue.

    `operands` are y, the first column, the residual where there is one, and the sums.
    """
    y, column, *rest = operands
    residual_memory = rest.pop(0) if op.residual is not None else None
    width = lane_width(op.sums[0].type)
    sums = np.stack(rest)[:, frame.lanes].reshape(len(rest), -1, width)
    view = view_of(y, op.window)
    target = view.locate(frame, op, np.maximum(rows, 0), column[frame.lanes], width)
    if rows.min() < 0:
        target = target.where(rows >= 0)
    total = epilogue(
        sums,
        None if bias is None else bias[..., np.newaxis],
        None if residual_memory is None else read(target.same_in(residual_memory)),
        op.activation is not None,
        op.residual_after_activation is not None,
    )
    write(target, total.astype(y.elements.dtype))


def _access(
    frame: Frame,
    op: LoadColumnsOp | StoreColumnsOp,
    memory: Memory,
    indices: Operands,
    lane: Attribute,
) -> Access:
    active = [index[frame.lanes] for index in indices]
    if op.window is None:
        return locate_lane(frame, op, memory, active, lane_width(lane))
    row, column = active
    return view_of(memory, op.window).locate(frame, op, row, column, lane_width(lane))


def _load_columns(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(LoadColumnsOp, op)
    memory, *indices = operands
    lane = op.result.type
    access = _access(frame, op, memory, indices, lane)
    found = read(access)
    if op.window is not None:
        rows, columns = (index[frame.lanes, np.newaxis] for index in indices)
        columns = columns + np.arange(lane_width(lane))
        exists = columns < op.window.data.columns
        outside = ~op.window.data.inside(rows, np.where(exists, columns, 0)) & exists
        found[outside] = 0
    return [frame.spread(found.reshape(-1, *lane_shape(lane)))]


def _store_columns(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(StoreColumnsOp, op)
    value, memory, *indices = operands
    access = _access(frame, op, memory, indices, op.value.type)
    write(access, value[frame.lanes].reshape(access.place.shape))
    return []


def _column_tiles(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [frame.all_threads(np.int64(cast(ColumnTilesOp, op).tiles))]


def _first_column(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(FirstColumnOp, op)
    width = op.width.value.data
    column = operands[0] * width
    if op.within is not None:
        column = np.minimum(column, op.within.value.data - width)
    return [column]


PRODUCT_HANDLERS: Mapping[str, Handler] = {
    "sparsert.panel_product": _panel_product,
    "sparsert.accumulate": _accumulate,
    "sparsert.write_panel": _write_panel,
    "sparsert.write_rows": _write_rows,
    "sparsert.load_columns": _load_columns,
    "sparsert.store_columns": _store_columns,
    "sparsert.column_tiles": _column_tiles,
    "sparsert.first_column": _first_column,
}
