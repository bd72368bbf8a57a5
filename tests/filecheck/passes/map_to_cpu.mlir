// RUN: sparsert-opt %s -p sparsert-map-to-cpu | filecheck %s

// CHECK-LABEL: func.func @product
// CHECK-SAME: (%[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>)
// CHECK: %[[BEGIN:.*]] = arith.constant 0 : index
// CHECK: %[[END:.*]] = arith.constant 2 : index
// CHECK: func.call @product_panels(%[[X]], %[[R]], %[[Y]], %[[BEGIN]], %[[END]])

// CHECK-LABEL: func.func @product_panels
// CHECK-SAME: (%[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>, %[[BEGIN:.*]]: index, %[[END:.*]]: index) attributes {sparsert.schedule = #sparsert.schedule<rows_per_panel = 2, threads = 4>, sparsert.kernel}
// CHECK: %[[TILES:.*]] = sparsert.column_tiles 8 by 1 x 1
// CHECK: scf.for %[[PANEL:.*]] = %[[BEGIN]] to %[[END]]
// CHECK: scf.for %[[TILE:.*]] = %{{.*}} to %[[TILES]]
// CHECK: %[[COLUMN:.*]] = sparsert.first_column %[[TILE]] x 1 within 8
// CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.panel_product %{{.*}}, %[[X]][%[[COLUMN]]] panel %[[PANEL]]
// CHECK: sparsert.write_panel %[[S0]], %[[S1]] to %[[Y]][%[[COLUMN]]] panel %[[PANEL]] {{.*}} bias dense<{{.*}}> : tensor<3xf32> activation relu residual %[[R]]
func.func @product(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
