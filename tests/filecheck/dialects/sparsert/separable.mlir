// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @plain
// CHECK-SAME: (%[[D:.*]]: tensor<2x18xf32, #sparsert.csr>, %[[W:.*]]: tensor<3x2xf32, #sparsert.csr>, %[[X:.*]]: tensor<1x2x3x4xf32>)
func.func @plain(%d: tensor<2x18xf32, #sparsert.csr>, %w: tensor<3x2xf32, #sparsert.csr>, %x: tensor<1x2x3x4xf32>) -> tensor<1x3x3x4xf32> {
  // CHECK-NEXT: sparsert.separable_conv2d %[[D]], %[[W]], %[[X]] window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<2x18xf32, #sparsert.csr>, tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  // CHECK-NEXT: sparsert.tiled_spmm %[[W]], %[[X]] window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise %[[D]] : tensor<2x18xf32, #sparsert.csr> schedule <rows_per_panel = 2> panels
  %0 = sparsert.separable_conv2d %d, %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<2x18xf32, #sparsert.csr>, tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  %1 = sparsert.tiled_spmm %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise %d : tensor<2x18xf32, #sparsert.csr> schedule <rows_per_panel = 2> panels dense<[[0, 1], [2, -1]]> : tensor<2x2xi32> splits dense<[[0, 2], [0, 2]]> : tensor<2x2xi32> : tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %0 : tensor<1x3x3x4xf32>
}

// Two filters per channel, and everything that may stand there.

// CHECK-LABEL: func.func @full
// CHECK-SAME: (%[[D:.*]]: tensor<4x18xf32, #sparsert.csr>, %[[W:.*]]: tensor<3x4xf32, #sparsert.csr>, %[[X:.*]]: tensor<1x2x3x4xf32>, %[[R:.*]]: tensor<1x3x3x4xf32>)
func.func @full(%d: tensor<4x18xf32, #sparsert.csr>, %w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<1x2x3x4xf32>, %r: tensor<1x3x3x4xf32>) -> tensor<1x3x3x4xf32> {
  // CHECK-NEXT: sparsert.separable_conv2d %[[D]], %[[W]], %[[X]] window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise_bias dense<1.000000e+00> : tensor<4xf32> depthwise_activation relu bias dense<2.000000e+00> : tensor<3xf32> activation relu residual %[[R]] : tensor<1x3x3x4xf32> residual_after_activation schedule <rows_per_panel = 2> :
  // CHECK-NEXT: sparsert.tiled_spmm %[[W]], %[[X]] window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise %[[D]] : tensor<4x18xf32, #sparsert.csr> depthwise_bias dense<1.000000e+00> : tensor<4xf32> depthwise_activation relu bias dense<2.000000e+00> : tensor<3xf32> residual %[[R]] : tensor<1x3x3x4xf32> schedule <rows_per_panel = 2> panels
  %0 = sparsert.separable_conv2d %d, %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise_bias dense<1.0> : tensor<4xf32> depthwise_activation relu bias dense<2.0> : tensor<3xf32> activation relu residual %r : tensor<1x3x3x4xf32> residual_after_activation schedule <rows_per_panel = 2> : tensor<4x18xf32, #sparsert.csr>, tensor<3x4xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  %1 = sparsert.tiled_spmm %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise %d : tensor<4x18xf32, #sparsert.csr> depthwise_bias dense<1.0> : tensor<4xf32> depthwise_activation relu bias dense<2.0> : tensor<3xf32> residual %r : tensor<1x3x3x4xf32> schedule <rows_per_panel = 2> panels dense<[[0, 1], [2, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %0 : tensor<1x3x3x4xf32>
}
