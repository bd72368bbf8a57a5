// RUN: sparsert-opt %s -p sparsert-split-k --verify-diagnostics

// expected-error@unknown {{sparsert-split-k: expected a weight made by sparsert.constant}}
func.func @weight_is_an_argument(%w: tensor<1x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) -> tensor<1x8xf32> {
  %0 = sparsert.tiled_spmm %w, %x schedule <k_groups = 2> panels dense<0> : tensor<1x1xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<1x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<1x8xf32>
  func.return %0 : tensor<1x8xf32>
}
