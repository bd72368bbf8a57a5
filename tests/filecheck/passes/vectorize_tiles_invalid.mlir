// RUN: sparsert-opt %s -p 'sparsert-map-to-cpu,sparsert-vectorize{columns-per-thread=8}' | filecheck %s --check-prefix=SAME
// RUN: not sparsert-opt %s -p 'sparsert-map-to-cpu,sparsert-vectorize{columns-per-thread=4}' 2>&1 | filecheck %s --check-prefix=OTHER

// Tiles of a CPU have their width already.

// SAME: sparsert.panel_product {{.*}} -> vector<8xf32>
// OTHER: error: sparsert-vectorize: schedule: expected no columns-per-thread here for tiles of a CPU, got 4; give it to sparsert-schedule, before the product is cut into tiles

func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 1, threads = 1, columns_per_thread = 8> panels dense<[[0], [1], [2]]> : tensor<3x1xi32> splits dense<[[0, 4], [0, 4], [0, 4]]> : tensor<3x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
