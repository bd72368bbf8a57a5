// RUN: sparsert-opt %s -p sparsert-map-to-cpu | filecheck %s

// 11 columns in tiles of 4: two whole tiles and one of 3 columns.

// CHECK-LABEL: func.func @product(
// CHECK-SAME: %[[X:.*]]: memref<4x11xf32>, %[[R:.*]]: memref<3x11xf32>, %[[Y:.*]]: memref<3x11xf32>)
// CHECK: %[[ZERO:.*]] = arith.constant 0 : index
// CHECK: %[[TILES:.*]] = arith.constant 3 : index
// CHECK: %[[PANELS:.*]] = arith.constant 2 : index
// CHECK: func.call @product_tiles(%[[X]], %[[R]], %[[Y]], %[[ZERO]], %[[TILES]], %[[ZERO]], %[[PANELS]])

// CHECK-LABEL: func.func @product_part(
// CHECK: func.call @product_tiles(

// CHECK-LABEL: func.func private @product_tiles(
// CHECK-SAME: %[[X:.*]]: memref<4x11xf32>, %[[R:.*]]: memref<3x11xf32>, %[[Y:.*]]: memref<3x11xf32>, %[[FIRST:.*]]: index, %[[LAST:.*]]: index, %[[FIRST_PANEL:.*]]: index, %[[LAST_PANEL:.*]]: index) attributes {sparsert.kernel, sparsert.schedule = #sparsert.schedule<rows_per_panel = 2, columns_per_thread = 4, threads = 1>}
// CHECK: %[[WHOLE:.*]] = arith.constant 2 : index
// CHECK: %[[END:.*]] = arith.minui %[[LAST]], %[[WHOLE]]
// CHECK: scf.for %[[TILE:.*]] = %[[FIRST]] to %[[END]]
// CHECK: %[[COLUMN:.*]] = sparsert.first_column %[[TILE]] x 4
// CHECK: scf.for %[[PANEL:.*]] = %[[FIRST_PANEL]] to %[[LAST_PANEL]]
// CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.panel_product %{{.*}}, %[[X]][%[[COLUMN]]] panel %[[PANEL]] {{.*}} -> vector<4xf32>, vector<4xf32>
// CHECK: sparsert.write_panel %[[S0]], %[[S1]] to %[[Y]][%[[COLUMN]]] panel %[[PANEL]] {{.*}} bias dense<{{.*}}> : tensor<3xf32> activation relu residual %[[R]]
// CHECK: %[[HAS_TAIL:.*]] = arith.cmpi ult, %[[WHOLE]], %[[LAST]]
// CHECK: scf.if %[[HAS_TAIL]]
// CHECK: sparsert.first_column %[[WHOLE]] x 4
// CHECK: sparsert.panel_product {{.*}} -> vector<3xf32>, vector<3xf32>
func.func @product(%x: tensor<4x11xf32>, %r: tensor<3x11xf32>) -> tensor<3x11xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x11xf32> schedule <rows_per_panel = 2, columns_per_thread = 4, threads = 1> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x11xf32> -> tensor<3x11xf32>
  func.return %0 : tensor<3x11xf32>
}

// Each tile of x is copied, in the element type of the sums, piece by piece; rows of the copy lie
// 16 columns apart.

// CHECK-LABEL: func.func @copied(
// CHECK: %[[COPY:.*]] = memref.alloc() : memref<4x16xf32>
// CHECK: func.call @copied_tiles(%{{.*}}, %{{.*}}, %{{.*}}, %[[COPY]],
// CHECK: memref.dealloc %[[COPY]]

// CHECK-LABEL: func.func private @copied_tiles(
// CHECK-SAME: %[[X:.*]]: memref<4x11xf16>, %{{.*}}: memref<3x11xf16>, %[[Y:.*]]: memref<3x11xf16>, %[[COPY:.*]]: memref<4x16xf32>,
// CHECK: %[[COLUMN:.*]] = sparsert.first_column
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: %[[PART:.*]] = sparsert.load_columns %[[X]][%[[ROW]], %{{.*}}] : memref<4x11xf16>, vector<8xf16>
// CHECK: %[[WIDE:.*]] = arith.extf %[[PART]]
// CHECK: sparsert.store_columns %[[WIDE]], %[[COPY]][%[[ROW]], %{{.*}}] : memref<4x16xf32>, vector<8xf32>
// CHECK: sparsert.load_columns %[[X]][%[[ROW]], %{{.*}}] : memref<4x11xf16>, vector<8xf16>
// CHECK: scf.for %[[PANEL:.*]] =
// CHECK: sparsert.panel_product %{{.*}}, %[[COPY]][%{{.*}}] panel %[[PANEL]] {{.*}} -> vector<10xf32>, vector<10xf32>
// CHECK: sparsert.write_panel {{.*}} to %[[Y]][%[[COLUMN]]] panel %[[PANEL]]
func.func @copied(%x: tensor<4x11xf16>, %r: tensor<3x11xf16>) -> tensor<3x11xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf16> activation relu residual %r : tensor<3x11xf16> schedule <rows_per_panel = 2, columns_per_thread = 10, threads = 1, staging = copy, accumulation = f32> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf16, #sparsert.csr>, tensor<4x11xf16> -> tensor<3x11xf16>
  func.return %0 : tensor<3x11xf16>
}
