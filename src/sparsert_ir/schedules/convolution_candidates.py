"""The schedules of a convolution worth measuring."""

from dataclasses import replace

from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu_convolution import predict_cpu_convolution
from sparsert_ir.cost_model.gpu import Product, predict_us
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.candidates import data_neighbours, diverse
from sparsert_ir.schedules.convolution import (
    convolution_lowering,
    default_convolution,
    gpu_candidates,
)
from sparsert_ir.schedules.cpu import cpu_convolution_candidates
from sparsert_ir.window import Window

_DATA_SHARE = 4
"""One in so many candidates has the filter as data where code would fit."""


def best_convolutions(
    matrix: SparseMatrix, window: Window, dtype: str, target: str, count: int
) -> list[Schedule]:
    """The `count` schedules that look fastest: on a CPU by `cost_model.cpu_convolution`; on a GPU
    by the model of products, and for the filter as data what is near the default.

    target: "cpu" or an architecture.
    """
    if target == "cpu":
        facts = ConvolutionFacts(window, matrix.shape[0], matrix.nonzeros, dtype)
        found = cpu_convolution_candidates(facts)
        return sorted(found, key=lambda one: predict_cpu_convolution(facts, one))[:count]
    data = _as_data(matrix, window, dtype, target)
    if convolution_lowering(matrix.shape, matrix.nonzeros, window).lowering == "data":
        return data[:count]
    code = _as_code(matrix, window, dtype, target)[: count - count // _DATA_SHARE]
    return [*code, *data[: count - len(code)]]


def _as_code(matrix: SparseMatrix, window: Window, dtype: str, architecture: str) -> list[Schedule]:
    product, limits = Product.of(matrix, window.columns, dtype), limits_of(architecture)
    found = gpu_candidates(matrix.shape, window, dtype, architecture)
    found += [replace(one, permutation=way) for way in ("balanced", "clustered") for one in found]
    found = list(dict.fromkeys(found))
    return diverse(sorted(found, key=lambda one: predict_us(one, product, limits)))


def _as_data(matrix: SparseMatrix, window: Window, dtype: str, architecture: str) -> list[Schedule]:
    """The default, then one knob changed: every thread stays in one column of the block."""
    default = default_convolution(
        matrix.shape, window, dtype, architecture, "data", matrix.nonzeros
    )
    near = data_neighbours(default, matrix.shape, window.columns, dtype, architecture)
    return [
        one
        for one in (default, *near)
        if one.threads % (one.columns_per_thread * one.column_groups) == 0
    ]
