"""Passes mean the same on IR that is legal but that no pipeline makes."""

import numpy as np
import pytest
from xdsl.parser import Parser

from sparsert_ir.context import make_context
from sparsert_ir.dense import Array
from sparsert_ir.errors import IRError
from sparsert_ir.interpreter import interpret
from sparsert_ir.pipeline import pipeline_passes, run_passes

PRODUCT = """%s:2 = sparsert.panel_product %w, %x[%c0] panel %c0 group %c0
  panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32>
  splits dense<[[0, 2], [0, 2]]> : tensor<2x2xi32>
  : tensor<3x2xf32, #sparsert.csr>, memref<2x4xf32> -> vector<4xf32>, vector<4xf32>
"""
KERNEL = """
func.func private @tiles(%x: memref<2x4xf32>, %y: memref<3x4xf32>, %c0: index, %c1: index)
    attributes {{"sparsert.kernel"}} {{
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 4]> : tensor<4xi32>
    column_indices dense<[0, 1, 0, 1]> : tensor<4xi32>
    values dense<[1.0, 10.0, 100.0, 1000.0]> : tensor<4xf32> : tensor<3x2xf32, #sparsert.csr>
  %seven = arith.constant dense<7.0> : vector<4xf32>
  {}
  func.return
}}
func.func @spmm(%x: memref<2x4xf32>, %y: memref<3x4xf32>) {{
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  func.call @tiles(%x, %y, %zero, %one)
    : (memref<2x4xf32>, memref<3x4xf32>, index, index) -> ()
  func.return
}}
"""


def _write(
    sums: str = "%s#0, %s#1",
    column: str = "%c0",
    panel: str = "%c0",
    rows: str = "[0, 2], [1, -1]",
    bias: str = "[1.0, 2.0, 3.0]",
) -> str:
    return (
        f"sparsert.write_panel {sums} to %y[{column}] panel {panel} panels dense<[{rows}]>"
        f" : tensor<2x2xi32> bias dense<{bias}> : tensor<3xf32>"
        " : vector<4xf32>, vector<4xf32> -> memref<3x4xf32>\n"
    )


def _store(lane: str, row: str, target: str = "%y: memref<3x4xf32>") -> str:
    name, kind = target.split(": ")
    return f"sparsert.store_columns {lane}, {name}[{row}, %c0] : {kind}, vector<4xf32>\n"


PACKED = {
    "written at once": _write(),
    "column defined in between": "%q = arith.constant 0 : index\n" + _write(column="%q"),
    "another product with another bias": (
        _write() + PRODUCT.replace("%s", "%t") + _write("%t#0, %t#1", bias="[5.0, 6.0, 7.0]")
    ),
    "each sum stored": _store("%s#0", "%c1") + _store("%s#1", "%c0"),
}
NOT_PACKED = {
    "another panel": _write(panel="%c1"),
    "other rows": _write(rows="[1, -1], [0, 2]"),
    "more panels": _write(rows="[0, 2], [1, -1], [-1, -1]").replace("2x2xi32", "3x2xi32"),
    "other order": _write(sums="%s#1, %s#0"),
    "one sum twice": _write(sums="%s#0, %s#0"),
    "written twice": _write() + _write(panel="%c1"),
    "y stored to in between": _store("%seven", "%c0") + _write(),
    "x stored to in between": _store("%seven", "%c0", "%x: memref<2x4xf32>") + _write(),
    "stored to x": _store("%s#0", "%c0", "%x: memref<2x4xf32>") + _store("%s#1", "%c0"),
    "stored to one place": _store("%s#1", "%c0") + _store("%s#0", "%c0"),
    "stored and written": _store("%s#1", "%c1") + _write(),
}


def _run_kernel(uses: str, passes: str = "") -> Array:
    """y after a kernel that uses its sums like this, run after some passes."""
    context = make_context()
    module = Parser(context, KERNEL.format(PRODUCT + uses)).parse_module()
    module.verify()
    for _ in run_passes(module, pipeline_passes(passes), context):
        module.verify()
    y = np.zeros((3, 4), np.float32)
    interpret(module, "spmm", np.arange(1, 9, dtype=np.float32).reshape(2, 4), y)
    return y


@pytest.mark.parametrize("uses", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("one_pass", ["sparsert-unroll-pattern", "sparsert-pack-pattern"])
def test_sums_written_next_go_where_they_did(one_pass: str, uses: str) -> None:
    np.testing.assert_array_equal(_run_kernel(uses, one_pass), _run_kernel(uses))


@pytest.mark.parametrize("uses", NOT_PACKED.values(), ids=NOT_PACKED)
def test_sums_used_otherwise_go_where_they_did_or_are_refused(uses: str) -> None:
    unrolled = _run_kernel(uses, "sparsert-unroll-pattern")
    np.testing.assert_array_equal(unrolled, _run_kernel(uses))
    with pytest.raises(IRError, match="sparsert-pack-pattern: expected all sums written by one"):
        _run_kernel(uses, "sparsert-pack-pattern")


LINALG = """
func.func @product(%x: tensor<3x{columns}x{kind}>, %e: tensor<2x{columns}x{kind}>)
    -> tensor<2x{columns}x{kind}> {{
  %w = arith.constant dense<[[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]]> : tensor<2x3x{kind}>
  %zero = arith.constant 0.0 : {kind}
  %zeros = linalg.fill ins(%zero : {kind}) outs(%e : tensor<2x{columns}x{kind}>)
    -> tensor<2x{columns}x{kind}>
  %y = linalg.matmul ins(%w, %x : tensor<2x3x{kind}>, tensor<3x{columns}x{kind}>)
    outs(%zeros : tensor<2x{columns}x{kind}>) -> tensor<2x{columns}x{kind}>
  func.return %y : tensor<2x{columns}x{kind}>
}}
"""


@pytest.mark.parametrize("one_pass", ["sparsert-import-linalg", "sparsert-fuse-epilogue"])
@pytest.mark.parametrize(("columns", "kind"), [("4", "f64"), ("?", "f32"), ("?", "f64")])
def test_products_that_no_layer_has_stay_as_they_were(
    columns: str, kind: str, one_pass: str
) -> None:
    context = make_context()
    module = Parser(context, LINALG.format(columns=columns, kind=kind)).parse_module()
    before = module.clone()
    for _ in run_passes(module, pipeline_passes(one_pass), context):
        module.verify()
    assert module.is_structurally_equivalent(before)
