// RUN: sparsert-opt %s -p 'sparsert-map-data-to-gpu{shared-memory=63}' --verify-diagnostics

// One row of x and the row of zeros do not fit.

// expected-error@unknown {{schedule: expected a row of x of at most 24 bytes, got 32; use fewer columns_per_thread or column_groups}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 32, columns_per_thread = 8> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
