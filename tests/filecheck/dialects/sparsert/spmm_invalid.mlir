// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @f(%w: tensor<2x3xf32>, %x: tensor<3x4xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected a weight encoded as #sparsert.csr, got tensor<2x3xf32>}}
  %y = sparsert.spmm %w, %x : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3xf32, #sparsert.csr>, %x: tensor<3x4xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected a weight of rank 2, got 1}}
  %y = sparsert.spmm %w, %x : tensor<3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4x5xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected x of rank 2, got 3}}
  %y = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4x5xf32> -> tensor<2x4xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<5x4xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected x with 3 rows, the weight's columns, not 3, got 5}}
  %y = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<5x4xf32> -> tensor<2x4xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf16>) {
  // expected-error@+1 {{'sparsert.spmm': expected x of element type f32, got tensor<3x4xf16>}}
  %y = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf16> -> tensor<2x4xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected a result of type tensor<2x4xf32>, got tensor<2x5xf32>}}
  %y = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x5xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected bias of shape (2,), got (3,)}}
  %y = sparsert.spmm %w, %x bias dense<1.0> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected a residual of type tensor<2x4xf32>, got tensor<3x4xf32>}}
  %y = sparsert.spmm %w, %x residual %x : tensor<3x4xf32> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xi32, #sparsert.csr>, %x: tensor<3x8xi32>) {
  // expected-error@+1 {{'sparsert.spmm': expected a weight of element type bf16, f16, f32 or f64, got i32}}
  %0 = sparsert.spmm %w, %x : tensor<2x3xi32, #sparsert.csr>, tensor<3x8xi32> -> tensor<2x8xi32>
  func.return
}

// -----

func.func @f(%w: tensor<0x3xf32, #sparsert.csr>, %x: tensor<3x8xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected a weight of 1 to 2147483647 rows and columns, got 0x3}}
  %0 = sparsert.spmm %w, %x : tensor<0x3xf32, #sparsert.csr>, tensor<3x8xf32> -> tensor<0x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x?xf32>) {
  // expected-error@+1 {{'sparsert.spmm': expected x of 1 to 2147483647 rows and columns, got 3x?}}
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x?xf32> -> tensor<2x?xf32>
  func.return
}

// -----

func.func @f(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32, #sparsert.csr>) {
  // expected-error@+1 {{'sparsert.spmm': expected x that is dense, with no encoding, got tensor<3x4xf32, #sparsert.csr>}}
  %y = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32, #sparsert.csr> -> tensor<2x4xf32>
  func.return
}
