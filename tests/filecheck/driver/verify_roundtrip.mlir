// RUN: sparsert-opt %s --verify-roundtrip | filecheck %s
// RUN: sparsert-opt %s --verify-roundtrip -p sparsert-partition,sparsert-map-to-gpu,sparsert-unroll-pattern | sparsert-opt --verify-roundtrip | filecheck %s

// CHECK: func.func @product
func.func @product(%x: tensor<4x8xf32>) -> tensor<2x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[1, 0, 3]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x4xf32, #sparsert.csr>
  %y = sparsert.spmm %w, %x schedule <rows_per_panel = 2> : tensor<2x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}
