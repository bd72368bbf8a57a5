"""Windows gathered in rounds: exact where rounds meet channels, filter rows and slices anyhow."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compiling import compile_convolution
from ptxas import assemble
from random_convolutions import Case, Example, convolve, whole_numbers
from random_layers import GPU_DATA, passes_before_llvm, run
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp

from sparsert_ir.context import make_context
from sparsert_ir.dialects import gpu
from sparsert_ir.frontend import build_module
from sparsert_ir.gpu.window_rounds import WindowRounds
from sparsert_ir.passes.map_data_to_gpu import MapDataToGpu
from sparsert_ir.schedule import Schedule
from sparsert_ir.window import Window

THREE = Window(batch=1, channels=12, image=(6, 7), kernel=(3, 3), padding=(1, 1, 1, 1))
ROUNDS = Schedule(lowering="data", rows_per_panel=2, columns_per_thread=8, threads=128)

TAKEN: dict[str, tuple[Window, Schedule]] = {
    "3x3": (THREE, ROUNDS),
    "one channel more than a round has": (replace(THREE, channels=6), ROUNDS),
    "filter rows end within rounds": (replace(THREE, channels=48), ROUNDS),
    "all rounds have two filter rows": (replace(THREE, channels=5), ROUNDS),
    "one round": (replace(THREE, channels=5, kernel=(1, 3), padding=(0, 1, 0, 1)), ROUNDS),
    "several batches": (replace(THREE, channels=40), replace(ROUNDS, threads=64)),
    "stride 2": (replace(THREE, strides=(2, 2)), ROUNDS),
    "dilation 2": (replace(THREE, dilation=(2, 2), padding=(2, 2, 2, 2)), ROUNDS),
    "dilation and stride": (replace(THREE, dilation=(2, 1), strides=(1, 3)), ROUNDS),
    "other padding on each side": (replace(THREE, padding=(0, 3, 2, 1)), ROUNDS),
    "no padding": (replace(THREE, padding=(0, 0, 0, 0)), ROUNDS),
    "padding wider than the filter": (replace(THREE, padding=(4, 4, 4, 4)), ROUNDS),
    "batch 3": (replace(THREE, batch=3), ROUNDS),
    "nhwc": (replace(THREE, layout="nhwc"), ROUNDS),
    "nhwc, batch 3, stride": (replace(THREE, layout="nhwc", batch=3, strides=(2, 1)), ROUNDS),
    "5x5": (replace(THREE, kernel=(5, 5), padding=(2, 2, 2, 2)), ROUNDS),
    "2x4": (replace(THREE, kernel=(2, 4), padding=(1, 2, 0, 1)), ROUNDS),
    "3x1": (replace(THREE, kernel=(3, 1), channels=32), ROUNDS),
    "1x1": (replace(THREE, kernel=(1, 1), padding=(0, 0, 0, 0)), ROUNDS),
    "1x1, stride 2": (replace(THREE, kernel=(1, 1), padding=(0, 1, 0, 0), strides=(2, 2)), ROUNDS),
    "tensor cores": (THREE, replace(ROUNDS, instruction="mma", accumulation="f32", chunk=4)),
    "wide tiles": (THREE, replace(ROUNDS, column_groups=2)),
}  # fmt: skip

NOT_TAKEN: dict[str, tuple[Window, Schedule]] = {
    "channels of three filter rows in a round": (replace(THREE, channels=2), ROUNDS),
    "a run of more rows than threads": (replace(THREE, kernel=(3, 5)), replace(ROUNDS, threads=32)),
    "too many rounds": (replace(THREE, channels=130, image=(1, 3)), replace(ROUNDS, threads=32)),
}

CASES = TAKEN | NOT_TAKEN
ALL = pytest.mark.parametrize("name", CASES)
SHARED_MEMORY = pytest.mark.parametrize("slice_rows", [None, 32, 50])
"""Rows of a slice: not a multiple of a round's, nor of a run's."""


def example_of(name: str) -> Example:
    """All elements of the window are used: the filter has no zeros."""
    window, schedule = CASES[name]
    dtype = "f16" if schedule.instruction == "mma" else "f32"
    return whole_numbers(
        Case(window, 1, 2, window.channels, 1.0, dtype, False, None, "none", schedule, 5)
    )


def gathering(example: Example, slice_rows: int | None) -> ModuleOp:
    """The module with the kernel that gathers."""
    module = build_module(example.layer)
    for one in passes_before_llvm(GPU_DATA):
        if isinstance(one, MapDataToGpu) and slice_rows is not None:
            one = replace(one, shared_memory=_bytes_of(example, slice_rows))
        one.apply(make_context(), module)
    module.verify()
    return module


def _bytes_of(example: Example, rows: int) -> int:
    """Of so many rows in shared memory and one of zeros, whole 16-byte pieces."""
    schedule = example.layer.schedule
    assert schedule is not None
    columns = schedule.columns_per_thread * schedule.column_groups
    return -(-(rows + 1) * columns * example.arguments[0].itemsize // 16) * 16


def divisions(module: ModuleOp) -> int:
    """In kernels, of the row numbers among others."""
    kernels = (op for op in module.walk() if isinstance(op, gpu.FuncOp))
    return sum(isinstance(op, arith.DivUIOp) for kernel in kernels for op in kernel.walk())


@SHARED_MEMORY
@ALL
def test_gathered_windows_are_exact_on_whole_numbers(name: str, slice_rows: int | None) -> None:
    example = example_of(name)
    y = run(gathering(example, slice_rows), example.layer.name, example.arguments)
    np.testing.assert_array_equal(y, example.expected().astype(y.dtype), strict=True)


@ALL
def test_what_is_loaded_for_the_outside_never_reaches_y(name: str) -> None:
    """NaN at the first pixel of each channel, which stands for what lies outside, and at the last,
    which is what lies before the first one in memory.
    """
    example = example_of(name)
    window = CASES[name][0]
    x, touched = example.arguments[0].copy(), np.zeros(window.array_shape)
    images, marks = (
        array if window.layout == "nchw" else array.transpose(0, 3, 1, 2) for array in (x, touched)
    )
    images[:, :, [0, -1], [0, -1]], marks[:, :, [0, -1], [0, -1]] = np.nan, 1
    reached = convolve((example.weight != 0).astype(np.float64), touched, window, 1) > 0
    y = run(gathering(example, None), example.layer.name, [x])
    np.testing.assert_array_equal(np.isnan(y), reached)


@pytest.mark.parametrize("name", TAKEN)
def test_rounds_need_no_division_of_their_own(name: str) -> None:
    """As many divisions as there are without a row: of threads, panels, columns, and one of tx."""
    assert divisions(gathering(example_of(name), None)) == 6


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_where_rounds_do_not_apply_each_element_finds_its_place(name: str) -> None:
    assert divisions(gathering(example_of(name), None)) > 7


def rounds_of(name: str) -> Iterator[WindowRounds]:
    window, schedule = TAKEN[name]
    thread_rows = schedule.threads // (schedule.columns_per_thread * schedule.column_groups)
    for first, rows in ((0, window.depth), (7, window.depth - 7)):
        yield WindowRounds(window=window, first=first, rows=rows, thread_rows=thread_rows)


@pytest.mark.parametrize("name", TAKEN)
def test_rounds_say_where_each_row_lies(name: str) -> None:
    """The constants of all threads and rounds against the window's own offsets."""
    for rounds in rounds_of(name):
        window = rounds.window
        _, by_channel, _, by_column = window.element_strides
        seen: list[int] = []
        for i in range(rounds.count):
            for row in range(rounds.left(i)):
                number = rounds.first + i * rounds.per_round + row
                run, tx = divmod(rounds.into_run + row, window.kernel[1])
                ty = (rounds.lowest_run(i) + run) // window.channels
                assert ty in rounds.filter_rows(i)
                across = (tx * window.dilation[1] - window.padding[1]) * by_column
                place = across + run * by_channel + rounds.row_distance(ty)
                place += rounds.channel_distance(i, ty)
                assert place == window.row_offsets(number)
                seen.append(number)
        assert seen == list(range(rounds.first, rounds.first + rounds.rows))


def test_loads_and_stores_of_a_round_add_constants(tmp_path: Path) -> None:
    """No arithmetic between the loads of rounds that have one filter row."""
    ptx = compile_convolution(example_of("filter rows end within rounds"), "sm_90").ptx
    loads = [line for line in ptx.splitlines() if "ld.global.nc" in line and "+" in line]
    assert len(loads) >= 20
    assert sum("st.shared" in line and "+" in line for line in ptx.splitlines()) >= 28
    assert assemble(ptx, "sm_90", tmp_path).spill_bytes == 0
