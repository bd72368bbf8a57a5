// RUN: sparsert-opt %s -p sparsert-split-k --verify-diagnostics --split-input-file

// expected-error@unknown {{sparsert-split-k: expected a weight made by sparsert.constant}}
func.func @weight_is_an_argument(%w: tensor<1x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) -> tensor<1x8xf32> {
  %0 = sparsert.tiled_spmm %w, %x schedule <k_groups = 2> panels dense<0> : tensor<1x1xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<1x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<1x8xf32>
  func.return %0 : tensor<1x8xf32>
}

// -----

// expected-error@unknown {{sparsert-split-k: schedule: k_groups must be at most 1024, the threads of a block, got 1025}}
func.func @more_groups_than_threads(%x: tensor<4x8xf32>) -> tensor<1x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : tensor<1x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <k_groups = 1025> panels dense<0> : tensor<1x1xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<1x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<1x8xf32>
  func.return %0 : tensor<1x8xf32>
}
