// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-cpu | filecheck %s
// RUN: sparsert-opt %s -p 'sparsert-partition,sparsert-map-to-cpu,sparsert-vectorize{columns-per-thread=4},sparsert-pack-pattern' | filecheck %s --check-prefix=PACKED
// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-cpu,sparsert-pack-pattern,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM

// The function makes a padded copy of x, 4 x 5 for an image of 2 x 3, and calls the kernel on it.

// CHECK-LABEL: func.func @guarded(
// CHECK-SAME: %[[X:.*]]: memref<1x1x2x3xf32>, %[[Y:.*]]: memref<1x2x2x3xf32>)
// CHECK: %[[COPY:.*]] = memref.alloc() : memref<20xf32>
// CHECK: func.call @guarded_pad(%[[X]], %[[COPY]])
// CHECK: func.call @guarded_panels(%[[COPY]], %[[Y]],
// CHECK: memref.dealloc %[[COPY]]

// CHECK-LABEL: func.func @guarded_pad(
// CHECK: memref.store
// CHECK: memref.load
// CHECK: memref.store

// Lanes of the results end inside a row of the image; the columns in the padding are left out.

// CHECK-LABEL: func.func @guarded_results(
// CHECK-SAME: %[[SUMS:.*]]: memref<1x8xf32>, %[[Y:.*]]: memref<1x2x2x3xf32>, %{{.*}}: index, %{{.*}}: index)
// CHECK: sparsert.first_column %{{.*}} x 2 within 3
// CHECK: %[[LANE:.*]] = sparsert.load_columns %[[SUMS]]
// CHECK: sparsert.store_columns %[[LANE]], %[[Y]][{{.*}}] window <batch = 1, channels = 2, image = [2, 3]>

// CHECK-LABEL: func.func @guarded_panels(
// CHECK-SAME: %[[COPY:.*]]: memref<20xf32>, %[[Y:.*]]: memref<1x2x2x3xf32>, %[[BEGIN:.*]]: index, %[[END:.*]]: index)
// CHECK: %[[SUMS:.*]] = memref.alloc() : memref<1x8xf32>
// CHECK: scf.for %[[PANEL:.*]] = %[[BEGIN]] to %[[END]]
// CHECK: scf.for %[[IMAGE:.*]] =
// CHECK: sparsert.first_column %{{.*}} x 1 within 8
// CHECK: %[[SUM:.*]] = sparsert.panel_product %{{.*}}, %[[COPY]][%{{.*}}] positions dense<[0, 1, 2, 5, 6, 7, 10, 11, 12]> : tensor<9xi32> panel %[[PANEL]]
// CHECK: sparsert.store_columns %[[SUM]], %[[SUMS]]
// CHECK: func.call @guarded_results(%[[SUMS]], %[[Y]], %[[PANEL]], %[[IMAGE]])
// CHECK: memref.dealloc %[[SUMS]]

// PACKED: sym_name = "guarded_panels_positions", type = memref<3xi32>, initial_value = dense<[0, 6, 7]>
// PACKED-LABEL: func.func @guarded_panels(
// PACKED: sparsert.first_column %{{.*}} x 4 within 8
// PACKED: scf.for {{.*}} iter_args
// PACKED: memref.load
// PACKED-NEXT: %[[POSITION:.*]] = arith.index_cast
// PACKED-NEXT: %[[PLACE:.*]] = arith.addi %[[POSITION]]
// PACKED-NEXT: sparsert.load_columns %{{.*}}[%[[PLACE]]] : memref<20xf32>, vector<4xf32>
// PACKED: vector.fma

// What a caller changes is not invariant.

// LLVM-LABEL: llvm.func @guarded(
// LLVM: %[[COPY:.*]] = llvm.call @aligned_alloc
// LLVM: llvm.call @free(%[[COPY]])
// LLVM-LABEL: llvm.func @guarded_panels(
// LLVM: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> f32
// LLVM: llvm.func @aligned_alloc(i64, i64) -> !llvm.ptr
// LLVM: llvm.func @free(!llvm.ptr)
func.func @guarded(%x: tensor<1x1x2x3xf32>) -> tensor<1x2x2x3xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3]> : tensor<3xi32> column_indices dense<[0, 4, 5]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x9xf32, #sparsert.csr>
  %0 = sparsert.conv2d %w, %x window <batch = 1, channels = 1, image = [2, 3], kernel = [3, 3], padding = [1, 1, 1, 1]> schedule <rows_per_panel = 1> : tensor<2x9xf32, #sparsert.csr>, tensor<1x1x2x3xf32> -> tensor<1x2x2x3xf32>
  func.return %0 : tensor<1x2x2x3xf32>
}
