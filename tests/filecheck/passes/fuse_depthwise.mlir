// RUN: sparsert-opt %s -p sparsert-fuse-epilogue,sparsert-fuse-depthwise | filecheck %s

// CHECK-LABEL: func.func @pair
// CHECK-SAME: (%[[X:.*]]: tensor<1x2x3x4xf32>, %[[R:.*]]: tensor<1x3x3x4xf32>)
// CHECK: %[[D:.*]] = sparsert.constant {{.*}} : tensor<2x18xf32, #sparsert.csr>
// CHECK: %[[W:.*]] = sparsert.constant {{.*}} : tensor<3x2xf32, #sparsert.csr>
// CHECK-NOT: sparsert.conv2d
// CHECK: %[[Y:.*]] = sparsert.separable_conv2d %[[D]], %[[W]], %[[X]] window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise_bias dense<[6.000000e+00, 7.000000e+00]> : tensor<2xf32> depthwise_activation relu bias dense<1.000000e+00> : tensor<3xf32> activation relu residual %[[R]] : tensor<1x3x3x4xf32> residual_after_activation schedule <rows_per_panel = 3> :
// CHECK-NEXT: func.return %[[Y]]
func.func @pair(%x: tensor<1x2x3x4xf32>, %r: tensor<1x3x3x4xf32>) -> tensor<1x3x3x4xf32> {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 10]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.conv2d %d, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<2x18xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x2x3x4xf32>
  %b = arith.constant dense<[6.0, 7.0]> : tensor<2xf32>
  %2 = sparsert.bias_add %0, %b axis 1 : tensor<1x2x3x4xf32>, tensor<2xf32>
  %3 = sparsert.relu %2 : tensor<1x2x3x4xf32>
  %1 = sparsert.conv2d %w, %3 window <batch = 1, channels = 2, image = [3, 4]> bias dense<1.0> : tensor<3xf32> activation relu residual %r : tensor<1x3x3x4xf32> residual_after_activation schedule <rows_per_panel = 3> : tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %1 : tensor<1x3x3x4xf32>
}

// What is between is used elsewhere, too.

// CHECK-LABEL: func.func @shared
// CHECK-NOT: separable
// CHECK: sparsert.conv2d
// CHECK: sparsert.conv2d
func.func @shared(%x: tensor<1x2x3x4xf32>) -> (tensor<1x3x3x4xf32>, tensor<1x2x3x4xf32>) {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 10]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.conv2d %d, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<2x18xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x2x3x4xf32>
  %1 = sparsert.conv2d %w, %0 window <batch = 1, channels = 2, image = [3, 4]> : tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %1, %0 : tensor<1x3x3x4xf32>, tensor<1x2x3x4xf32>
}

// Something is added between.

// CHECK-LABEL: func.func @residual
// CHECK-NOT: separable
// CHECK: sparsert.conv2d {{.*}} residual
func.func @residual(%x: tensor<1x2x3x4xf32>) -> tensor<1x3x3x4xf32> {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 10]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.conv2d %d, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> residual %x : tensor<1x2x3x4xf32> : tensor<2x18xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x2x3x4xf32>
  %1 = sparsert.conv2d %w, %0 window <batch = 1, channels = 2, image = [3, 4]> : tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %1 : tensor<1x3x3x4xf32>
}

// The second row of the first filter meets the first channel.

// CHECK-LABEL: func.func @not_depthwise
// CHECK-NOT: separable
// CHECK: sparsert.conv2d
func.func @not_depthwise(%x: tensor<1x2x3x4xf32>) -> tensor<1x3x3x4xf32> {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 1]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.conv2d %d, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<2x18xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x2x3x4xf32>
  %1 = sparsert.conv2d %w, %0 window <batch = 1, channels = 2, image = [3, 4]> : tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %1 : tensor<1x3x3x4xf32>
}

// The second convolution is padded.

// CHECK-LABEL: func.func @not_pointwise
// CHECK-NOT: separable
// CHECK: sparsert.conv2d
func.func @not_pointwise(%x: tensor<1x2x3x4xf32>) -> tensor<1x3x4x4xf32> {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 10]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.conv2d %d, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<2x18xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x2x3x4xf32>
  %1 = sparsert.conv2d %w, %0 window <batch = 1, channels = 2, image = [3, 4], padding = [1, 0, 0, 0]> : tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x4x4xf32>
  func.return %1 : tensor<1x3x4x4xf32>
}
