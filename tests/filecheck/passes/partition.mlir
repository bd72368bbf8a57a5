// RUN: sparsert-opt %s -p 'sparsert-partition{rows-per-panel=2}' | filecheck %s --check-prefixes=CHECK,TWO
// RUN: sparsert-opt %s -p 'sparsert-partition{rows-per-panel=3}' | filecheck %s --check-prefixes=CHECK,THREE
// RUN: sparsert-opt %s -p sparsert-partition | filecheck %s --check-prefixes=CHECK,SCHEDULE

// Rows of 3, 0, 1, 2 and 1 nonzeros. The longest go first, each to the panel with the fewest.

// CHECK-LABEL: func.func @balanced
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>)
// CHECK: %[[W:.*]] = sparsert.constant
// CHECK-NOT: sparsert.spmm
// TWO: sparsert.tiled_spmm %[[W]], %[[X]] activation relu schedule <rows_per_panel = 2, threads = 32> panels dense<{{\[\[}}0, -1], [1, 3], [2, 4]]> : tensor<3x2xi32> splits dense<{{\[\[}}0, 4], [0, 4], [0, 4]]> : tensor<3x2xi32>
// THREE: sparsert.tiled_spmm {{.*}} schedule <rows_per_panel = 3, threads = 32> panels dense<{{\[\[}}0, 4, -1], [1, 2, 3]]> : tensor<2x3xi32> splits dense<{{\[\[}}0, 4], [0, 4]]> : tensor<2x2xi32>
// SCHEDULE: sparsert.tiled_spmm {{.*}} schedule <rows_per_panel = 1, threads = 32> panels dense<{{\[\[}}0], [3], [2], [4], [1]]> : tensor<5x1xi32>
func.func @balanced(%x: tensor<4x8xf32>) -> tensor<5x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 3, 3, 4, 6, 7]> : tensor<6xi32> column_indices dense<[0, 1, 2, 3, 0, 1, 2]> : tensor<7xi32> values dense<1.0> : tensor<7xf32> : tensor<5x4xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x activation relu schedule <rows_per_panel = 1, threads = 32> : tensor<5x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<5x8xf32>
  func.return %0 : tensor<5x8xf32>
}

// CHECK-LABEL: func.func @no_higher_than_the_matrix
// SCHEDULE: schedule <> panels dense<0> : tensor<1x1xi32> splits dense<{{\[\[}}0, 1]]>
func.func @no_higher_than_the_matrix(%x: tensor<1x8xf32>) -> tensor<1x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : tensor<1x1xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x : tensor<1x1xf32, #sparsert.csr>, tensor<1x8xf32> -> tensor<1x8xf32>
  func.return %0 : tensor<1x8xf32>
}

// Rows 0 and 2, and 1 and 3, have their columns in common; dealt by nonzeros alone, 0 and 1 would
// share a panel with 3 and 2.

// CHECK-LABEL: func.func @clustered
// TWO: permutation = clustered, threads = 32> panels dense<{{\[\[}}0, 2], [1, 3]]> : tensor<2x2xi32>
// THREE: panels dense<{{\[\[}}0, 2], [1, 3]]> : tensor<2x2xi32>
// SCHEDULE: panels dense<{{\[\[}}0], [1], [2], [3]]> : tensor<4x1xi32>
func.func @clustered(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 4, 6, 8]> : tensor<5xi32> column_indices dense<[0, 1, 2, 3, 0, 1, 2, 3]> : tensor<8xi32> values dense<1.0> : tensor<8xf32> : tensor<4x4xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 1, permutation = clustered, threads = 32> : tensor<4x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}

// Rows that become data: 3, 2, 1, 1 and 0 nonzeros; rows of similar length share a panel, which is
// always of full height.

// CHECK-LABEL: func.func @similar
// TWO: panels dense<{{\[\[}}0, 3], [2, 4], [1, -1]]> : tensor<3x2xi32>
// THREE: panels dense<{{\[\[}}0, 3, 2], [4, 1, -1]]> : tensor<2x3xi32>
// SCHEDULE: panels dense<{{\[\[}}0, 3, 2, 4, 1, -1, -1, -1]]> : tensor<1x8xi32>
func.func @similar(%x: tensor<4x8xf32>) -> tensor<5x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 3, 3, 4, 6, 7]> : tensor<6xi32> column_indices dense<[0, 1, 2, 3, 0, 1, 2]> : tensor<7xi32> values dense<1.0> : tensor<7xf32> : tensor<5x4xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <lowering = data, rows_per_panel = 8, threads = 32> : tensor<5x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<5x8xf32>
  func.return %0 : tensor<5x8xf32>
}
