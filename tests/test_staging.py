"""x staged in shared memory: what is copied when, the same bits, and mistakes that are found."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import pruned
from hypothesis import assume, given
from hypothesis import strategies as st
from ptxas import assemble
from random_layers import GPU, Case, Example, passes_before_llvm, real_numbers, run, whole_numbers
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.rewriter import InsertPoint

import sparsert_ir
from sparsert_ir import Schedule
from sparsert_ir.building import Code
from sparsert_ir.context import make_context
from sparsert_ir.cost_model.gpu import Product, time_parts
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import (
    AsyncCopyOp,
    AsyncWaitOp,
    AwaitBytesOp,
    ExpectBytesOp,
    MakeSignalsOp,
    PanelProductOp,
)
from sparsert_ir.errors import InterpreterError, ScheduleError
from sparsert_ir.frontend import build_module
from sparsert_ir.gpu.launch_plan import launch_plan
from sparsert_ir.gpu.x_stages import StagePlan, plan_stages
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.passes.stage_x import StageX
from sparsert_ir.schedules.candidates import best_candidates, staged_candidates

KINDS = pytest.mark.parametrize("staging", ["async", "bulk"])
STAGED = Schedule(
    rows_per_panel=4, threads=8, panels_per_block=2, staging="async", stages=3, rows_per_stage=5
)


def example(schedule: Schedule = STAGED, **more: Any) -> Example:
    facts: dict[str, Any] = {
        "rows": 20, "depth": 30, "columns": 24, "density": 0.2, "dtype": "f32", "bias": True,
        "activation": "relu", "residual": "before", "seed": 1,
    }  # fmt: skip
    return whole_numbers(Case(**{**facts, **more}, schedule=schedule))


def staged_module(one: Example) -> ModuleOp:
    """The module after `sparsert-stage-x`."""
    module = build_module(one.layer)
    for each in passes_before_llvm(GPU):
        each.apply(make_context(), module)
        if isinstance(each, StageX):
            break
    module.verify()
    return module


def plan_of(matrix: SparseMatrix, panels: Any, together: int, rows: int, stages: int) -> StagePlan:
    csr = matrix.row_offsets, matrix.column_indices, matrix.shape[1]
    return plan_stages(csr, np.array(panels, np.int32), together, rows, stages)


@given(
    st.integers(1, 20), st.integers(1, 20), st.integers(1, 4), st.integers(1, 6), st.integers(2, 4),
    st.sampled_from((0.0, 0.1, 0.5, 1.0)), st.integers(0, 99),
)  # fmt: skip
def test_every_nonzero_finds_its_row_of_x_in_the_step_that_it_is_added_in(
    rows: int, depth: int, together: int, per_stage: int, stages: int, density: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    matrix = SparseMatrix.of(random.random((rows, depth)) < density)
    panels = np.append(random.permutation(rows), [-1] * (-rows % 3)).astype(np.int32).reshape(-1, 3)
    plan = plan_of(matrix, panels, together, per_stage, stages)
    for panel, members in enumerate(panels):
        for row in members[members >= 0]:
            begin, end = matrix.row_offsets[row : row + 2].tolist()
            for nonzero in range(begin, end):
                column = int(matrix.column_indices[nonzero])
                splits: list[int] = plan.splits[panel].tolist()
                step = bisect_right(splits, column) - 1
                place = int(plan.positions[nonzero])
                assert place // per_stage == step % stages
                copied = plan.rows[panel // together, step * per_stage + place % per_stage]
                assert copied == column


def test_only_rows_that_the_block_needs_are_copied() -> None:
    matrix = SparseMatrix.of([[1, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0]])
    apart = plan_of(matrix, [[0], [1], [2]], 1, 1, 2)
    assert apart.rows.tolist() == [[0, 2], [2, 5], [1, 1]]
    together = plan_of(matrix, [[0], [1], [2]], 2, 2, 2)
    assert together.rows.tolist() == [[0, 2, 5, 5], [1, 1, 1, 1]]
    assert together.splits.tolist() == [[0, 5, 6], [0, 5, 6], [0, 6, 6]]
    assert not together.takes_all
    full = plan_of(SparseMatrix.of(np.ones((2, 5))), [[0], [1]], 1, 2, 2)
    assert full.takes_all
    assert full.rows.tolist() == [[0, 1, 2, 3, 4, 4]] * 2


@KINDS
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"columns_per_thread": 2, "stages": 2},
        {"columns_per_thread": 4, "threads": 4, "block_order": "panels"},
        {"column_tiles": 2, "panels_per_block": 3, "stores": "streaming"},
        {"rows_per_panel": 64, "panels_per_block": 1, "rows_per_stage": 100},
        {"launch": "overlapped", "permutation": "clustered", "rows_per_stage": 1, "stages": 4},
        {"accumulation": "f32"},
        {"accumulation": "folded", "fold_length": 2},
    ],
)
def test_results_are_exact(staging: Any, dtype: Any, knobs: dict[str, Any]) -> None:
    one_tile = {"column_tiles": 1} if staging == "bulk" else {}
    in_f32 = {"accumulation": "f32"} if dtype == "bf16" else {}
    schedule = replace(STAGED, **{**knobs, **one_tile, **in_f32, "staging": staging})
    one = example(schedule, dtype=dtype)
    y = run(staged_module(one), one.layer.name, one.arguments)
    assert np.array_equal(y, one.expected().astype(y.dtype))


@KINDS
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
def test_empty_and_full_matrices(staging: Any, density: float) -> None:
    one = example(replace(STAGED, staging=staging), density=density)
    y = run(staged_module(one), one.layer.name, one.arguments)
    assert np.array_equal(y, one.expected().astype(y.dtype))


@KINDS
def test_sums_keep_their_bits(staging: Any) -> None:
    """Staging changes where x is read, not the order of the additions."""
    case = Case(20, 30, 24, 0.4, "f32", True, None, "none", STAGED, 5)
    results: list[Any] = []
    plain = replace(STAGED, staging="none", stages=4, rows_per_stage=32)
    for schedule in (replace(STAGED, staging=staging), plain):
        one = real_numbers(replace(case, schedule=schedule))
        results.append(run(staged_module(one), one.layer.name, one.arguments))
    assert results[0].tobytes() == results[1].tobytes()


def _the_loop(module: ModuleOp) -> list[Operation]:
    """Operations of the loop over steps."""
    product = next(op for op in module.walk() if isinstance(op, PanelProductOp))
    block = product.parent_block()
    assert block is not None
    return list(block.ops)


def _drop(module: ModuleOp, kind: type[Operation]) -> None:
    op = next(op for op in _the_loop(module) if isinstance(op, kind))
    op.detach()
    op.erase()


def _wait_for_less(module: ModuleOp) -> None:
    wait = next(op for op in _the_loop(module) if isinstance(op, AsyncWaitOp))
    wait.properties["pending"] = AsyncWaitOp(2).pending


def _forget_the_barrier(module: ModuleOp) -> None:
    _drop(module, gpu.BarrierOp)


def _forget_the_wait(module: ModuleOp) -> None:
    _drop(module, AsyncWaitOp)


def _forget_the_bulk_wait(module: ModuleOp) -> None:
    _drop(module, AwaitBytesOp)


def _await_the_other_phase(module: ModuleOp) -> None:
    wait = next(op for op in _the_loop(module) if isinstance(op, AwaitBytesOp))
    code = Code(InsertPoint.before(wait))
    other = code.insert(arith.SubiOp(code.index(1), wait.parity))
    wait.operands[wait.operands.index(wait.parity)] = other


def _expect_less(module: ModuleOp) -> None:
    for op in module.walk():
        if isinstance(op, ExpectBytesOp):
            half = Code(InsertPoint.before(op)).index(16)
            op.operands[op.operands.index(op.byte_count)] = half


def _expect_nothing(module: ModuleOp) -> None:
    for op in list(module.walk()):
        if isinstance(op, ExpectBytesOp):
            op.detach()
            op.erase()


def _expect_by_all(module: ModuleOp) -> None:
    """Move what one thread does out of its branch."""
    for op in list(module.walk()):
        if isinstance(op, ExpectBytesOp):
            branch = op.parent_op()
            assert branch is not None
            op.detach()
            block = branch.parent_block()
            assert block is not None
            block.insert_op_before(op, branch)


def _make_no_signals(module: ModuleOp) -> None:
    for op in list(module.walk()):
        if isinstance(op, MakeSignalsOp):
            op.detach()
            op.erase()


_IN_FLIGHT = "is touched after it was sent, before it is waited for"
_NO_BARRIER = "with no barrier between"


@pytest.mark.parametrize(
    ("staging", "mistake", "words"),
    [
        ("async", _forget_the_barrier, _NO_BARRIER),
        ("async", _forget_the_wait, _IN_FLIGHT),
        ("async", _wait_for_less, _IN_FLIGHT),
        ("bulk", _forget_the_barrier, _NO_BARRIER),
        ("bulk", _forget_the_bulk_wait, _IN_FLIGHT),
        ("bulk", _await_the_other_phase, _IN_FLIGHT),
        ("bulk", _expect_less, "would wait for ever: 16 bytes expected, 160 copied"),
        ("bulk", _expect_nothing, "would wait for ever: an unknown number of bytes expected"),
        ("bulk", _expect_by_all, "expected one thread, got 5"),
        ("bulk", _make_no_signals, "expected signals that were made"),
    ],
)
def test_mistakes_are_found(staging: Any, mistake: Callable[[ModuleOp], None], words: str) -> None:
    one = example(replace(STAGED, staging=staging), density=1.0)
    module = staged_module(one)
    mistake(module)
    with pytest.raises(InterpreterError, match=words):
        run(module, one.layer.name, one.arguments)


def test_rows_that_are_no_multiple_of_16_bytes_are_not_copied_whole() -> None:
    for columns, dtype in ((22, "f32"), (20, "f16")):
        with pytest.raises(ScheduleError, match="staging = bulk copies multiples of 16 bytes"):
            staged_module(example(replace(STAGED, staging="bulk"), columns=columns, dtype=dtype))


def test_a_block_copies_no_more_than_its_columns() -> None:
    """Of 20 columns the third block has 4."""
    one = example(replace(STAGED, staging="bulk"), columns=20)
    y = run(staged_module(one), one.layer.name, one.arguments)
    assert np.array_equal(y, one.expected().astype(y.dtype))


def test_signals_count_one_tile() -> None:
    with pytest.raises(ScheduleError, match="column_tiles must be 1, got 2"):
        staged_module(example(replace(STAGED, staging="bulk", column_tiles=2)))


def test_copies_are_as_wide_as_rows_and_tiles_allow() -> None:
    counts: dict[int, set[int]] = {}
    for columns in (24, 22, 21):
        ops = staged_module(example(columns=columns)).walk()
        counts[columns] = {op.count.value.data for op in ops if isinstance(op, AsyncCopyOp)}
    assert counts == {24: {4}, 22: {2}, 21: {1}}


def test_odd_rows_of_f16_are_refused() -> None:
    with pytest.raises(ScheduleError, match=r"even N .*, got N = 21"):
        staged_module(example(columns=21, dtype="f16"))


def test_older_gpus_are_refused() -> None:
    with pytest.raises(ScheduleError, match="staging = async needs target sm_80 or later"):
        sparsert_ir.compile(np.eye(8), n=16, target="sm_75", schedule=STAGED)
    bulk = replace(STAGED, staging="bulk")
    with pytest.raises(ScheduleError, match="staging = bulk needs target sm_90 or later"):
        sparsert_ir.compile(np.eye(8), n=16, target="sm_80", schedule=bulk)


def test_buffers_beyond_48_kb_are_asked_for_at_the_launch() -> None:
    schedule = replace(STAGED, threads=128, stages=4, rows_per_stage=32)
    kernel = sparsert_ir.compile(pruned(64, 128, 0.3), 256, target="sm_90", schedule=schedule)
    module, _ = kernel.compilation.run()
    assert launch_plan(module).shared_bytes == 4 * 32 * 128 * 4
    # 48 KB and the signals are too much together.
    bulk = replace(schedule, staging="bulk", stages=3)
    kernel = sparsert_ir.compile(pruned(64, 128, 0.3), 256, target="sm_90", schedule=bulk)
    assert launch_plan(kernel.compilation.run()[0]).shared_bytes == 3 * 32 * 128 * 4
    many = replace(schedule, stages=16)
    with pytest.raises(ScheduleError, match=r"must fit in 232448 bytes .* got 262144"):
        sparsert_ir.compile(pruned(64, 128, 0.3), 256, target="sm_90", schedule=many)


@pytest.mark.parametrize(
    ("architecture", "staging", "words"),
    [
        ("sm_80", "async", "cp.async.cg.shared.global"),
        ("sm_90", "async", "cp.async.cg.shared.global"),
        ("sm_90", "bulk", "cp.async.bulk.shared::cluster.global"),
    ],
)
@pytest.mark.parametrize(
    "knobs",
    [
        {"rows_per_panel": 32, "threads": 128, "rows_per_stage": 16},
        {"rows_per_panel": 16, "threads": 64, "columns_per_thread": 4, "column_tiles": 2},
        {"rows_per_panel": 8, "threads": 32, "stages": 2, "panels_per_block": 8},
    ],
)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_staged_kernels_assemble_without_spills(
    architecture: str,
    staging: Any,
    words: str,
    knobs: dict[str, Any],
    dtype: Any,
    tmp_path: Path,
) -> None:
    one_tile = {"column_tiles": 1} if staging == "bulk" else {}
    schedule = replace(STAGED, **{**knobs, **one_tile, "staging": staging})
    kernel = sparsert_ir.compile(
        pruned(64, 96, 0.1), 512, dtype=dtype, target=architecture, schedule=schedule
    )  # fmt: skip
    assert words in kernel.ptx
    assert "ld.global.nc" not in kernel.ptx
    assert assemble(kernel.ptx, architecture, tmp_path).spill_bytes == 0


@given(st.data())
def test_odd_shapes(data: st.DataObject) -> None:
    draw = data.draw
    dtype, columns = draw(st.sampled_from(("f32", "f16"))), draw(st.integers(1, 20))
    schedule = Schedule(
        rows_per_panel=draw(st.integers(1, 9)),
        threads=2 * draw(st.integers(1, 8)),
        panels_per_block=draw(st.integers(1, 4)),
        column_tiles=draw(st.integers(1, 3)),
        staging="async",
        stages=draw(st.integers(2, 5)),
        rows_per_stage=draw(st.integers(1, 9)),
    )
    assume(dtype == "f32" or columns % 2 == 0)
    one = example(
        schedule,
        rows=draw(st.integers(1, 20)),
        depth=draw(st.integers(1, 20)),
        columns=columns,
        density=draw(st.sampled_from((0.0, 0.1, 1.0))),
        dtype=dtype,
        seed=draw(st.integers(0, 99)),
    )
    y = run(staged_module(one), one.layer.name, one.arguments)
    assert np.array_equal(y, one.expected().astype(y.dtype))


def test_the_tuner_tries_staging_where_n_is_large() -> None:
    matrix = SparseMatrix.of(pruned(256, 128, 0.1))
    few = best_candidates(matrix, 196, "f32", "sm_90", 9)
    old = best_candidates(matrix, 4096, "f32", "sm_75", 9)
    assert {one.staging for one in (*few, *old)} == {"none"}
    many = best_candidates(matrix, 4096, "f32", "sm_90", 18)
    assert {one.staging for one in many} == {"none", "async", "bulk"}
    ampere = best_candidates(matrix, 4096, "f32", "sm_80", 9)
    assert {one.staging for one in ampere} == {"none", "async"}


@pytest.mark.parametrize(
    ("dtype", "columns"), [("f32", 4096), ("f16", 4096), ("f16", 4098), ("bf16", 4098)]
)
def test_staged_candidates_are_legal(dtype: Any, columns: int) -> None:
    weight = pruned(96, 64, 0.1)
    found = staged_candidates((96, 64), columns, dtype, "sm_90")
    assert len(found) > 20
    for schedule in found[:: len(found) // 8]:
        sparsert_ir.compile(weight, columns, dtype=dtype, target="sm_90", schedule=schedule)


def test_blocks_that_share_x_are_predicted_to_take_in_less() -> None:
    product, limits = Product((512, 512), 26214, 4096, "f32"), limits_of("sm_90")
    parts = [
        time_parts(replace(STAGED, staging=staging, panels_per_block=8), product, limits)
        for staging in ("none", "async")
    ]
    alone, together = (one["x into the multiprocessors"] for one in parts)
    assert together < alone
