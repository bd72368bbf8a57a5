// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected a result encoded as #sparsert.csr, got tensor<2x3xf32>}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected a matrix of rank 2, got 1}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected row_offsets of element type i32, got i64}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi64> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected column_indices of element type i32, got i16}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi16> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected values of element type f32, got f16}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf16> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected row offsets, in number, 3, got 2}}
  %w = sparsert.constant row_offsets dense<[0, 3]> : tensor<2xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected as many values as indices: 3, got 2}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected the first row offset to be 0, got 1}}
  %w = sparsert.constant row_offsets dense<[1, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected the last row offset 3, got 4}}
  %w = sparsert.constant row_offsets dense<[0, 1, 4]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected row offsets ascending, got others}}
  %w = sparsert.constant row_offsets dense<[0, 4, 3]> : tensor<3xi32> column_indices dense<[2, 0, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected column indices in [0, 3), got [0, 3]}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 0, 3]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected column indices in [0, 3), got [-1, 2]}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, -1, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected column indices of each row ascending, each once, got others}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 1, 0]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected column indices of each row ascending, each once, got others}}
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[2, 1, 1]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected values of element type bf16, f16, f32 or f64, got i32}}
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<0> : tensor<1xi32> values dense<1> : tensor<1xi32> : tensor<1x4xi32, #sparsert.csr>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.constant': expected a matrix of 1 to 2147483647 rows and columns, got 1x2147483648}}
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : tensor<1x2147483648xf32, #sparsert.csr>
  func.return
}
