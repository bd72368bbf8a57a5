// RUN: sparsert-opt %s -p sparsert-map-data-to-gpu --split-input-file --verify-diagnostics

// expected-error@unknown {{schedule: expected lowering = data here, got code}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 4, threads = 32> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{rows_per_panel * column_groups must divide 32, got 3 * 1}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 3, threads = 32> panels dense<[[0, 1, 2]]> : tensor<1x3xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{rows_per_panel * column_groups must divide 32, got 4 * 16}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 32, column_groups = 16> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{threads must be a multiple of 32 up to 1024, got 48}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 48> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{threads must be a multiple of 32 up to 1024, got 2048}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 2048> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{columns_per_thread must be one of 1, 2, 4, 8, 16, got 3}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 32, columns_per_thread = 3> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{chunk must be one of 1, 2, 4, 8, got 16}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 32, chunk = 16> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{k_groups means nothing for a product with lowering = data on a GPU; expected its default, 1, got 2}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 32, k_groups = 2> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{sums are in f32: accumulation must be f32 for f16, got plain}}
func.func @f(%x: tensor<4x8xf16>) -> tensor<3x8xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 32> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf16, #sparsert.csr>, tensor<4x8xf16> -> tensor<3x8xf16>
  func.return %0 : tensor<3x8xf16>
}

// -----

// expected-error@unknown {{sums are in f32: accumulation must be f32 for f16, got folded}}
func.func @f(%x: tensor<4x8xf16>) -> tensor<3x8xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, threads = 32, accumulation = folded> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf16, #sparsert.csr>, tensor<4x8xf16> -> tensor<3x8xf16>
  func.return %0 : tensor<3x8xf16>
}

// -----

// expected-error@unknown {{instruction = mma multiplies f16 and bf16 only; use fma for f32}}
func.func @mma(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<1.0> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 1, columns_per_thread = 8, accumulation = f32, instruction = mma> panels dense<[[0], [1], [2]]> : tensor<3x1xi32> splits dense<[[0, 4], [0, 4], [0, 4]]> : tensor<3x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{with instruction = mma, columns_per_thread must be 8, got 4}}
func.func @mma(%x: tensor<4x8xf16>) -> tensor<3x8xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<1.0> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 1, columns_per_thread = 4, accumulation = f32, instruction = mma> panels dense<[[0], [1], [2]]> : tensor<3x1xi32> splits dense<[[0, 4], [0, 4], [0, 4]]> : tensor<3x2xi32> : tensor<3x4xf16, #sparsert.csr>, tensor<4x8xf16> -> tensor<3x8xf16>
  func.return %0 : tensor<3x8xf16>
}

// -----

// expected-error@unknown {{with instruction = mma, column_groups must be one of 1, 2, 4, got 8}}
func.func @mma(%x: tensor<4x8xf16>) -> tensor<3x8xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<1.0> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 1, columns_per_thread = 8, column_groups = 8, accumulation = f32, instruction = mma> panels dense<[[0], [1], [2]]> : tensor<3x1xi32> splits dense<[[0, 4], [0, 4], [0, 4]]> : tensor<3x2xi32> : tensor<3x4xf16, #sparsert.csr>, tensor<4x8xf16> -> tensor<3x8xf16>
  func.return %0 : tensor<3x8xf16>
}

// -----

// expected-error@unknown {{with instruction = mma, chunk must be one of 4, 8, got 2}}
func.func @mma(%x: tensor<4x8xbf16>) -> tensor<3x8xbf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<1.0> : tensor<4xbf16> : tensor<3x4xbf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 1, columns_per_thread = 8, chunk = 2, accumulation = f32, instruction = mma> panels dense<[[0], [1], [2]]> : tensor<3x1xi32> splits dense<[[0, 4], [0, 4], [0, 4]]> : tensor<3x2xi32> : tensor<3x4xbf16, #sparsert.csr>, tensor<4x8xbf16> -> tensor<3x8xbf16>
  func.return %0 : tensor<3x8xbf16>
}
