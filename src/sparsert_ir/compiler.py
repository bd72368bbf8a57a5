"""The public entry: from a constant sparse matrix to a kernel."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy.typing as npt

from sparsert_ir.compilation import Compilation
from sparsert_ir.cost_model.budget import CODE_BUDGET
from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.element_types import BF16_FROM, Dtype, DtypeLike
from sparsert_ir.errors import ArgumentError
from sparsert_ir.frontend import Layer
from sparsert_ir.gpu_facts import architecture_number
from sparsert_ir.kernel import Kernel
from sparsert_ir.layer_arguments import is_integer, make_layer
from sparsert_ir.matrix import MatrixLike
from sparsert_ir.schedule import Lowering, Schedule
from sparsert_ir.schedules.convolution import (
    convolution_lowering,
    convolution_threads,
    default_convolution,
)
from sparsert_ir.schedules.cpu import with_lowering
from sparsert_ir.schedules.default import (
    choose_lowering,
    default_cpu_schedule,
    default_lowering,
    default_threads,
    gpu_schedule_for,
)
from sparsert_ir.schedules.knobs import check_accumulation, check_architecture_has, check_knobs
from sparsert_ir.schedules.separable import default_separable
from sparsert_ir.targets import target_of

if TYPE_CHECKING:
    from sparsert_ir.tuner.record import TuningRecord

ScheduleLike: TypeAlias = "Schedule | TuningRecord | str | os.PathLike[str] | None"
"""A schedule, a tuning record, the path of one, "tune", or None: see `compile_spmm`."""

_MOST_THREADS = 1024


def compile_spmm(
    weight: MatrixLike,
    n: int,
    *,
    bias: npt.ArrayLike | None = None,
    activation: Literal["relu"] | None = None,
    residual: bool | Literal["before", "after"] = False,
    dtype: DtypeLike = "f32",
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
    dtype:      "f32", "f16" or "bf16", or a type of numpy or torch: element type of x, y, the
                residual and the weight's values. numpy has bf16 from the package ml_dtypes; on a
                GPU it needs sm_80 or later.
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
    if not is_integer(code_budget) or code_budget < 0:
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


def _schedule(
    layer: Layer,
    target: str,
    schedule: Schedule | None,
    lowering: Any,
    code_budget: int,
) -> Schedule:
    if not isinstance(lowering, str | None) or lowering not in (None, "code", "data"):
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
        return chosen if lowering is None else with_lowering(chosen, lowering)
    if layer.window is not None:
        if lowering is None and target != "cpu":
            lowering = convolution_lowering(
                matrix.shape, matrix.nonzeros, layer.window, code_budget
            ).lowering
        return default_convolution(
            matrix.shape, layer.window, layer.dtype, target, lowering or "data", matrix.nonzeros
        )
    if target == "cpu":
        return default_cpu_schedule(
            matrix.shape, layer.columns, layer.dtype, matrix.nonzeros, lowering or "data"
        )
    if lowering is None:
        lowering = default_lowering(matrix.shape, matrix.nonzeros, layer.columns, code_budget)
    return gpu_schedule_for(matrix, layer.columns, layer.dtype, lowering, target)
