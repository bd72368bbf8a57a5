// RUN: sparsert-opt %s -p sparsert-import-linalg | filecheck %s
// RUN: sparsert-opt %s -p sparsert-import-linalg,sparsert-fuse-epilogue | filecheck %s --check-prefix=FUSED

#by_element = affine_map<(i, j, k, l) -> (i, j, k, l)>
#by_channel = affine_map<(i, j, k, l) -> (l)>

// The filter becomes a matrix with taps (row, channel, column); the padding goes into the window.

// CHECK-LABEL: func.func @convolution
// CHECK-SAME: (%[[X:.*]]: tensor<2x5x6x2xf32>, %[[R:.*]]: tensor<2x3x5x3xf32>)
// CHECK-NOT: {{linalg|tensor.pad|tensor.empty}}
// CHECK: %[[W:.*]] = sparsert.constant row_offsets dense<[0, 2, 3, 5]> : tensor<4xi32> column_indices dense<[1, 10, 5, 2, 9]> : tensor<5xi32> values dense<[1.000000e+00, 2.000000e+00, 3.000000e+00, 4.000000e+00, -5.000000e+00]>
// CHECK: %[[Y:.*]] = sparsert.conv2d %[[W]], %[[X]] window <batch = 2, channels = 2, image = [5, 6], kernel = [3, 2], strides = [2, 1], padding = [1, 0, 1, 0], layout = nhwc> : tensor<3x12xf32, #sparsert.csr>, tensor<2x5x6x2xf32> -> tensor<2x3x5x3xf32>
// CHECK: %[[BIASED:.*]] = sparsert.bias_add %[[Y]], %{{.*}} axis 3 : tensor<2x3x5x3xf32>, tensor<3xf32>
// CHECK: %[[ADDED:.*]] = sparsert.residual_add %[[BIASED]], %[[R]]
// CHECK: %[[ACTIVE:.*]] = sparsert.relu %[[ADDED]]
// CHECK: func.return %[[ACTIVE]]

// FUSED-LABEL: func.func @convolution
// FUSED: %[[Y:.*]] = sparsert.conv2d %{{.*}} window <{{.*}}> bias dense<[5.000000e+00, -6.000000e+00, 1.000000e+00]> : tensor<3xf32> activation relu residual %{{.*}} : tensor<2x3x5x3xf32>
// FUSED-NEXT: func.return %[[Y]]
func.func @convolution(%x: tensor<2x5x6x2xf32>, %r: tensor<2x3x5x3xf32>) -> tensor<2x3x5x3xf32> {
  %w = arith.constant dense<[[[[0.0, 0.0, 0.0], [0.0, 0.0, 4.0]], [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]], [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 3.0, 0.0], [0.0, 0.0, 0.0]]], [[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], [[0.0, 0.0, -5.0], [0.0, 0.0, 0.0]]]]> : tensor<3x2x2x3xf32>
  %b = arith.constant dense<[5.0, -6.0, 1.0]> : tensor<3xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x3x5x3xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x3x5x3xf32>) -> tensor<2x3x5x3xf32>
  %padded = tensor.pad %x low[0, 1, 0, 0] high[0, 1, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<2x5x6x2xf32> to tensor<2x7x6x2xf32>
  %y = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : tensor<2xi64>, strides = dense<[2, 1]> : tensor<2xi64>} ins(%padded, %w : tensor<2x7x6x2xf32>, tensor<3x2x2x3xf32>) outs(%zeros : tensor<2x3x5x3xf32>) -> tensor<2x3x5x3xf32>
  %biased = linalg.generic {indexing_maps = [#by_element, #by_channel, #by_element], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%y, %b : tensor<2x3x5x3xf32>, tensor<3xf32>) outs(%zeros : tensor<2x3x5x3xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %sum = arith.addf %p, %q : f32
    linalg.yield %sum : f32
  } -> tensor<2x3x5x3xf32>
  %added = linalg.add ins(%r, %biased : tensor<2x3x5x3xf32>, tensor<2x3x5x3xf32>) outs(%empty : tensor<2x3x5x3xf32>) -> tensor<2x3x5x3xf32>
  %active = linalg.max ins(%added, %zeros : tensor<2x3x5x3xf32>, tensor<2x3x5x3xf32>) outs(%empty : tensor<2x3x5x3xf32>) -> tensor<2x3x5x3xf32>
  func.return %active : tensor<2x3x5x3xf32>
}

// A filter that is not constant, and what a padding of other numbers feeds, stay.

// CHECK-LABEL: func.func @unknown_filter
// CHECK: linalg.conv_2d_nhwc_hwcf
func.func @unknown_filter(%x: tensor<2x7x6x2xf32>, %w: tensor<3x2x2x3xf32>) -> tensor<2x3x5x3xf32> {
  %zeros = arith.constant dense<0.0> : tensor<2x3x5x3xf32>
  %y = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : tensor<2xi64>, strides = dense<[2, 1]> : tensor<2xi64>} ins(%x, %w : tensor<2x7x6x2xf32>, tensor<3x2x2x3xf32>) outs(%zeros : tensor<2x3x5x3xf32>) -> tensor<2x3x5x3xf32>
  func.return %y : tensor<2x3x5x3xf32>
}

// CHECK-LABEL: func.func @padded_with_ones
// CHECK: %[[PADDED:.*]] = tensor.pad
// CHECK: sparsert.conv2d %{{.*}}, %[[PADDED]] window
func.func @padded_with_ones(%x: tensor<2x5x6x2xf32>) -> tensor<2x3x5x3xf32> {
  %w = arith.constant dense<2.0> : tensor<3x2x2x3xf32>
  %one = arith.constant 1.0 : f32
  %zeros = arith.constant dense<0.0> : tensor<2x3x5x3xf32>
  %padded = tensor.pad %x low[0, 1, 0, 0] high[0, 1, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %one : f32
  } : tensor<2x5x6x2xf32> to tensor<2x7x6x2xf32>
  %y = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : tensor<2xi64>, strides = dense<[2, 1]> : tensor<2xi64>} ins(%padded, %w : tensor<2x7x6x2xf32>, tensor<3x2x2x3xf32>) outs(%zeros : tensor<2x3x5x3xf32>) -> tensor<2x3x5x3xf32>
  func.return %y : tensor<2x3x5x3xf32>
}

// A convolution whose result is not of the size that it says.

// CHECK-LABEL: func.func @inconsistent
// CHECK: linalg.conv_2d_nhwc_hwcf
func.func @inconsistent(%x: tensor<2x7x6x2xf32>) -> tensor<2x3x5x3xf32> {
  %w = arith.constant dense<2.0> : tensor<3x2x2x3xf32>
  %zeros = arith.constant dense<0.0> : tensor<2x3x5x3xf32>
  %y = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>} ins(%x, %w : tensor<2x7x6x2xf32>, tensor<3x2x2x3xf32>) outs(%zeros : tensor<2x3x5x3xf32>) -> tensor<2x3x5x3xf32>
  func.return %y : tensor<2x3x5x3xf32>
}
