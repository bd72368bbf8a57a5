// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected panels of element type i32, got i64}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi64> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected splits of element type i32, got i64}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi64> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected panels of rank 2, got 1}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[0, 1, 2]> : tensor<3xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected panels to hold each of 3 rows once (-1 fills up), got another set}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [-1, -1]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected panels to hold each of 3 rows once (-1 fills up), got another set}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, 1]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected panels to hold each of 3 rows once (-1 fills up), got another set}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, 3]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected panels to hold each of 3 rows once (-1 fills up), got another set}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, -2]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected splits of shape 2 x (groups + 1), got 1x2}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected splits of shape 2 x (groups + 1), got 2x1}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0], [0]]> : tensor<2x1xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected splits to run from 0 to 4, got others}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [1, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected splits to run from 0 to 4, got others}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 1, 3], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected splits to be ascending, got others}}
  %y = sparsert.tiled_spmm %w, %x schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 5, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected bias of shape (3,), got (2,)}}
  %y = sparsert.tiled_spmm %w, %x bias dense<1.0> : tensor<2xf32> schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) {
  // expected-error@+1 {{'sparsert.tiled_spmm': expected a residual of type tensor<3x8xf32>, got tensor<4x8xf32>}}
  %y = sparsert.tiled_spmm %w, %x residual %x : tensor<4x8xf32> schedule <> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return
}
