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

// -----

func.func @f(%y: tensor<2x4xi32>) {
  // expected-error@+1 {{'sparsert.relu': expected an input of element type bf16, f16, f32 or f64, got i32}}
  %0 = sparsert.relu %y : tensor<2x4xi32>
  func.return
}

// -----

func.func @f(%y: tensor<2x4xi32>, %b: tensor<2xi32>) {
  // expected-error@+1 {{'sparsert.bias_add': expected an input of element type bf16, f16, f32 or f64, got i32}}
  %0 = sparsert.bias_add %y, %b : tensor<2x4xi32>, tensor<2xi32>
  func.return
}

// -----

func.func @f(%y: tensor<2x4xi32>) {
  // expected-error@+1 {{'sparsert.residual_add': expected an input of element type bf16, f16, f32 or f64, got i32}}
  %0 = sparsert.residual_add %y, %y : tensor<2x4xi32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected bias of element type f32 (or f32), got f64}}
  %y = sparsert.spmm %w, %x bias dense<1.0> : tensor<2xf64> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  func.return
}
