// RUN: sparsert-opt %s -p sparsert-partition --verify-diagnostics

// expected-error@unknown {{sparsert-partition: expected a weight made by sparsert.constant}}
func.func @weight_is_an_argument(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x8xf32>) -> tensor<2x8xf32> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x8xf32> -> tensor<2x8xf32>
  func.return %0 : tensor<2x8xf32>
}
