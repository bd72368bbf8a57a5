// RUN: sparsert-opt %s -p sparsert-map-to-gpu --split-input-file --verify-diagnostics

// expected-error@unknown {{schedule: expected lowering = code here, got data}}
func.func @f(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <lowering = data> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{threads * k_groups * panels_per_block must be at most 1024, got 2048}}
func.func @f(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 1024, panels_per_block = 2> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{schedule: panels_per_block must be at most 64, got 65}}
func.func @f(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 1, panels_per_block = 65> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{schedule: partial sums must fit in 49152 bytes of workgroup memory, got 65536 (partial sums: k_groups * panels_per_block * rows_per_panel * threads * columns_per_thread * element size = 65536)}}
func.func @f(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, k_groups = 2, threads = 512, columns_per_thread = 8> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{sparsert-map-to-gpu: expected function @f to be one product with a fused epilogue, got sparsert.relu, sparsert.tiled_spmm}}
func.func @f(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  %1 = sparsert.relu %0 : tensor<3x8xf32>
  func.return %1 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{sparsert-map-to-gpu: expected function @f to be one product that returns its result}}
func.func @f(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %r : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{schedule: expected k_groups * cluster = 2, the K groups of the product, got 4; run sparsert-split-k for others}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, k_groups = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 2, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{schedule: chunk means nothing for a product with lowering = code on a GPU; expected its default, 4, got 8}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, k_groups = 2, chunk = 8> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 2, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{schedule: cluster = 2 needs column_tiles = 1, got 2}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, cluster = 2, column_tiles = 2> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 2, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{schedule: cluster = 2 with sums in f16 needs an even columns_per_thread, got 1}}
func.func @f(%x: tensor<4x8xf16>) -> tensor<3x8xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, cluster = 2> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 2, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf16, #sparsert.csr>, tensor<4x8xf16> -> tensor<3x8xf16>
  func.return %0 : tensor<3x8xf16>
}

// -----

// expected-error@unknown {{schedule: partial sums and sums of the cluster must fit in 49152 bytes of workgroup memory, got 49160 (partial sums: k_groups * panels_per_block * rows_per_panel * threads * columns_per_thread * element size = 32768; sums of the cluster: cluster * panels_per_block * ceil(rows_per_panel / cluster) * threads * columns_per_thread * element size = 16384; their signal: 8)}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, k_groups = 2, cluster = 2, threads = 512, columns_per_thread = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]> : tensor<2x5xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{schedule: expected k_groups * cluster = 2, the K groups of the product, got 4; run sparsert-split-k for others}}
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, cluster = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 2, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// -----

// expected-error@unknown {{schedule: the depthwise result must fit in 49152 bytes of workgroup memory, got 65536 (the depthwise result: channels * threads * columns_per_thread * element size = 65536)}}
func.func @f(%x: tensor<1x2x3x4xf32>) -> tensor<1x3x3x4xf32> {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 10]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise %d : tensor<2x18xf32, #sparsert.csr> depthwise_bias dense<[6.0, 7.0]> : tensor<2xf32> schedule <rows_per_panel = 2, columns_per_thread = 8, threads = 1024> panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 2], [0, 2]]> : tensor<2x2xi32> : tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %0 : tensor<1x3x3x4xf32>
}

// -----

// expected-error@unknown {{schedule: partial sums and the depthwise result must fit in 49152 bytes of workgroup memory, got 65536 (partial sums: k_groups * panels_per_block * rows_per_panel * threads * columns_per_thread * element size = 32768; the depthwise result: channels * threads * columns_per_thread * element size = 32768)}}
func.func @f(%x: tensor<1x2x3x4xf32>) -> tensor<1x3x3x4xf32> {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 10]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise %d : tensor<2x18xf32, #sparsert.csr> depthwise_bias dense<[6.0, 7.0]> : tensor<2xf32> schedule <rows_per_panel = 1, k_groups = 2, columns_per_thread = 8, threads = 512> panels dense<[[0], [1], [2]]> : tensor<3x1xi32> splits dense<[[0, 1, 2], [0, 1, 2], [0, 1, 2]]> : tensor<3x3xi32> : tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %0 : tensor<1x3x3x4xf32>
}
