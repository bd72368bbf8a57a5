"""Small kernels for compute-sanitizer, at least one for each value of a schedule's knobs that makes
other code; all arrays hold whole numbers so small that every result is exact.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import random_convolutions
import random_layers
import random_separable
from compiling import compile_convolution, compile_layer, compile_separable

from sparsert_ir import Kernel, Schedule, SparseMatrix
from sparsert_ir.dense import Array
from sparsert_ir.window import Window

Dtype: TypeAlias = Literal["f32", "f16", "bf16"]
Residual: TypeAlias = Literal["none", "before", "after"]


@dataclass(frozen=True, eq=False)
class KernelCase:
    """One kernel: how to compile it for a target (None: the GPU present), and what it must give.

    schedule: None for the cost model's choice.
    columns:  N.
    update:   None, or a matrix of other values and the result with them.
    """

    name: str
    dtype: Dtype
    schedule: Schedule | None
    columns: int
    compile: Callable[[str | None], Kernel]
    arguments: list[Array]
    expected: Array
    update: tuple[SparseMatrix, Array] | None = None


CODE: dict[str, dict[str, Any]] = {
    "default knobs": {},
    "one row": {"rows_per_panel": 1},
    "panels that do not fill the matrix": {"rows_per_panel": 7},
    "one panel": {"rows_per_panel": 64},
    "two columns": {"columns_per_thread": 2},
    "four columns": {"columns_per_thread": 4},
    "eight columns": {"columns_per_thread": 8, "rows_per_panel": 4},
    "K groups": {"k_groups": 4},
    "many K groups": {"k_groups": 16, "rows_per_panel": 8},
    "K groups, two columns": {"k_groups": 3, "columns_per_thread": 2, "rows_per_panel": 5},
    "two blocks in a cluster": {"cluster": 2, "columns_per_thread": 2},
    "eight blocks in a cluster": {"cluster": 8, "rows_per_panel": 4, "accumulation": "f32"},
    "clusters and K groups": {"cluster": 4, "k_groups": 2, "columns_per_thread": 2},
    "rows clustered": {"permutation": "clustered"},
    "few threads": {"threads": 7},
    "many threads": {"threads": 256},
    "loop over columns": {"threads": 8, "column_tiles": 3},
    "panels side by side": {"panels_per_block": 4, "rows_per_panel": 3},
    "panels first": {"block_order": "panels"},
    "streamed": {"stores": "streaming"},
    "streamed fours": {"stores": "streaming", "columns_per_thread": 4, "k_groups": 2},
    "overlapped": {"launch": "overlapped"},
    "overlapped K groups": {"launch": "overlapped", "k_groups": 4, "rows_per_panel": 6},
    "folded": {"accumulation": "folded", "columns_per_thread": 2},
    "folded by 3": {"accumulation": "folded", "fold_length": 3},
    "sums in f32": {"accumulation": "f32", "columns_per_thread": 2},
    "staged": {"staging": "async", "stages": 2, "rows_per_stage": 4},
    "staged, panels side by side": {
        "staging": "async",
        "stages": 3,
        "rows_per_stage": 7,
        "panels_per_block": 2,
        "columns_per_thread": 2,
        "column_tiles": 2,
        "threads": 8,
        "launch": "overlapped",
    },
    "staged in bulk": {
        "staging": "bulk",
        "stages": 2,
        "rows_per_stage": 4,
        "panels_per_block": 2,
        "columns_per_thread": 4,
        "threads": 8,
    },
    "everything": {
        "rows_per_panel": 5,
        "k_groups": 3,
        "columns_per_thread": 2,
        "threads": 8,
        "column_tiles": 2,
        "panels_per_block": 2,
        "block_order": "panels",
        "stores": "streaming",
        "accumulation": "folded",
        "launch": "overlapped",
    },
}
DATA: dict[str, dict[str, Any]] = {
    "default knobs": {},
    "one row": {"rows_per_panel": 1},
    "32 rows": {"rows_per_panel": 32},
    "one nonzero at a time": {"chunk": 1, "stages": 1},
    "two nonzeros, three stages": {"chunk": 2, "stages": 3},
    "many nonzeros at a time": {"chunk": 8, "stages": 8},
    "one warp": {"threads": 32},
    "many warps": {"threads": 1024},
    "two columns, eight groups": {"columns_per_thread": 2, "column_groups": 8},
    "four columns": {"columns_per_thread": 4},
    "eight columns, two groups": {"columns_per_thread": 8, "column_groups": 2},
    "sixteen columns": {"columns_per_thread": 16},
    "32 groups": {"rows_per_panel": 1, "column_groups": 32},
    "panels one after another": {"threads": 32, "panels_per_warp": 3, "columns_per_thread": 4},
    "streamed": {"stores": "streaming", "columns_per_thread": 4},
    "overlapped": {"launch": "overlapped", "columns_per_thread": 4},
}
TENSOR_CORES: dict[str, dict[str, Any]] = {
    "one tile": {},
    "two tiles, one row": {"column_groups": 2, "rows_per_panel": 1},
    "four tiles, eight rows": {"column_groups": 4, "rows_per_panel": 8},
    "long chunks, one stage": {"chunk": 8, "stages": 1, "column_groups": 2},
    "in turn, overlapped": {"panels_per_warp": 3, "threads": 32, "launch": "overlapped"},
    "streamed": {"stores": "streaming", "rows_per_panel": 4},
}
WINDOWS: dict[str, Window] = {
    "padded": Window(batch=2, channels=4, image=(5, 6), kernel=(3, 3), padding=(1, 1, 1, 1)),
    "strides and dilation": Window(
        batch=1,
        channels=4,
        image=(9, 8),
        kernel=(2, 3),
        strides=(2, 1),
        padding=(0, 2, 1, 2),
        dilation=(2, 2),
    ),
    "pointwise": Window(batch=2, channels=4, image=(4, 4)),
    "one pixel": Window(batch=1, channels=4, image=(1, 1), kernel=(3, 3), padding=(1, 1, 1, 1)),
    "NHWC": Window(
        batch=2, channels=4, image=(5, 6), kernel=(3, 3), padding=(1, 1, 1, 1), layout="nhwc"
    ),
}
CONVOLUTIONS: dict[str, tuple[Dtype, Schedule | None]] = {
    "code": ("f32", Schedule(rows_per_panel=4, threads=32)),
    "code, K groups": ("f32", Schedule(rows_per_panel=4, k_groups=4, threads=32)),
    "code, f16": ("f16", Schedule(rows_per_panel=3, accumulation="f32", launch="overlapped")),
    "code, bf16": ("bf16", Schedule(rows_per_panel=3, accumulation="f32", columns_per_thread=2)),
    "data": ("f32", Schedule(lowering="data", rows_per_panel=2, threads=64, columns_per_thread=4)),
    "data, f16": (
        "f16",
        Schedule(
            lowering="data",
            rows_per_panel=2,
            threads=64,
            columns_per_thread=8,
            column_groups=2,
            accumulation="f32",
            launch="overlapped",
        ),
    ),
    "data on tensor cores, f16": (
        "f16",
        Schedule(
            lowering="data",
            rows_per_panel=2,
            threads=64,
            columns_per_thread=8,
            column_groups=2,
            accumulation="f32",
            instruction="mma",
        ),
    ),
    "data, bf16": (
        "bf16",
        Schedule(
            lowering="data", rows_per_panel=2, threads=64, columns_per_thread=2, accumulation="f32"
        ),
    ),
    "chosen": ("f32", None),
}
SEPARABLES: dict[str, tuple[Dtype, Schedule | None]] = {
    "plain": ("f32", Schedule(rows_per_panel=4, threads=32)),
    "K groups, panels side by side": (
        "f32",
        Schedule(rows_per_panel=2, k_groups=4, panels_per_block=2, threads=32),
    ),
    "loop over columns, streamed": (
        "f32",
        Schedule(
            rows_per_panel=4,
            threads=8,
            column_tiles=3,
            permutation="clustered",
            block_order="panels",
            stores="streaming",
        ),
    ),
    "f16": ("f16", Schedule(rows_per_panel=3, accumulation="f32", launch="overlapped")),
    "f16, folded": ("f16", Schedule(rows_per_panel=3, accumulation="folded", fold_length=2)),
    "bf16": ("bf16", Schedule(rows_per_panel=3, accumulation="f32", columns_per_thread=2)),
    "chosen": ("f32", None),
}
DTYPES: tuple[Dtype, ...] = ("f32", "f16", "bf16")
COLUMNS = (1, 4, 8, 16, 64)


def all_cases() -> Iterator[KernelCase]:
    """Every case, in a fixed order; made one by one."""
    for dtype in DTYPES:
        yield from _code(dtype)
        yield from _data(dtype)
    yield from _convolutions()
    yield from _separables()


def _code(dtype: Dtype) -> Iterator[KernelCase]:
    base: dict[str, Any] = {"rows_per_panel": 8, "threads": 32}
    in_f32: dict[str, Any] = {"accumulation": "f32"} if dtype == "bf16" else {}
    for knobs, chosen in CODE.items():
        schedule = Schedule(**(base | chosen | in_f32))
        yield _product(f"code, {knobs}", dtype, schedule, 72)
    for columns in (*COLUMNS, 23):
        yield _product("code, chosen", dtype, None, columns, "after")
        yield _product("code", dtype, Schedule(rows_per_panel=8, **in_f32), columns, "before")
    yield _product("code, no nonzeros", dtype, Schedule(**in_f32), 20, density=0.0)


def _data(dtype: Dtype) -> Iterator[KernelCase]:
    base: dict[str, Any] = {"rows_per_panel": 2, "threads": 64, "accumulation": "f32"}
    for knobs, chosen in DATA.items():
        schedule = Schedule(lowering="data", **(base | chosen))
        yield _product(f"data, {knobs}", dtype, schedule, 23, "before")
    on_tensor_cores: dict[str, Any] = base | {"columns_per_thread": 8, "instruction": "mma"}
    for knobs, chosen in TENSOR_CORES.items():
        schedule = Schedule(lowering="data", **(on_tensor_cores | chosen))
        if dtype != "f32":
            yield _product(f"data on tensor cores, {knobs}", dtype, schedule, 23, "before")
    for columns in (*COLUMNS, 23):
        yield _product("data", dtype, Schedule(lowering="data", **base), columns, "after")
        yield _product("data, chosen, new values", dtype, None, columns, lowering="data")
    yield _product(
        "data, x in slices", dtype, None, 16, rows=8, depth=30_000, density=0.003, lowering="data"
    )
    yield _product("data, no nonzeros", dtype, None, 20, density=0.0, lowering="data")


def _product(
    name: str,
    dtype: Dtype,
    schedule: Schedule | None,
    columns: int,
    residual: Residual = "none",
    *,
    rows: int = 24,
    depth: int = 40,
    density: float = 0.3,
    lowering: Literal["code", "data"] | None = None,
) -> KernelCase:
    """A product with bias and ReLU; new values for data where the cost model chose the schedule."""
    case = random_layers.Case(
        rows, depth, columns, density, dtype, True, "relu", residual, schedule, seed=3
    )
    example = random_layers.whole_numbers(case)

    def compiled(target: str | None) -> Kernel:
        return compile_layer(example.layer, target, lowering=lowering)

    element = example.arguments[0].dtype
    update = None
    if lowering == "data":
        other = example.with_weight(-example.layer.matrix.to_dense())
        update = other.layer.matrix, other.expected().astype(element)
    return KernelCase(
        f"{dtype} {name}, N = {columns}",
        dtype,
        schedule,
        columns,
        compiled,
        example.arguments,
        example.expected().astype(element),
        update,
    )


def _convolutions() -> Iterator[KernelCase]:
    for geometry, window in WINDOWS.items():
        for how, (dtype, schedule) in CONVOLUTIONS.items():
            yield _convolution(f"convolution, {geometry}, {how}", dtype, schedule, window, 1)
    depthwise = replace(WINDOWS["padded"], channels=6)
    for how in ("code", "data"):
        dtype, schedule = CONVOLUTIONS[how]
        yield _convolution(f"depthwise convolution, {how}", dtype, schedule, depthwise, 6)


def _convolution(
    name: str, dtype: Dtype, schedule: Schedule | None, window: Window, groups: int
) -> KernelCase:
    case = random_convolutions.Case(
        window=window,
        groups=groups,
        outputs=6 // groups,
        inputs=window.channels // groups,
        density=0.5,
        dtype=dtype,
        bias=True,
        activation="relu",
        residual="after",
        schedule=schedule,
        seed=5,
    )
    example = random_convolutions.whole_numbers(case)
    return KernelCase(
        f"{dtype} {name}",
        dtype,
        schedule,
        window.columns,
        lambda target: compile_convolution(example, target),
        example.arguments,
        example.expected().astype(example.arguments[0].dtype),
    )


def _separables() -> Iterator[KernelCase]:
    """A depthwise and a pointwise convolution in one kernel."""
    for geometry, window in WINDOWS.items():
        for how, (dtype, schedule) in SEPARABLES.items():
            yield _separable(f"separable convolution, {geometry}, {how}", dtype, schedule, window)


def _separable(name: str, dtype: Dtype, schedule: Schedule | None, window: Window) -> KernelCase:
    case = random_separable.Case(
        window=replace(window, channels=6),
        multiplier=1,
        outputs=9,
        density=0.5,
        dtype=dtype,
        between=(True, "relu"),
        bias=True,
        activation="relu",
        residual="after",
        schedule=schedule,
        seed=7,
    )
    example = random_separable.whole_numbers(case)
    return KernelCase(
        f"{dtype} {name}",
        dtype,
        schedule,
        window.columns,
        lambda target: compile_separable(example, target, fused=True).kernels[0],
        example.arguments,
        example.expected().astype(example.arguments[0].dtype),
    )
