// RUN: not sparsert-opt %s -p 'sparsert-map-to-gpu,sparsert-vectorize{columns-per-thread=3}' 2>&1 | filecheck %s --check-prefix=POWER
// RUN: not sparsert-opt %s -p 'sparsert-map-to-gpu,sparsert-vectorize{columns-per-thread=16}' 2>&1 | filecheck %s --check-prefix=MULTIPLE
// RUN: not sparsert-opt %s -p 'sparsert-map-to-gpu,sparsert-vectorize{columns-per-thread=2},sparsert-vectorize{columns-per-thread=2}' 2>&1 | filecheck %s --check-prefix=TWICE
// RUN: not sparsert-opt %s -p 'sparsert-map-to-gpu,sparsert-vectorize{columns-per-thread=0}' 2>&1 | filecheck %s --check-prefix=NONE

// NONE: error: sparsert-vectorize: schedule: columns_per_thread must be a whole number of 1 or more, got 0
// POWER: error: sparsert-vectorize: schedule: columns_per_thread must be a power of two on a GPU, at most 1024, got 3
// MULTIPLE: error: sparsert-vectorize: schedule: columns_per_thread = 16 needs a number of columns that is a multiple of it (or pairs of 16 bits), got N = 8
// TWICE: error: sparsert-vectorize: expected lanes of one column, got vector<2xf32>

func.func @f(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
