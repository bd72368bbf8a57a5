"""What a schedule asks of a matrix that is data on a GPU: is it legal, how does the matrix lie."""

from typing import Literal

import numpy as np
from xdsl.dialects.builtin import f32

from sparsert_ir.dense import IntArray, to_numpy
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu_facts import BLOCK_THREADS, LARGEST_GRID_Y, MMA_DEPTH, MMA_TILE, WARP
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.layout.packing import MMA_LINES, PIECE_BYTES, StreamLayout, most_rows_held
from sparsert_ir.layout.row_lanes import warp_panels
from sparsert_ir.schedule import Schedule

_MOST_SLICES = 1024
_MOST_STAGES = 16
_MMA_BITS = 16


def tile_columns(schedule: Schedule) -> int:
    """Columns of x and y that a block computes."""
    return schedule.columns_per_thread * schedule.column_groups


def tile_count(product: ProductFunction) -> int:
    """Tiles of columns that x and y are cut into."""
    return -(-product.columns // tile_columns(product.schedule))


def tile_dimension(product: ProductFunction) -> Literal["x", "y"]:
    """The dimension of the grid that the tiles take, the panels the other: the second, so that
    blocks with the same columns run together, unless there are more tiles than fit in it.
    """
    return "y" if tile_count(product) <= LARGEST_GRID_Y else "x"


def blocks_per_tile(layout: StreamLayout, schedule: Schedule) -> int:
    """Blocks that share the panels of a tile."""
    of_one_turn = sum(layout.panels) // (schedule.threads // WARP)
    return -(-of_one_turn // schedule.panels_per_warp)


def stream_layout(product: ProductFunction, shared_memory: int) -> tuple[StreamLayout, IntArray]:
    """The layout that a schedule asks for, and the row of each slot (-1 for none); as few slices
    of x as fit in shared memory.
    """
    schedule = product.schedule
    depth = product.constant.shape[1]
    row_bytes = tile_columns(schedule) * product.element_type.bitwidth // 8
    usable = shared_memory // PIECE_BYTES * PIECE_BYTES
    rows = most_rows_held(row_bytes, usable)
    if rows < 1:
        raise ScheduleError(
            f"schedule: expected a row of x of at most {usable // 2} bytes, got {row_bytes};"
            " use fewer columns_per_thread or column_groups"
        )
    slices = -(-depth // rows)
    if slices > _MOST_SLICES:
        raise ScheduleError(
            f"schedule: with lowering = data, expected x in at most {_MOST_SLICES} slices of"
            f" {usable} bytes, got {slices}; use fewer columns_per_thread or column_groups"
        )
    if slices > 1 and schedule.panels_per_warp > 1:
        raise ScheduleError(
            "schedule: with panels_per_warp > 1 all of x stays in shared memory: expected K of at"
            f" most {rows}, got {depth}; use fewer columns_per_thread or column_groups"
        )
    on_tensor_cores = schedule.instruction == "mma"
    order = to_numpy(product.product.panels).ravel()
    dealt = warp_panels(
        order[order >= 0],
        np.diff(product.constant.arrays()[0]),
        height=product.panel_height,
        tallest=MMA_LINES if on_tensor_cores else WARP // schedule.column_groups,
        multiple_of=schedule.threads // WARP,
    )
    layout = StreamLayout(
        panel_rows=dealt.panel_rows,
        panels=dealt.panels,
        column_groups=1 if on_tensor_cores else schedule.column_groups,
        chunk=schedule.chunk,
        slice_columns=-(-depth // slices),
        slices=slices,
        row_bytes=row_bytes // schedule.column_groups if on_tensor_cores else row_bytes,
        together=MMA_DEPTH if on_tensor_cores else 1,
    )
    return layout, dealt.rows


def check_schedule(product: ProductFunction) -> None:
    """Raise ScheduleError, which names the knob, for a schedule that no kernel can follow."""
    schedule = product.schedule
    if schedule.lowering != "data":
        raise ScheduleError(f"schedule: expected lowering = data here, got {schedule.lowering}")
    product.check_schedule("gpu")
    if schedule.instruction == "mma":
        _check_tensor_cores(product)
    sharers = product.panel_height * schedule.column_groups
    if sharers > WARP or WARP % sharers:
        raise ScheduleError(
            "schedule: with lowering = data, rows_per_panel * column_groups must divide"
            f" {WARP}, got {product.panel_height} * {schedule.column_groups}"
        )
    if schedule.threads % WARP or schedule.threads > BLOCK_THREADS:
        raise ScheduleError(
            f"schedule: with lowering = data, threads must be a multiple of {WARP} up to"
            f" {BLOCK_THREADS}, got {schedule.threads}"
        )
    for knob, allowed in (
        ("columns_per_thread", (1, 2, 4, 8, 16)),
        ("chunk", (1, 2, 4, 8)),
    ):
        if getattr(schedule, knob) not in allowed:
            numbers = ", ".join(map(str, allowed))
            raise ScheduleError(
                f"schedule: with lowering = data, {knob} must be one of {numbers}, got"
                f" {getattr(schedule, knob)}"
            )
    if schedule.stages > _MOST_STAGES:
        raise ScheduleError(
            f"schedule: with lowering = data, stages must be at most {_MOST_STAGES}, got"
            f" {schedule.stages}"
        )
    if product.sum_type != f32 or product.fold not in (None, 1):
        raise ScheduleError(
            "schedule: with lowering = data, sums are in f32: accumulation must be f32 for f16,"
            f" got {schedule.accumulation}"
        )


def _check_tensor_cores(product: ProductFunction) -> None:
    schedule = product.schedule
    if product.element_type.bitwidth != _MMA_BITS:
        raise ScheduleError(
            "schedule: instruction = mma multiplies f16 and bf16 only; use fma for"
            f" {product.element_type}"
        )
    for knob, given, allowed in (
        ("columns_per_thread", schedule.columns_per_thread, (MMA_TILE,)),
        ("column_groups", schedule.column_groups, (1, 2, 4)),
        ("chunk", schedule.chunk, (4, 8)),
        ("rows_per_panel", product.panel_height, (1, 2, 4, 8)),
    ):
        if given not in allowed:
            numbers = ", ".join(map(str, allowed))
            one_of = "one of " if len(allowed) > 1 else ""
            raise ScheduleError(
                f"schedule: with instruction = mma, {knob} must be {one_of}{numbers}, got {given}"
            )
