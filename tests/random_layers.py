"""Random layers with legal schedules, and how to run every stage of their compilation."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from random_numbers import Checked, Draw, Sign, apply_epilogue, normal, whole
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass
from xdsl.traits import SymbolTable

from sparsert_ir.context import make_context
from sparsert_ir.dense import Array
from sparsert_ir.element_types import DTYPES, ROUNDOFF, SMALLEST, Dtype, numpy_type
from sparsert_ir.frontend import Layer, build_module
from sparsert_ir.gpu_facts import (
    ASYNC_COPY_FROM,
    BULK_COPY_FROM,
    CLUSTERS_FROM,
    MMA_FROM,
    architecture_number,
)
from sparsert_ir.interpreter import interpret
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.passes import PIPELINES
from sparsert_ir.passes.map_data_to_gpu import MapDataToGpu
from sparsert_ir.pipeline import pipeline_passes
from sparsert_ir.schedule import Accumulation, Schedule

GPU = "sparsert-gpu-pipeline"
GPU_DATA = "sparsert-gpu-data-pipeline"
GPU_DATA_SLICES = "gpu data, little shared memory"
CPU_DATA = "sparsert-cpu-pipeline"
CPU_CODE = "sparsert-cpu-code-pipeline"
GPU_EXPANDED = "gpu, expanded"
CPU_EXPANDED = "cpu code, expanded"

_TO_LLVM = ",sparsert-convert-to-llvm"
_BEFORE_LLVM = {name: passes.removesuffix(_TO_LLVM) for name, passes in PIPELINES.items()}
_BEFORE_LLVM[GPU_EXPANDED] = _BEFORE_LLVM[GPU] + ",sparsert-expand"
_BEFORE_LLVM[CPU_EXPANDED] = _BEFORE_LLVM[CPU_CODE] + ",sparsert-expand"
_BEFORE_LLVM[GPU_DATA_SLICES] = _BEFORE_LLVM[GPU_DATA] + "{shared-memory=48}"

_ON_GPU = (GPU, GPU_EXPANDED)
_STREAMED = (GPU_DATA, GPU_DATA_SLICES)
_SLOW = (CPU_DATA, GPU_EXPANDED, CPU_EXPANDED)

_BLOCK_THREADS = 1024
_WORKGROUP_BYTES = 48 * 1024


@dataclass(frozen=True)
class Case:
    """A layer without its numbers."""

    rows: int
    depth: int
    columns: int
    density: float
    dtype: Dtype
    bias: bool
    activation: Literal["relu"] | None
    residual: Literal["none", "before", "after"]
    schedule: Schedule | None
    seed: int


@st.composite
def cases(draw: st.DrawFn, pipeline: str, architecture: str = "sm_90") -> Case:
    """Shapes, densities, epilogues and every knob of the schedule, as far as `pipeline` takes them.

    architecture: of the GPU: launches may overlap and blocks form clusters on sm_90 and later, x
                  may be staged on sm_80 and later.

    Where the matrix is data or is expanded, the interpreter walks over every nonzero for every
    lane: shapes are smaller there.
    """
    size = st.integers(1, 12 if pipeline in _SLOW else 40)
    columns, dtype = draw(size), draw(st.sampled_from(DTYPES))
    rows = draw(size)
    given = data_schedules(dtype) if pipeline in _STREAMED else schedules(pipeline, columns, dtype)
    schedule = draw(given if pipeline == GPU_DATA_SLICES else st.none() | given)
    if schedule is not None and pipeline in _ON_GPU:
        assume(fits_block(schedule, min(rows, schedule.rows_per_panel)))
    if schedule is not None and architecture_number(architecture) < CLUSTERS_FROM:
        schedule = replace(schedule, launch="serial", cluster=1)
    if schedule is not None and schedule.instruction == "mma":
        assume(architecture_number(architecture) >= MMA_FROM)
    if schedule is not None and schedule.staging in ("async", "bulk"):
        assume(architecture_number(architecture) >= ASYNC_COPY_FROM)
        if architecture_number(architecture) < BULK_COPY_FROM:
            schedule = replace(schedule, staging="async")
    return Case(
        rows=rows,
        depth=draw(size),
        columns=columns,
        density=draw(st.sampled_from((0.0, 0.05, 0.3, 0.7, 1.0))),
        dtype=dtype,
        bias=draw(st.booleans()),
        activation=draw(st.sampled_from(("relu", None))),
        residual=draw(st.sampled_from(("none", "before", "after"))),
        schedule=schedule,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def accumulations(dtype: str) -> tuple[Accumulation, ...]:
    """bf16 is added in f32 only."""
    return ("f32",) if dtype == "bf16" else ("plain", "folded", "f32")


@st.composite
def schedules(draw: st.DrawFn, pipeline: str, columns: int, dtype: str) -> Schedule:
    """Legal schedules for a layer of so many columns (on a CPU: neighbours in memory)."""
    gpu = pipeline in _ON_GPU
    widths = [1, 2, 3, 4, 8, 11, 16]
    if gpu:
        pairs = dtype != "f32"
        widths = [w for w in (1, 2, 4, 8) if columns % w == 0 or (w == 2 and pairs)]
    schedule = Schedule(
        lowering="data" if pipeline == CPU_DATA else "code",
        rows_per_panel=draw(st.sampled_from((1, 2, 3, 7, 16, 64))),
        permutation=draw(st.sampled_from(("balanced", "clustered"))),
        columns_per_thread=draw(st.sampled_from(widths)),
        accumulation=draw(st.sampled_from(accumulations(dtype))),
        fold_length=draw(st.sampled_from((1, 2, 5, 16))),
    )
    if pipeline == CPU_DATA:
        chains = draw(st.sampled_from((1, 2, 3, 4)))
        schedule = replace(schedule, permutation="balanced", chains=chains)
    if not gpu:
        return replace(schedule, staging=draw(st.sampled_from(("none", "copy"))))
    staged = draw(st.booleans()) and (dtype == "f32" or columns % 2 == 0)
    whole_rows = columns * (4 if dtype == "f32" else 2) % 16 == 0
    if staged:
        schedule = replace(
            schedule,
            staging=draw(st.sampled_from(("async", "bulk") if whole_rows else ("async",))),
            stages=draw(st.integers(2, 4)),
            rows_per_stage=draw(st.sampled_from((1, 4, 7))),
        )
    whole_words = (
        dtype == "f32" or schedule.accumulation != "plain" or schedule.columns_per_thread > 1
    )
    cluster = draw(st.sampled_from((1, 1, 2, 4, 8))) if whole_words and not staged else 1
    threads = (8, 32, 64) if staged else (1, 3, 8, 32, 64)
    return replace(
        schedule,
        k_groups=1 if staged else draw(st.integers(1, 5)),
        cluster=cluster,
        threads=draw(st.sampled_from(threads)),
        column_tiles=1 if cluster > 1 or schedule.staging == "bulk" else draw(st.integers(1, 3)),
        panels_per_block=draw(st.integers(1, 4)),
        block_order=draw(st.sampled_from(("columns", "panels"))),
        stores=draw(st.sampled_from(("cached", "streaming"))),
        launch=draw(st.sampled_from(("serial", "overlapped"))),
    )


@st.composite
def data_schedules(draw: st.DrawFn, dtype: str) -> Schedule:
    """Every knob of a matrix that is data on a GPU."""
    on_tensor_cores = dtype != "f32" and draw(st.booleans())
    rows = draw(st.sampled_from((1, 2, 4, 8) if on_tensor_cores else (1, 2, 4, 8, 16, 32)))
    groups = [number for number in (1, 2, 4, 8, 16, 32) if rows * number <= 32]
    if on_tensor_cores:
        groups = [1, 2, 4]
    return Schedule(
        lowering="data",
        rows_per_panel=rows,
        column_groups=draw(st.sampled_from(groups)),
        columns_per_thread=draw(st.sampled_from((8,) if on_tensor_cores else (1, 2, 4, 8, 16))),
        threads=draw(st.sampled_from((32, 64, 128, 256))),
        chunk=draw(st.sampled_from((4, 8) if on_tensor_cores else (1, 2, 4, 8))),
        stages=draw(st.integers(1, 4)),
        panels_per_warp=draw(st.integers(1, 4)),
        stores=draw(st.sampled_from(("cached", "streaming"))),
        accumulation="f32" if dtype != "f32" else draw(st.sampled_from(("plain", "f32"))),
        launch=draw(st.sampled_from(("serial", "overlapped"))),
        instruction="mma" if on_tensor_cores else "fma",
    )


def fits_block(schedule: Schedule, height: int) -> bool:
    """Threads, and partial sums of at most four bytes each, within the limits of a block."""
    sums = schedule.block_threads * schedule.columns_per_thread * height
    if schedule.cluster > 1:
        received = -(-height // schedule.cluster) * schedule.cluster
        sums += schedule.block_threads // schedule.k_groups * schedule.columns_per_thread * received
    fits = 4 * sums + 8 <= _WORKGROUP_BYTES
    return schedule.block_threads <= _BLOCK_THREADS and fits


@dataclass(frozen=True, eq=False)
class Example(Checked):
    """A layer with its numbers; the arguments are x and, where there is one, the residual."""

    layer: Layer
    arguments: list[Array]

    def with_weight(self, weight: Array) -> "Example":
        """The same layer and arguments with another matrix of the same shape."""
        dtype = numpy_type(self.layer.dtype)
        matrix = SparseMatrix.of(weight, dtype)
        return Example(replace(self.layer, matrix=matrix), self.arguments)

    def error_bound(self) -> Array:
        """How far a result may be from `expected`: (K + 4) roundings of sums that are no larger
        than those of the absolute values (N. Higham, "Accuracy and Stability of Numerical
        Algorithms", 2002, section 3.1).
        """
        dtype = self.layer.dtype
        roundings = 1.1 * (self.layer.matrix.shape[1] + 4)
        return roundings * (ROUNDOFF[dtype] * self.magnitude() + SMALLEST[dtype])

    def apply(self, sign: Sign) -> Array:
        x, *residual = (sign(array.astype(np.float64)) for array in self.arguments)
        y = sign(self.layer.matrix.to_dense().astype(np.float64)) @ x
        return apply_epilogue(y, self.layer, residual, 0, sign)


def whole_numbers(case: Case) -> Example:
    """Numbers so small that every partial sum is exact, in f16 too, and in bf16."""
    random = np.random.default_rng(case.seed)
    return _example(case, whole(random, case.dtype), random)


def real_numbers(case: Case) -> Example:
    """Normally distributed numbers."""
    random = np.random.default_rng(case.seed)
    return _example(case, normal(random), random)


def _example(case: Case, draw: Draw, random: np.random.Generator) -> Example:
    dtype = numpy_type(case.dtype)
    present = random.random((case.rows, case.depth)) < case.density
    y_shape = (case.rows, case.columns)
    layer = Layer(
        matrix=SparseMatrix.of(draw(case.rows, case.depth) * present, dtype),
        columns=case.columns,
        bias=draw(case.rows).astype(dtype).astype(np.float32) if case.bias else None,
        activation=case.activation,
        residual=case.residual,
        dtype=case.dtype,
        schedule=case.schedule,
    )
    shapes = [(case.depth, case.columns)] + ([] if case.residual == "none" else [y_shape])
    return Example(layer, [draw(*shape).astype(dtype) for shape in shapes])


def passes_before_llvm(pipeline: str) -> tuple[ModulePass, ...]:
    """The passes of a named pipeline up to the level that the interpreter still runs."""
    return pipeline_passes(_BEFORE_LLVM[pipeline])


def stages(layer: Layer, pipeline: str) -> Iterator[tuple[str, ModuleOp]]:
    """The module as built, then after every pass before the conversion to LLVM."""
    module = build_module(layer)
    yield "built", module
    for one in passes_before_llvm(pipeline):
        if pipeline == GPU_DATA_SLICES and isinstance(one, MapDataToGpu):
            one = replace(one, shared_memory=_rows_of_x(layer, 5))
        one.apply(make_context(), module)
        yield one.name, module


def _rows_of_x(layer: Layer, rows: int) -> int:
    """Bytes of so many rows in shared memory, one of them of zeros; whole 16-byte pieces."""
    schedule = layer.schedule
    if schedule is None:
        return 48
    if schedule.panels_per_warp > 1:
        rows = layer.matrix.shape[1] + 1  # all of x
    columns = schedule.columns_per_thread * schedule.column_groups
    byte_count = rows * columns * numpy_type(layer.dtype).itemsize
    return -(-byte_count // 16) * 16


def run(module: ModuleOp, name: str, arguments: list[Array], order_seed: int | None = 0) -> Array:
    """The result of the function, at the tensor level and with memrefs; y is NaN before."""
    function = SymbolTable.lookup_symbol(module, StringAttr(name))
    kind = cast(func.FuncOp, function).function_type
    if kind.outputs.data:
        return interpret(module, name, *arguments)[0]
    y_type = cast(Any, kind.inputs.data[-1])
    y = np.full(y_type.get_shape(), np.nan, arguments[0].dtype)
    interpret(module, name, *arguments, y, order_seed=order_seed)
    return y
