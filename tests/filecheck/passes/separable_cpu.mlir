// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-cpu | filecheck %s
// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-cpu,sparsert-pack-pattern | filecheck %s --check-prefix=PACKED

// A tile of three lines that lie 6 columns apart. One channel at a time is copied to memory of the
// kernel's own; what is between goes to the buffer.

// CHECK-LABEL: func.func private @block_copy(
// CHECK-SAME: %{{.*}}: memref<1x2x3x4xf32>, %{{.*}}: memref<30xf32>, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index)

// CHECK-LABEL: func.func private @block_tiles(
// CHECK-SAME: %[[X:.*]]: memref<1x2x3x4xf32>, %[[Y:.*]]: memref<1x3x3x4xf32>, %[[BETWEEN:.*]]: memref<2x16xf32>, %{{.*}}: index, %{{.*}}: index, %[[FIRST:.*]]: index, %[[LAST:.*]]: index)
// CHECK: %[[SUMS:.*]] = memref.alloc() : memref<2x16xf32>
// CHECK: %[[COPY:.*]] = memref.alloc() : memref<30xf32>
// CHECK: scf.for %[[TILE:.*]] =
// CHECK: scf.for %[[CHANNEL:.*]] =
// CHECK-NEXT: func.call @block_copy(%[[X]], %[[COPY]], %{{.*}}, %{{.*}}, %[[CHANNEL]])
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: %[[SUM:.*]] = sparsert.panel_product %{{.*}}, %[[COPY]][%{{.*}}] positions dense<[0, 7]> : tensor<2xi32> panel %[[ROW]] {{.*}} -> vector<16xf32>
// CHECK: sparsert.write_panel %[[SUM]] to %[[BETWEEN]][%{{.*}}] panel %[[ROW]] panels dense<[[0], [1]]> : tensor<2x1xi32> bias dense<[6.000000e+00, 7.000000e+00]> : tensor<2xf32> activation relu
// CHECK: scf.for %[[PANEL:.*]] = %[[FIRST]] to %[[LAST]]
// CHECK: %[[TOTAL:.*]], %{{.*}} = sparsert.panel_product %{{.*}}, %[[BETWEEN]][%{{.*}}] panel %[[PANEL]]
// CHECK: sparsert.store_columns %[[TOTAL]], %[[SUMS]]
// CHECK: func.call @block_results(%[[SUMS]], %[[Y]], %[[PANEL]]
// CHECK: memref.dealloc %[[SUMS]]
// CHECK: memref.dealloc %[[COPY]]

// Each filter has tables of its own: places in the copy of a channel, rows of what is between.

// PACKED: sym_name = "block_tiles_1_columns", type = memref<3xi32>, initial_value = dense<[0, 0, 1]>
// PACKED: sym_name = "block_tiles_columns", type = memref<2xi32>, initial_value = dense<[0, 7]>
func.func @block(%x: tensor<1x2x3x4xf32>) -> tensor<1x3x3x4xf32> {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 10]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.separable_conv2d %d, %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise_bias dense<[6.0, 7.0]> : tensor<2xf32> depthwise_activation relu schedule <rows_per_panel = 2, columns_per_thread = 16> : tensor<2x18xf32, #sparsert.csr>, tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %0 : tensor<1x3x3x4xf32>
}
