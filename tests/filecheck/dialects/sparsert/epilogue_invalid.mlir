// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @f(%y: tensor<2x4xf32>, %b: tensor<4xf32>) {
  // expected-error@+1 {{'sparsert.bias_add': expected a bias of type tensor<2xf32>, got tensor<4xf32>}}
  %0 = sparsert.bias_add %y, %b : tensor<2x4xf32>, tensor<4xf32>
  func.return
}

// -----

func.func @f(%y: tensor<2x4xf32>, %b: tensor<2xf16>) {
  // expected-error@+1 {{'sparsert.bias_add': expected a bias of type tensor<2xf32>, got tensor<2xf16>}}
  %0 = sparsert.bias_add %y, %b : tensor<2x4xf32>, tensor<2xf16>
  func.return
}

// -----

func.func @f(%y: tensor<2x4xf32>) {
  // expected-error@+1 {{'sparsert.relu': }}
  %0 = "sparsert.relu"(%y) : (tensor<2x4xf32>) -> tensor<2x5xf32>
  func.return
}

// -----

func.func @f(%y: tensor<2x4xf32>, %r: tensor<2x5xf32>) {
  // expected-error@+1 {{'sparsert.residual_add': }}
  %0 = "sparsert.residual_add"(%y, %r) : (tensor<2x4xf32>, tensor<2x5xf32>) -> tensor<2x4xf32>
  func.return
}
