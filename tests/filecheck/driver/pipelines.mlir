// RUN: sparsert-opt %s -p sparsert-partition -p 'sparsert-split-k{groups=2},sparsert-map-to-gpu' | filecheck %s --check-prefix=MANY
// RUN: sparsert-opt %s -p 'dce,canonicalize,sparsert-partition' | filecheck %s --check-prefix=XDSL
// RUN: not sparsert-opt %s -p sparsert-partitoin 2>&1 | filecheck %s --check-prefix=UNKNOWN
// RUN: not sparsert-opt %s -p 'sparsert-partition{rows=2}' 2>&1 | filecheck %s --check-prefix=OPTION
// RUN: not sparsert-opt %s -p 'sparsert-partition{rows-per-panel=two}' 2>&1 | filecheck %s --check-prefix=TYPE
// RUN: not sparsert-opt %s -p 'sparsert-partition,' -p '{' 2>&1 | filecheck %s --check-prefix=SYNTAX

// MANY: gpu.launch_func
// MANY: sym_name = "partial_sums"
// XDSL: sparsert.tiled_spmm

// UNKNOWN: sparsert-opt: error: no pass or pipeline 'sparsert-partitoin'; did you mean sparsert-partition?
// OPTION: sparsert-opt: error: pass sparsert-partition has no option 'rows'; its options are rows-per-panel: int|None
// TYPE: sparsert-opt: error: pass sparsert-partition{rows-per-panel="two"}: option rows-per-panel has a value of the wrong type; its options are rows-per-panel: int|None
// SYNTAX: sparsert-opt: error: pipeline '{', column 1: Expected pass name here

func.func @product(%x: tensor<4x8xf32>) -> tensor<2x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[1, 0, 3]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x4xf32, #sparsert.csr>
  %y = sparsert.spmm %w, %x schedule <rows_per_panel = 2> : tensor<2x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}
