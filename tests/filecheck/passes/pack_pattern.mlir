// RUN: sparsert-opt %s -p sparsert-map-to-cpu,sparsert-pack-pattern | filecheck %s
// RUN: sparsert-opt %s -p 'sparsert-map-to-cpu,sparsert-vectorize{columns-per-thread=4},sparsert-pack-pattern' | filecheck %s --check-prefix=VECTOR

// The matrix becomes tables; row r of panel p has the nonzeros from offsets[2p + r].

// CHECK-DAG: sym_name = "product_panels_offsets", type = memref<5xi32>, initial_value = dense<[0, 2, 2, 3, 4]>
// CHECK-DAG: sym_name = "product_panels_rows", type = memref<4xi32>, initial_value = dense<[0, -1, 1, 2]>
// CHECK-DAG: sym_name = "product_panels_columns", type = memref<4xi32>, initial_value = dense<[0, 2, 1, 3]>
// CHECK-DAG: sym_name = "product_panels_values", type = memref<4xf32>, initial_value = dense<[1.000000e+00, 2.000000e+00, 3.000000e+00, 4.000000e+00]>
// CHECK-DAG: sym_name = "product_panels_bias", type = memref<3xf32>, initial_value = dense<[5.000000e+00, 6.000000e+00, 7.000000e+00]>

// CHECK-LABEL: func.func @product(
// CHECK: %[[OFFSETS:.*]] = memref.get_global @product_panels_offsets
// CHECK: %[[ROWS:.*]] = memref.get_global @product_panels_rows
// CHECK: %[[COLUMNS:.*]] = memref.get_global @product_panels_columns
// CHECK: %[[VALUES:.*]] = memref.get_global @product_panels_values
// CHECK: %[[BIAS:.*]] = memref.get_global @product_panels_bias
// CHECK: func.call @product_panels(%{{.*}}, %{{.*}}, %{{.*}}, %[[OFFSETS]], %[[ROWS]], %[[COLUMNS]], %[[VALUES]], %[[BIAS]], %{{.*}}, %{{.*}})

// CHECK-LABEL: func.func @product_panels(
// CHECK-SAME: %[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>, %[[OFFSETS:.*]]: memref<5xi32>, %[[ROWS:.*]]: memref<4xi32>, %[[COLUMNS:.*]]: memref<4xi32>, %[[VALUES:.*]]: memref<4xf32>, %[[BIAS:.*]]: memref<3xf32>, %{{.*}}: index, %{{.*}}: index)
// CHECK-NOT: {{panel_product|write_panel|sparsert.constant}}
// CHECK: memref.load %[[OFFSETS]]
// CHECK: memref.load %[[OFFSETS]]
// CHECK: %[[TOTAL:.*]] = scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%[[SUM:.*]] = %{{.*}}) -> (f32)
// CHECK: %[[K:.*]] = memref.load %[[COLUMNS]][%[[I]]]
// CHECK: %[[ROW_OF_X:.*]] = arith.index_cast %[[K]]
// CHECK: %[[LOADED:.*]] = sparsert.load_columns %[[X]][%[[ROW_OF_X]]
// CHECK: %[[VALUE:.*]] = memref.load %[[VALUES]][%[[I]]]
// CHECK: %[[NEXT:.*]] = math.fma %[[VALUE]], %[[LOADED]], %[[SUM]]
// CHECK: scf.yield %[[NEXT]]
// CHECK: %[[ROW:.*]] = memref.load %[[ROWS]]
// CHECK: %[[PRESENT:.*]] = arith.cmpi sge, %[[ROW]]
// CHECK: scf.if %[[PRESENT]]
// CHECK: arith.addf %[[TOTAL]]
// CHECK: sparsert.load_columns %[[R]]
// CHECK: arith.maximumf
// CHECK: sparsert.store_columns %{{.*}}, %[[Y]]

// VECTOR-LABEL: func.func @product_panels(
// VECTOR: iter_args({{.*}}) -> (vector<4xf32>)
// VECTOR: %[[WIDE:.*]] = vector.broadcast %{{.*}} : f32 to vector<4xf32>
// VECTOR: vector.fma %[[WIDE]], %{{.*}}, %{{.*}} : vector<4xf32>
func.func @product(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
