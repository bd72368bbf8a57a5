"""Compiling costs what the nonzeros cost, however many columns the matrix has."""

import tracemalloc
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from random_layers import CPU_CODE, CPU_DATA, GPU, GPU_DATA, passes_before_llvm
from xdsl.dialects import memref
from xdsl.dialects.builtin import MemRefType

from sparsert_ir import Schedule
from sparsert_ir.context import make_context
from sparsert_ir.errors import ScheduleError
from sparsert_ir.frontend import Layer, build_module
from sparsert_ir.gpu.x_stages import plan_stages
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.pipeline import count_ops
from sparsert_ir.window import Window

DEPTH = 2**28
MOST_BYTES = 2**25
COLUMNS = np.array([7, 2**20, DEPTH - 1, 0, DEPTH - 1, 99, DEPTH // 2], np.int32)


IMAGES = Window(batch=1, channels=DEPTH, image=(2, 2), kernel=(1, 1))


def _layer(schedule: Schedule, window: Window | None, depth: int = DEPTH) -> Layer:
    offsets = np.array([0, 3, 3, 5, 7], np.int32)
    values = np.arange(1, 8, dtype=np.float32)
    columns = (COLUMNS.astype(np.int64) * (depth - 1) // (DEPTH - 1)).astype(np.int32)
    matrix = SparseMatrix(offsets, columns, values, (4, depth))
    return Layer(matrix=matrix, columns=4, window=window, schedule=schedule)


def _peak_bytes(pipeline: str, layer: Layer) -> int:
    """Memory that the passes take; checks that they leave valid IR."""
    module, context = build_module(layer), make_context()
    tracemalloc.start()
    try:
        for each in passes_before_llvm(pipeline):
            each.apply(context, module)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    module.verify()
    return peak


@pytest.mark.parametrize(
    ("pipeline", "knobs"),
    [
        (GPU, {}),
        (GPU, {"permutation": "clustered"}),
        (GPU, {"k_groups": 4}),
        (GPU, {"cluster": 4, "k_groups": 2}),
        (GPU, {"staging": "async", "rows_per_stage": 4, "threads": 32}),
        (GPU, {"staging": "bulk", "rows_per_stage": 4, "threads": 32, "panels_per_block": 2}),
        (CPU_CODE, {}),
        (CPU_CODE, {"permutation": "clustered", "columns_per_thread": 4}),
        (CPU_CODE, {"staging": "copy", "columns_per_thread": 4}),
        (CPU_DATA, {"lowering": "data", "columns_per_thread": 4}),
    ],
)
def test_columns_without_nonzeros_cost_nothing(pipeline: str, knobs: dict[str, Any]) -> None:
    schedule = replace(Schedule(rows_per_panel=2), **knobs)
    assert _peak_bytes(pipeline, _layer(schedule, None)) < MOST_BYTES


@pytest.mark.parametrize("pipeline", [GPU, CPU_CODE, CPU_DATA])
def test_channels_without_nonzeros_cost_nothing(pipeline: str) -> None:
    lowering = "data" if pipeline == CPU_DATA else "code"
    schedule = Schedule(lowering=lowering, rows_per_panel=2)
    assert _peak_bytes(pipeline, _layer(schedule, IMAGES)) < MOST_BYTES


def test_a_stream_of_many_rows_of_x_has_no_more_code_and_few_empty_steps() -> None:
    """In memory of 48 KiB a hundred thousand rows of x are 9 slices and a million 82."""
    operations: set[int] = set()
    for depth in (10**5, 10**6):
        layer = _layer(Schedule(lowering="data", rows_per_panel=2), None, depth)
        module, context = build_module(layer), make_context()
        for each in passes_before_llvm(GPU_DATA):
            each.apply(context, module)
        operations.add(count_ops(module))
        tables = [op for op in module.walk() if isinstance(op, memref.GlobalOp)]
        shapes = {op.sym_name.data: cast(MemRefType[Any], op.type).get_shape() for op in tables}
        # 32 readers of one nonzero each: a step for each nonzero that lies elsewhere, and for the
        # first slice of both panels.
        assert shapes["spmm_values"][0] <= 32 * (layer.matrix.nonzeros + 2)
    # How many loads are on their way at once depends on a slice's size.
    assert max(operations) < 1.2 * min(operations)


@pytest.mark.parametrize("window", [None, IMAGES])
def test_streams_of_so_many_rows_of_x_are_refused(window: Window | None) -> None:
    with pytest.raises(ScheduleError, match="at most 1024 slices"):
        _peak_bytes(GPU_DATA, _layer(Schedule(lowering="data", rows_per_panel=2), window))


def test_a_table_of_staged_rows_beyond_the_limit_is_refused_before_it_is_made() -> None:
    rows = 2**12
    offsets = np.arange(rows + 1, dtype=np.int32)
    indices = np.zeros(rows, np.int32)
    panels = np.arange(rows, dtype=np.int32).reshape(-1, 1)
    with pytest.raises(ScheduleError, match="taller panels, more panels_per_block or a smaller"):
        plan_stages((offsets, indices, DEPTH), panels, 1, 2**13, 2)
