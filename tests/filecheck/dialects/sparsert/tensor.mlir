// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @constant
func.func @constant() -> tensor<2x3xf32, #sparsert.csr> {
  // CHECK: sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.000000e+00, 2.000000e+00, 3.000000e+00]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return %w : tensor<2x3xf32, #sparsert.csr>
}

// CHECK-LABEL: func.func @no_nonzeros
func.func @no_nonzeros() -> tensor<2x3xf16, #sparsert.csr> {
  // CHECK: sparsert.constant row_offsets dense<0> : tensor<3xi32> column_indices dense<> : tensor<0xi32> values dense<> : tensor<0xf16> : tensor<2x3xf16, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<0> : tensor<3xi32> column_indices dense<> : tensor<0xi32> values dense<> : tensor<0xf16> : tensor<2x3xf16, #sparsert.csr>
  func.return %w : tensor<2x3xf16, #sparsert.csr>
}

// CHECK-LABEL: func.func @plain_product
// CHECK-SAME: (%[[W:.*]]: tensor<2x3xf32, #sparsert.csr>, %[[X:.*]]: tensor<3x4xf32>)
func.func @plain_product(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>) -> tensor<2x4xf32> {
  // CHECK: sparsert.spmm %[[W]], %[[X]] : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %y = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @whole_epilogue
// CHECK-SAME: (%[[W:.*]]: tensor<2x3xf32, #sparsert.csr>, %[[X:.*]]: tensor<3x4xf32>, %[[R:.*]]: tensor<2x4xf32>)
func.func @whole_epilogue(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // CHECK: sparsert.spmm %[[W]], %[[X]] bias dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32> activation relu residual %[[R]] : tensor<2x4xf32> residual_after_activation schedule <rows_per_panel = 8, stores = streaming> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %y = sparsert.spmm %w, %x bias dense<[1.0, 2.0]> : tensor<2xf32> activation relu residual %r : tensor<2x4xf32> residual_after_activation schedule <rows_per_panel = 8, stores = streaming> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @epilogue_ops
// CHECK-SAME: (%[[Y:.*]]: tensor<2x4xf32>, %[[R:.*]]: tensor<2x4xf32>, %[[B:.*]]: tensor<2xf32>)
func.func @epilogue_ops(%y: tensor<2x4xf32>, %r: tensor<2x4xf32>, %b: tensor<2xf32>) -> tensor<2x4xf32> {
  // CHECK: %[[BIASED:.*]] = sparsert.bias_add %[[Y]], %[[B]] : tensor<2x4xf32>, tensor<2xf32>
  // CHECK: %[[ACTIVE:.*]] = sparsert.relu %[[BIASED]] : tensor<2x4xf32>
  // CHECK: sparsert.residual_add %[[ACTIVE]], %[[R]] : tensor<2x4xf32>
  %0 = sparsert.bias_add %y, %b : tensor<2x4xf32>, tensor<2xf32>
  %1 = sparsert.relu %0 : tensor<2x4xf32>
  %2 = sparsert.residual_add %1, %r : tensor<2x4xf32>
  func.return %2 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @tiled_product
// CHECK-SAME: (%[[W:.*]]: tensor<3x4xf32, #sparsert.csr>, %[[X:.*]]: tensor<4x8xf32>)
func.func @tiled_product(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  // CHECK: sparsert.tiled_spmm %[[W]], %[[X]] activation relu schedule <rows_per_panel = 2, k_groups = 2> panels dense<{{\[\[}}0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<{{\[\[}}0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  %y = sparsert.tiled_spmm %w, %x activation relu schedule <rows_per_panel = 2, k_groups = 2> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %y : tensor<3x8xf32>
}
