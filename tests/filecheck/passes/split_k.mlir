// RUN: sparsert-opt %s -p 'sparsert-split-k{groups=2}' | filecheck %s --check-prefixes=CHECK,TWO
// RUN: sparsert-opt %s -p sparsert-split-k | filecheck %s --check-prefixes=CHECK,SCHEDULE

// Panel 0 holds columns 0 0 1 2, panel 1 column 3 only: half of the nonzeros on each side.

// CHECK-LABEL: func.func @two_panels
// TWO: sparsert.tiled_spmm {{.*}} schedule <rows_per_panel = 2, k_groups = 2> panels dense<{{.*}}> : tensor<2x2xi32> splits dense<{{\[\[}}0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32>
// SCHEDULE: sparsert.tiled_spmm {{.*}} schedule <rows_per_panel = 2, k_groups = 3> panels dense<{{.*}}> : tensor<2x2xi32> splits dense<{{\[\[}}0, 1, 2, 4], [0, 4, 4, 4]]> : tensor<2x4xi32>
func.func @two_panels(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 3, 4, 5]> : tensor<4xi32> column_indices dense<[0, 1, 2, 0, 3]> : tensor<5xi32> values dense<1.0> : tensor<5xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, k_groups = 3> panels dense<[[0, 1], [2, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// Two blocks of a cluster, two K groups each.

// CHECK-LABEL: func.func @in_clusters
// CHECK: sparsert.tiled_spmm {{.*}} schedule <rows_per_panel = 2, k_groups = 2, cluster = 2> panels dense<{{.*}}> : tensor<1x2xi32> splits dense<{{\[\[}}0, 1, 2, 3, 4]]> : tensor<1x5xi32>
func.func @in_clusters(%x: tensor<4x8xf32>) -> tensor<2x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 4, 8]> : tensor<3xi32> column_indices dense<[0, 1, 2, 3, 0, 1, 2, 3]> : tensor<8xi32> values dense<1.0> : tensor<8xf32> : tensor<2x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, k_groups = 2, cluster = 2> panels dense<[[0, 1]]> : tensor<1x2xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<2x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<2x8xf32>
  func.return %0 : tensor<2x8xf32>
}
