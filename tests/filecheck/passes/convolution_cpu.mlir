// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-cpu | filecheck %s
// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-cpu,sparsert-pack-pattern | filecheck %s --check-prefix=PACKED
// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-cpu,sparsert-pack-pattern,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM

// Tiles of two lines of 3 columns, which lie 5 apart; each reads a padded copy of 4 x 5.

// CHECK-LABEL: func.func @guarded(
// CHECK-SAME: %[[X:.*]]: memref<1x1x4x3xf32>, %[[Y:.*]]: memref<1x2x4x3xf32>)
// CHECK: %[[COPY:.*]] = memref.alloc() : memref<20xf32>
// CHECK: func.call @guarded_tiles(%[[X]], %[[Y]], %[[COPY]],
// CHECK: memref.dealloc %[[COPY]]

// CHECK-LABEL: func.func @guarded_part(
// CHECK-SAME: %[[X:.*]]: memref<1x1x4x3xf32>, %[[Y:.*]]: memref<1x2x4x3xf32>, %[[COPY:.*]]: memref<20xf32>, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index)
// CHECK-NEXT: func.call @guarded_tiles(%[[X]], %[[Y]], %[[COPY]],

// A row of the copy outside the image is cleared, one inside gets a column of zeros on each side.

// CHECK-LABEL: func.func private @guarded_copy(
// CHECK-SAME: %[[X:.*]]: memref<1x1x4x3xf32>, %[[COPY:.*]]: memref<20xf32>, %[[IMAGE:[0-9]+]]: index, %{{[0-9]+}}: index, %{{[0-9]+}}: index)
// CHECK: %[[OUTSIDE:.*]] = arith.cmpi ult, %{{.*}}, %[[ROW:.*]] : index
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %[[ROW]], %{{.*}} : index
// CHECK: scf.if %[[OUTSIDE]]
// CHECK: sparsert.store_columns %{{.*}}, %[[COPY]][%{{.*}}] : memref<20xf32>, vector<4xf32>
// CHECK: scf.if %[[INSIDE]]
// CHECK: sparsert.store_columns %{{.*}}, %[[COPY]][%{{.*}}] : memref<20xf32>, f32
// CHECK: %[[PAIR:.*]] = sparsert.load_columns %[[X]][%[[IMAGE]], %{{.*}}, %[[ROW]], %{{.*}}] : memref<1x1x4x3xf32>, vector<2xf32>
// CHECK: sparsert.store_columns %[[PAIR]], %[[COPY]]
// CHECK: sparsert.store_columns %{{.*}}, %[[COPY]][%{{.*}}] : memref<20xf32>, f32

// Lanes of the results end inside a row of the image; the columns in the padding are left out.

// CHECK-LABEL: func.func private @guarded_results(
// CHECK-SAME: %[[SUMS:.*]]: memref<1x8xf32>, %[[Y:.*]]: memref<1x2x4x3xf32>, %{{.*}}: index, %{{.*}}: index, %{{.*}}: index)
// CHECK: sparsert.first_column %{{.*}} x 2 within 3
// CHECK: %[[LANE:.*]] = sparsert.load_columns %[[SUMS]]
// CHECK: sparsert.store_columns %[[LANE]], %[[Y]][{{.*}}] window <batch = 1, channels = 2, image = [4, 3]>

// CHECK-LABEL: func.func private @guarded_tiles(
// CHECK-SAME: %[[X:.*]]: memref<1x1x4x3xf32>, %[[Y:.*]]: memref<1x2x4x3xf32>, %[[COPY:.*]]: memref<20xf32>, %[[FIRST:.*]]: index, %[[LAST:.*]]: index, %[[PANEL:.*]]: index, %[[END:.*]]: index)
// CHECK: %[[SUMS:.*]] = memref.alloc() : memref<1x8xf32>
// CHECK: scf.for %[[TILE:.*]] = %[[FIRST]] to %[[LAST]]
// CHECK: %[[IMAGE:.*]] = arith.divui %[[TILE]]
// CHECK: func.call @guarded_copy(%[[X]], %[[COPY]], %[[IMAGE]], %[[LINE:[0-9]+]], %{{.*}})
// CHECK: scf.for %[[NUMBER:.*]] = %[[PANEL]] to %[[END]]
// CHECK: %[[SUM:.*]] = sparsert.panel_product %{{.*}}, %[[COPY]][%{{.*}}] positions dense<[0, 6, 7]> : tensor<3xi32> panel %[[NUMBER]] {{.*}} -> vector<8xf32>
// CHECK: sparsert.store_columns %[[SUM]], %[[SUMS]]
// CHECK: func.call @guarded_results(%[[SUMS]], %[[Y]], %[[NUMBER]], %[[IMAGE]], %[[LINE]])
// CHECK: memref.dealloc %[[SUMS]]

// The nonzeros' places in the copy are data.

// PACKED: sym_name = "guarded_tiles_columns", type = memref<3xi32>, initial_value = dense<[0, 6, 7]>
// PACKED-LABEL: func.func private @guarded_tiles(
// PACKED: scf.for {{.*}} iter_args
// PACKED: memref.load
// PACKED-NEXT: %[[POSITION:.*]] = arith.index_cast
// PACKED: %[[PLACE:.*]] = arith.addi %[[POSITION]]
// PACKED-NEXT: sparsert.load_columns %{{.*}}[%[[PLACE]]] : memref<20xf32>, vector<8xf32>
// PACKED-NEXT: vector.fma
// PACKED: sparsert.store_columns %{{.*}} : memref<1x8xf32>, vector<8xf32>

// What is written is not invariant.

// LLVM-LABEL: llvm.func @guarded(
// LLVM: %[[COPY:.*]] = llvm.call @aligned_alloc
// LLVM: llvm.call @free(%[[COPY]])
// LLVM-LABEL: llvm.func internal @guarded_tiles(
// LLVM: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
// LLVM: llvm.func @aligned_alloc(i64, i64) -> !llvm.ptr
// LLVM: llvm.func @free(!llvm.ptr)
func.func @guarded(%x: tensor<1x1x4x3xf32>) -> tensor<1x2x4x3xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3]> : tensor<3xi32> column_indices dense<[0, 4, 5]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x9xf32, #sparsert.csr>
  %0 = sparsert.conv2d %w, %x window <batch = 1, channels = 1, image = [4, 3], kernel = [3, 3], padding = [1, 1, 1, 1]> schedule <rows_per_panel = 1, columns_per_thread = 9> : tensor<2x9xf32, #sparsert.csr>, tensor<1x1x4x3xf32> -> tensor<1x2x4x3xf32>
  func.return %0 : tensor<1x2x4x3xf32>
}

// A stride of two: neighbours that a tap reads lie two apart in the image.

// CHECK-LABEL: func.func private @strided_copy(
// CHECK: %[[ROW:.*]] = sparsert.load_columns %{{.*}} : memref<1x1x1x8xf32>, vector<8xf32>
// CHECK: vector.shuffle %[[ROW]], %[[ROW]] [0, 2, 4, 6] : vector<8xf32>, vector<8xf32>
func.func @strided(%x: tensor<1x1x1x8xf32>) -> tensor<1x1x1x4xf32> {
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : tensor<1x1xf32, #sparsert.csr>
  %0 = sparsert.conv2d %w, %x window <batch = 1, channels = 1, image = [1, 8], strides = [1, 2]> schedule <rows_per_panel = 1, columns_per_thread = 4> : tensor<1x1xf32, #sparsert.csr>, tensor<1x1x1x8xf32> -> tensor<1x1x1x4xf32>
  func.return %0 : tensor<1x1x1x4xf32>
}
