// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

// expected-error@+3 {{'sparsert.separable_conv2d': expected a depthwise filter, whose rows meet one channel each, got more}}
func.func @f(%w: tensor<3x2xf32, #sparsert.csr>, %x: tensor<1x2x3x4xf32>) {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[3, 2]> : tensor<2xi32> values dense<1.0> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %0 = sparsert.separable_conv2d %d, %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<2x18xf32, #sparsert.csr>, tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return
}

// -----

// expected-error@+2 {{'sparsert.separable_conv2d': expected a weight of as many columns as taps, 2, got 4}}
func.func @f(%d: tensor<2x18xf32, #sparsert.csr>, %w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<1x2x3x4xf32>) {
  %0 = sparsert.separable_conv2d %d, %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<2x18xf32, #sparsert.csr>, tensor<3x4xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return
}

// -----

// expected-error@+2 {{'sparsert.separable_conv2d': expected bias of shape (2,), got (3,)}}
func.func @f(%d: tensor<2x18xf32, #sparsert.csr>, %w: tensor<3x2xf32, #sparsert.csr>, %x: tensor<1x2x3x4xf32>) {
  %0 = sparsert.separable_conv2d %d, %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise_bias dense<1.0> : tensor<3xf32> : tensor<2x18xf32, #sparsert.csr>, tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return
}

// -----

// expected-error@+2 {{'sparsert.tiled_spmm': expected depthwise with a window, got none}}
func.func @f(%d: tensor<2x18xf32, #sparsert.csr>, %w: tensor<3x2xf32, #sparsert.csr>, %x: tensor<2x4xf32>) {
  %0 = sparsert.tiled_spmm %w, %x depthwise %d : tensor<2x18xf32, #sparsert.csr> schedule <> panels dense<[[0, 1, 2]]> : tensor<1x3xi32> splits dense<[[0, 2]]> : tensor<1x2xi32> : tensor<3x2xf32, #sparsert.csr>, tensor<2x4xf32> -> tensor<3x4xf32>
  func.return
}

// -----

// expected-error@+2 {{'sparsert.tiled_spmm': expected depthwise_bias and depthwise_activation with depthwise, got none}}
func.func @f(%w: tensor<3x2xf32, #sparsert.csr>, %x: tensor<2x4xf32>) {
  %0 = sparsert.tiled_spmm %w, %x depthwise_activation relu schedule <> panels dense<[[0, 1, 2]]> : tensor<1x3xi32> splits dense<[[0, 2]]> : tensor<1x2xi32> : tensor<3x2xf32, #sparsert.csr>, tensor<2x4xf32> -> tensor<3x4xf32>
  func.return
}
