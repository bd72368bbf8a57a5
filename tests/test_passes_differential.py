"""Every pass means the same: the interpreter runs the module after each one on the same data."""

from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_layers import (
    CPU_CODE,
    CPU_DATA,
    CPU_EXPANDED,
    GPU,
    GPU_DATA,
    GPU_DATA_SLICES,
    GPU_EXPANDED,
    Example,
    cases,
    passes_before_llvm,
    real_numbers,
    run,
    stages,
    whole_numbers,
)
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.printer import Printer

from sparsert_ir.context import make_context
from sparsert_ir.cpu.row_packing import LONG_ROW
from sparsert_ir.dense import Array
from sparsert_ir.frontend import Layer
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.passes.convert_to_llvm import ConvertToLLVM
from sparsert_ir.pipeline import run_passes

PIPELINES = pytest.mark.parametrize(
    "pipeline",
    [GPU, GPU_DATA, GPU_DATA_SLICES, CPU_DATA, CPU_CODE, GPU_EXPANDED, CPU_EXPANDED],
)

KEEP_EVERY_BIT = frozenset(
    [
        "sparsert-import-linalg",
        "sparsert-partition",
        "sparsert-map-to-gpu",
        "sparsert-map-to-cpu",
        "sparsert-vectorize",
        "sparsert-unroll-pattern",
        "sparsert-pack-pattern",
        "sparsert-expand",
    ]
)
"""Not: `sparsert-fuse-epilogue` (the epilogue is rounded once, with sums in f32),
`sparsert-schedule` (may choose the element type of the sums), `sparsert-split-k` and
`sparsert-map-data-to-gpu` (reorder), `sparsert-stage-x` (folds at the end of a step)."""


@PIPELINES
@given(data=st.data())
def test_every_stage_is_exact_on_whole_numbers(pipeline: str, data: st.DataObject) -> None:
    example = whole_numbers(data.draw(cases(pipeline)))
    expected = example.expected().astype(example.arguments[0].dtype)
    for stage, module in stages(example.layer, pipeline):
        y = run(module, "spmm", example.arguments)
        np.testing.assert_array_equal(y, expected, err_msg=f"after {stage}", strict=True)


@PIPELINES
@given(data=st.data())
def test_every_stage_is_within_the_error_bound(pipeline: str, data: st.DataObject) -> None:
    example = real_numbers(data.draw(cases(pipeline)))
    expected, bound = example.expected(), example.error_bound()
    for stage, module in stages(example.layer, pipeline):
        error = np.abs(run(module, "spmm", example.arguments) - expected)
        assert (error <= bound).all(), f"after {stage}: {(error / bound).max()} times the bound"


@PIPELINES
@given(data=st.data())
def test_mapping_passes_keep_every_bit(pipeline: str, data: st.DataObject) -> None:
    case = data.draw(cases(pipeline))
    example = real_numbers(case)
    before: Array | None = None
    for stage, module in stages(example.layer, pipeline):
        y = run(module, "spmm", example.arguments)
        if before is not None and stage in KEEP_EVERY_BIT and not _adds_otherwise(example, stage):
            np.testing.assert_array_equal(_bits(y), _bits(before), err_msg=f"after {stage}")
        before = y


def _adds_otherwise(example: Example, stage: str) -> bool:
    """Loops over packed nonzeros deal those of long rows to several sums. They, and products with a
    copy of x, add each product in f32, which `folded` allows.
    """
    schedule, matrix = example.layer.schedule, example.layer.matrix
    packs = stage == "sparsert-pack-pattern"
    if packs and matrix.nonzeros >= LONG_ROW * matrix.shape[0]:
        return True
    copies = schedule is not None and schedule.staging == "copy"
    unfolds = packs or (stage == "sparsert-map-to-cpu" and copies)
    return schedule is not None and schedule.accumulation == "folded" and unfolds


def _bits(array: Array) -> Array:
    return array.view(f"u{array.dtype.itemsize}")


@pytest.mark.parametrize("pipeline", [GPU, GPU_DATA, GPU_DATA_SLICES])
@given(data=st.data(), seed=st.integers(1, 2**32 - 1))
def test_result_does_not_depend_on_the_order_of_blocks(
    pipeline: str, data: st.DataObject, seed: int
) -> None:
    example = real_numbers(data.draw(cases(pipeline)))
    for stage, module in stages(example.layer, pipeline):
        ascending = run(module, "spmm", example.arguments, order_seed=None)
        shuffled = run(module, "spmm", example.arguments, order_seed=seed)
        np.testing.assert_array_equal(_bits(shuffled), _bits(ascending), err_msg=f"after {stage}")


@PIPELINES
@pytest.mark.parametrize("generic", [False, True], ids=["readable", "generic"])
@given(data=st.data())
def test_every_stage_verifies_and_is_read_back_as_printed(
    pipeline: str, generic: bool, data: st.DataObject
) -> None:
    example = whole_numbers(data.draw(cases(pipeline)))
    for stage, module in stages(example.layer, pipeline):
        module.verify()
        text = _print(module, generic)
        again = Parser(make_context(), text).parse_module()
        again.verify()
        assert module.is_structurally_equivalent(again), f"after {stage}:\n{text}"


def _print(module: ModuleOp, generic: bool) -> str:
    stream = StringIO()
    Printer(stream, print_generic_format=generic).print_op(module)
    return stream.getvalue()


LINALG = """
#by_element = affine_map<(i, j) -> (i, j)>
#by_row = affine_map<(i, j) -> (i)>
func.func @named(%x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %w = arith.constant dense<[[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]]> : tensor<2x3xf32>
  %b = arith.constant dense<[5.0, -6.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x4xf32>) -> tensor<2x4xf32>
  %y = linalg.matmul ins(%w, %x : tensor<2x3xf32>, tensor<3x4xf32>)
    outs(%zeros : tensor<2x4xf32>) -> tensor<2x4xf32>
  %rows = linalg.broadcast ins(%b : tensor<2xf32>) outs(%empty : tensor<2x4xf32>) dimensions = [1]
  %biased = linalg.add ins(%y, %rows : tensor<2x4xf32>, tensor<2x4xf32>)
    outs(%empty : tensor<2x4xf32>) -> tensor<2x4xf32>
  %added = linalg.add ins(%r, %biased : tensor<2x4xf32>, tensor<2x4xf32>)
    outs(%empty : tensor<2x4xf32>) -> tensor<2x4xf32>
  %active = linalg.max ins(%added, %zeros : tensor<2x4xf32>, tensor<2x4xf32>)
    outs(%empty : tensor<2x4xf32>) -> tensor<2x4xf32>
  func.return %active : tensor<2x4xf32>
}
func.func @generic(%x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %w = arith.constant dense<[[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]]> : tensor<2x3xf32>
  %b = arith.constant dense<[5.0, -6.0]> : tensor<2xf32>
  %zeros = arith.constant dense<0.0> : tensor<2x4xf32>
  %y = linalg.matmul ins(%w, %x : tensor<2x3xf32>, tensor<3x4xf32>)
    outs(%zeros : tensor<2x4xf32>) -> tensor<2x4xf32>
  %biased = linalg.generic {
      indexing_maps = [#by_element, #by_row, #by_element],
      iterator_types = ["parallel", "parallel"]}
    ins(%y, %b : tensor<2x4xf32>, tensor<2xf32>) outs(%zeros : tensor<2x4xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %sum = arith.addf %p, %q : f32
    linalg.yield %sum : f32
  } -> tensor<2x4xf32>
  %added = linalg.generic {
      indexing_maps = [#by_element, #by_element, #by_element],
      iterator_types = ["parallel", "parallel"]}
    ins(%biased, %r : tensor<2x4xf32>, tensor<2x4xf32>) outs(%zeros : tensor<2x4xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %sum = arith.addf %q, %p : f32
    linalg.yield %sum : f32
  } -> tensor<2x4xf32>
  %active = linalg.generic {
      indexing_maps = [#by_element, #by_element], iterator_types = ["parallel", "parallel"]}
    ins(%added : tensor<2x4xf32>) outs(%zeros : tensor<2x4xf32>) {
  ^bb0(%p: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %largest = arith.maximumf %p, %zero : f32
    linalg.yield %largest : f32
  } -> tensor<2x4xf32>
  func.return %active : tensor<2x4xf32>
}
"""


@PIPELINES
@pytest.mark.parametrize("function", ["named", "generic"])
def test_linalg_means_the_same_at_every_stage(pipeline: str, function: str) -> None:
    random = np.random.default_rng(0)
    x, residual = (random.integers(-3, 4, shape).astype(np.float32) for shape in ((3, 4), (2, 4)))
    weight = np.array([[0, 1, 0], [2, 0, 3]], np.float32)
    expected = np.maximum(weight @ x + np.array([[5], [-6]], np.float32) + residual, 0)
    context = make_context()
    module = Parser(context, LINALG).parse_module()
    np.testing.assert_array_equal(run(module, function, [x, residual]), expected)
    for record in run_passes(module, passes_before_llvm(pipeline), context):
        y = run(module, function, [x, residual])
        np.testing.assert_array_equal(y, expected, err_msg=f"after {record.name}")


@PIPELINES
def test_nan_reaches_exactly_the_rows_with_a_nonzero_in_its_column(pipeline: str) -> None:
    weight = np.array([[1, 0, 2], [0, 3, 0], [0, 0, 0], [0, 4, 5]], np.float32)
    layer = Layer(matrix=SparseMatrix.of(weight), columns=3, activation="relu")
    x = np.ones((3, 3), np.float32)
    x[1, 2] = np.nan
    expected = weight @ np.ones((3, 3), np.float32)
    expected[[1, 3], 2] = np.nan
    for stage, module in stages(layer, pipeline):
        y = run(module, "spmm", [x])
        np.testing.assert_array_equal(y, expected, err_msg=f"after {stage}")


@pytest.mark.parametrize("pipeline", [GPU_EXPANDED, CPU_EXPANDED])
@given(data=st.data())
def test_expanded_code_converts_to_llvm(pipeline: str, data: st.DataObject) -> None:
    *_, (_, module) = stages(real_numbers(data.draw(cases(pipeline))).layer, pipeline)
    ConvertToLLVM().apply(make_context(), module)
    module.verify()
    names = {op.name for op in module.walk()}
    assert not {"math.fma", "vector.fma", "sparsert.load_columns", "arith.addf"} & names
