"""The public entry: from a constant sparse matrix to a kernel."""

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from sparsert_ir.context import make_context
from sparsert_ir.cost_model.budget import CODE_BUDGET
from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.dense import Array
from sparsert_ir.element_types import BF16_FROM, DTYPES, Dtype, is_real, numpy_type, rounded
from sparsert_ir.emit.ptx import ARCHITECTURES, check_architecture
from sparsert_ir.errors import ArgumentError
from sparsert_ir.frontend import Layer, build_module
from sparsert_ir.kernel import Kernel
from sparsert_ir.matrix import MatrixLike, SparseMatrix
from sparsert_ir.passes.map_data_to_gpu import MapDataToGpu
from sparsert_ir.passes.map_to_gpu import MapToGpu
from sparsert_ir.passes.stage_x import StageX
from sparsert_ir.passes.unroll_pattern import UnrollPattern
from sparsert_ir.pipeline import StageRecord, pipeline_passes, run_passes
from sparsert_ir.runtime.device import find_gpu
from sparsert_ir.schedule import Lowering, Schedule
from sparsert_ir.schedules.convolution import (
    convolution_lowering,
    convolution_threads,
    default_convolution,
)
from sparsert_ir.schedules.default import (
    architecture_number,
    choose_lowering,
    default_cpu_schedule,
    default_lowering,
    default_threads,
    gpu_schedule_for,
    shared_memory_of,
)
from sparsert_ir.schedules.knobs import check_accumulation, check_architecture_has, check_knobs
from sparsert_ir.schedules.separable import default_separable

if TYPE_CHECKING:
    from sparsert_ir.tuner.record import TuningRecord

ScheduleLike: TypeAlias = "Schedule | TuningRecord | str | os.PathLike[str] | None"
"""A schedule, a tuning record, the path of one, "tune", or None: see `compile_spmm`."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_PTX = ("_", "WARP_SZ")
"""Names that PTX does not allow (PTX ISA, "Identifiers" and "Predefined Identifiers")."""
_LARGEST_N = LARGEST_ARRAY = 2**31 - 1
_MOST_THREADS = 1024

PIPELINE_OF = {
    ("gpu", "code"): "sparsert-gpu-pipeline",
    ("gpu", "data"): "sparsert-gpu-data-pipeline",
    ("cpu", "code"): "sparsert-cpu-code-pipeline",
    ("cpu", "data"): "sparsert-cpu-pipeline",
}
"""(Kind of target, lowering) -> named pipeline."""


def compile_spmm(
    weight: MatrixLike,
    n: int,
    *,
    bias: npt.ArrayLike | None = None,
    activation: Literal["relu"] | None = None,
    residual: bool | Literal["before", "after"] = False,
    dtype: Dtype = "f32",
    target: str | None = None,
    lowering: Lowering | None = None,
    schedule: ScheduleLike = None,
    name: str = "spmm",
    code_budget: int = CODE_BUDGET,
    threads: int | None = None,
) -> Kernel:
    """Compile `y = activation(weight @ x + bias [+ residual])` for this one `weight`.

    weight:     M x K: a numpy array, a scipy sparse array of any format, or a `SparseMatrix`.
    n:          N, columns of x (K x N) and y (M x N).
    bias:       M numbers.
    activation: "relu" or None. NaN stays NaN.
    residual:   True or "before": the call takes an M x N array that is added before the activation;
                "after": after it.
    dtype:      "f32", "f16" or "bf16": element type of x, y, the residual and the weight's values.
                bf16 is that of the package ml_dtypes in numpy; on a GPU it needs sm_80 or later.
    target:     "cpu"; a GPU's architecture, "sm_70" ... "sm_100"; None: the GPU present, or "cpu".
    lowering:   "code": the matrix becomes instructions; "data": packed arrays that a small kernel
                streams; None: the cost model's choice, "data" wherever code passes `code_budget`.
    schedule:   how the work is mapped to threads, its lowering included: a Schedule; a
                `TuningRecord` or the path of one (`sparsert tune` writes them), which must be for
                this layer; "tune": measure the model's best candidates here, once (the record is
                kept beside the kernel cache); None: the cost model's choice.
    name:       of the kernel in IR and PTX: letters, digits, underscores.
    code_budget: bytes of instructions that the matrix may become.
    threads:    on a CPU, threads that a call uses, at most as many as there are cores for this
                process; None: the cost model's choice. The result does not depend on it.

    Zeros of the weight are skipped: a NaN or infinity in x that meets only zeros does not reach y.
    Sums run in an order that the schedule fixes: the same kernel gives the same bits every time.

    Raises MatrixError, ArgumentError, ScheduleError, TuningRecordError or BudgetError before any
    code is made.
    """
    kind = target_of(target)
    layer = make_layer(
        weight, n, bias=bias, activation=activation, residual=residual, dtype=dtype, name=name
    )
    return compile_layer(layer, kind, schedule, lowering, code_budget, threads)


def _check_budget(code_budget: int) -> None:
    if type(code_budget) is not int or code_budget < 0:
        raise ArgumentError(f"code_budget: expected a number of bytes, got {code_budget!r}")


def compile_layer(
    layer: Layer,
    kind: str,
    schedule: ScheduleLike,
    lowering: Lowering | None,
    code_budget: int,
    threads: int | None = None,
) -> Kernel:
    """Compile a layer for the target `kind`; errors as of `compile_spmm`."""
    _check_budget(code_budget)
    _check_element_type(layer.dtype, kind)
    if schedule is not None and not isinstance(schedule, Schedule):
        from sparsert_ir.tuner.stored import schedule_of

        schedule = schedule_of(schedule, layer, kind, code_budget)
    chosen = _schedule(layer, kind, schedule, lowering, code_budget)
    layer = replace(layer, schedule=chosen)
    asked_for = schedule is not None or lowering is not None
    compilation = Compilation(
        layer,
        kind,
        code_budget,
        "as asked for" if asked_for else _lowering_reason(layer, kind, code_budget),
        _threads(layer, kind, threads),
    )
    return Kernel(compilation)


def _check_element_type(dtype: Dtype, target: str) -> None:
    if dtype == "bf16" and target != "cpu" and architecture_number(target) < BF16_FROM:
        raise ArgumentError(
            f"dtype: expected f32 or f16 for {target}, got bf16, which needs a GPU of"
            f" sm_{BF16_FROM} or later, or the CPU"
        )


@dataclass(frozen=True, eq=False)
class Compilation:
    """What one compilation does: `layer` (with its schedule) for `target`.

    lowering_reason: why the schedule has the lowering that it has.
    threads:         of a call on a CPU.
    """

    layer: Layer
    target: str
    code_budget: int
    lowering_reason: str
    threads: int = 1

    @property
    def is_gpu(self) -> bool:
        return self.target != "cpu"

    @property
    def pipeline(self) -> str:
        """Name of the pipeline that fits target and schedule."""
        assert self.layer.schedule is not None
        kind = "gpu" if self.is_gpu else "cpu"
        key = (kind, self.layer.schedule.lowering)
        if key not in PIPELINE_OF:
            raise ArgumentError(f"schedule: no lowering = {key[1]} for target {self.target}")
        return PIPELINE_OF[key]

    def passes(self) -> list[ModulePass]:
        """The pipeline's passes, with this compilation's options."""
        return [self._with_options(one) for one in pipeline_passes(self.pipeline)]

    def _with_options(self, one: ModulePass) -> ModulePass:
        match one:
            case UnrollPattern():
                return replace(one, code_budget=self.code_budget)
            case MapDataToGpu() | MapToGpu() | StageX():
                return replace(one, shared_memory=shared_memory_of(self.target))
            case _:
                return one

    def build(self) -> ModuleOp:
        """The tensor-level module, before any pass."""
        return build_module(self.layer)

    def run(self) -> tuple[ModuleOp, list[StageRecord]]:
        """The module after all passes, and what each pass did."""
        module = self.build()
        return module, list(run_passes(module, self.passes(), make_context()))

    def run_until(self, stage: str) -> ModuleOp:
        """The module after the pass named `stage`."""
        module = self.build()
        for record in run_passes(module, self.passes(), make_context()):
            if record.name == stage:
                break
        return module


def target_of(target: str | None) -> str:
    """ "cpu" or an architecture that kernels are made for: the GPU's present unless given."""
    if target is None:
        gpu = find_gpu()
        return "cpu" if gpu is None else nearest_architecture(gpu.arch)
    if not isinstance(target, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"target: expected a string or None, got {target!r}")
    if target == "cpu":
        return target
    return check_architecture(target)


def nearest_architecture(architecture: str) -> str:
    """The newest architecture that we compile for and whose code runs on `architecture`."""
    number = int(architecture.removeprefix("sm_"))
    older = [known for known in ARCHITECTURES if int(known.removeprefix("sm_")) <= number]
    if not older:
        raise ArgumentError(
            f"target: expected a GPU of {ARCHITECTURES[0]} or later, got {architecture}; use"
            ' target="cpu"'
        )
    return older[-1]


def _threads(layer: Layer, target: str, threads: Any) -> int:
    if threads is None:
        return _default_threads(layer) if target == "cpu" else 1
    if not is_integer(threads) or not 1 <= threads <= _MOST_THREADS:
        raise ArgumentError(
            f"threads: expected a whole number from 1 to {_MOST_THREADS} or None, got {threads!r}"
        )
    if target != "cpu":
        raise ArgumentError(f"threads: expected None for target {target}, got {threads!r}")
    return int(threads)


def _default_threads(layer: Layer) -> int:
    matrix, schedule = layer.matrix, layer.schedule
    assert schedule is not None
    if layer.window is not None:
        return convolution_threads(ConvolutionFacts.of(layer), schedule)
    return default_threads(matrix.shape, matrix.nonzeros, layer.columns, schedule)


def make_layer(
    weight: MatrixLike,
    n: Any,
    *,
    bias: npt.ArrayLike | None,
    activation: Any,
    residual: Any,
    dtype: Any,
    name: Any,
) -> Layer:
    """The layer that arguments of `compile_spmm` describe, without a schedule; its errors."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ArgumentError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    if not isinstance(activation, str | None) or activation not in (None, "relu"):
        raise ArgumentError(f'activation: expected None or "relu", got {activation!r}')
    places = {False: "none", True: "before", "before": "before", "after": "after"}
    if not isinstance(residual, str | bool) or residual not in places:
        got = repr(residual) if isinstance(residual, str | int | None) else type(residual).__name__
        raise ArgumentError(
            f'residual: expected False, True, "before" or "after", got {got}; the array itself is'
            " an argument of the call"
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _NOT_IN_PTX:
        raise ArgumentError(
            "name: expected letters, digits and underscores, not a digit first and no name that PTX"
            f" reserves, got {name!r}"
        )
    if not is_integer(n) or not 1 <= n <= _LARGEST_N:
        raise ArgumentError(f"n: expected a whole number from 1 to {_LARGEST_N}, got {n!r}")
    matrix = SparseMatrix.of(weight, numpy_type(dtype))
    if int(n) * max(matrix.shape) > LARGEST_ARRAY:
        raise ArgumentError(
            f"n: expected at most {LARGEST_ARRAY} elements in x and in y, got {max(matrix.shape)}"
            f" x {n}; compile for fewer columns and call several times"
        )
    return Layer(
        matrix=matrix,
        columns=int(n),
        bias=None if bias is None else _bias(bias, matrix.shape[0], dtype),
        activation=activation,
        residual=cast(Any, places[residual]),
        dtype=cast(Any, dtype),
        name=name,
    )


def is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _bias(bias: npt.ArrayLike, rows: int, dtype: str) -> Array:
    try:
        numbers = np.asarray(bias)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"bias: expected {rows} numbers, got {type(bias).__name__}") from error
    if numbers.shape != (rows,):
        raise ArgumentError(f"bias: expected shape ({rows},), got {numbers.shape}")
    if not is_real(numbers.dtype):
        raise ArgumentError(f"bias: expected real numbers, got element type {numbers.dtype}")
    kind = numpy_type(dtype)
    with np.errstate(over="ignore"):
        narrow = rounded(numbers, kind)
    if not np.isfinite(narrow).all():
        raise ArgumentError(f"bias: expected finite numbers in {kind}, got NaN or infinity")
    return numbers.astype(np.float32)


def _schedule(
    layer: Layer,
    target: str,
    schedule: Schedule | None,
    lowering: Lowering | None,
    code_budget: int,
) -> Schedule:
    if lowering not in (None, "code", "data"):
        raise ArgumentError(f'lowering: expected None, "code" or "data", got {lowering!r}')
    if schedule is None:
        return default_schedule(layer, target, lowering, code_budget)
    if not isinstance(schedule, Schedule):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"schedule: expected a Schedule or None, got {schedule!r}")
    if lowering not in (None, schedule.lowering):
        raise ArgumentError(
            f"lowering: expected the schedule's, {schedule.lowering}, or None, got {lowering}"
        )
    place = "cpu" if target == "cpu" else "gpu"
    check_knobs(schedule, place, kind=layer.kind)
    check_accumulation(schedule, layer.dtype)
    if target != "cpu":
        check_architecture_has(schedule, architecture_number(target))
    return schedule


def _lowering_reason(layer: Layer, target: str, code_budget: int) -> str:
    if target == "cpu":
        return "the default for a CPU"
    matrix = layer.matrix
    if layer.depthwise is not None:
        return "the only way for two convolutions in one kernel"
    if layer.window is not None:
        chosen = convolution_lowering(matrix.shape, matrix.nonzeros, layer.window, code_budget)
        return chosen.reason
    return choose_lowering(matrix.shape, matrix.nonzeros, layer.columns, code_budget).reason


def default_schedule(
    layer: Layer, target: str, lowering: Lowering | None, code_budget: int
) -> Schedule:
    """What a layer is compiled with for "cpu" or an architecture, unless a schedule is given."""
    matrix = layer.matrix
    if layer.depthwise is not None:
        chosen = default_separable(ConvolutionFacts.of(layer), target)
        return chosen if lowering is None else replace(chosen, lowering=lowering)
    if layer.window is not None:
        if lowering is None and target != "cpu":
            lowering = convolution_lowering(
                matrix.shape, matrix.nonzeros, layer.window, code_budget
            ).lowering
        chosen = default_convolution(
            matrix.shape, layer.window, layer.dtype, target, lowering or "data", matrix.nonzeros
        )
        return chosen if lowering is None else replace(chosen, lowering=lowering)
    if target == "cpu":
        return default_cpu_schedule(
            matrix.shape, layer.columns, layer.dtype, matrix.nonzeros, lowering or "data"
        )
    if lowering is None:
        lowering = default_lowering(matrix.shape, matrix.nonzeros, layer.columns, code_budget)
    return gpu_schedule_for(matrix, layer.columns, layer.dtype, lowering, target)
