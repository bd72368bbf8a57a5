// RUN: sparsert-opt %s -p sparsert-map-to-cpu,sparsert-pack-pattern | filecheck %s

// The matrix becomes tables; row r of panel p has the nonzeros from offsets[2p + r, 1]: its rows are
// too short for groups.

// CHECK-DAG: sym_name = "product_tiles_offsets", type = memref<5x2xi32>, initial_value = dense<{{\[}}[0, 0], [0, 2], [0, 2], [0, 3], [0, 4]]>
// CHECK-DAG: sym_name = "product_tiles_rows", type = memref<4xi32>, initial_value = dense<[0, -1, 1, 2]>
// CHECK-DAG: sym_name = "product_tiles_columns", type = memref<4xi32>, initial_value = dense<[0, 2, 1, 3]>
// CHECK-DAG: sym_name = "product_tiles_values", type = memref<4xf32>, initial_value = dense<[1.000000e+00, 2.000000e+00, 3.000000e+00, 4.000000e+00]>
// CHECK-DAG: sym_name = "product_tiles_bias", type = memref<3xf32>, initial_value = dense<[5.000000e+00, 6.000000e+00, 7.000000e+00]>

// 13 nonzeros in a row of @long: three groups of four, whose columns lie in one word each, and one
// more.

// CHECK-DAG: sym_name = "long_tiles_offsets", type = memref<2x2xi32>, initial_value = dense<{{\[}}[0, 0], [3, 1]]>
// CHECK-DAG: sym_name = "long_tiles_words", type = memref<3x1xi64>, initial_value = dense<{{\[}}[1688867040264192], [3940701214212104], [6192535388160016]]>
// CHECK-DAG: sym_name = "long_tiles_group_values", type = memref<3x4xf32>
// CHECK-DAG: sym_name = "long_tiles_columns", type = memref<1xi32>, initial_value = dense<24>

// CHECK-LABEL: func.func @product(
// CHECK: %[[OFFSETS:.*]] = memref.get_global @product_tiles_offsets
// CHECK: %[[ROWS:.*]] = memref.get_global @product_tiles_rows
// CHECK: %[[COLUMNS:.*]] = memref.get_global @product_tiles_columns
// CHECK: %[[VALUES:.*]] = memref.get_global @product_tiles_values
// CHECK: %[[BIAS:.*]] = memref.get_global @product_tiles_bias
// CHECK: func.call @product_tiles(%{{.*}}, %{{.*}}, %{{.*}}, %[[OFFSETS]], %[[ROWS]], %[[COLUMNS]], %[[VALUES]], %[[BIAS]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}})

// CHECK-LABEL: func.func private @product_tiles(
// CHECK-SAME: %[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>, %[[OFFSETS:.*]]: memref<5x2xi32>, %[[ROWS:.*]]: memref<4xi32>, %[[COLUMNS:.*]]: memref<4xi32>, %[[VALUES:.*]]: memref<4xf32>, %[[BIAS:.*]]: memref<3xf32>, %{{.*}}: index
// CHECK-NOT: {{panel_product|write_panel|sparsert.constant}}
// CHECK: memref.load %[[OFFSETS]]
// CHECK: memref.load %[[OFFSETS]]
// CHECK: %[[TOTAL:.*]] = scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%[[SUM:.*]] = %{{.*}}) -> (f32)
// CHECK: %[[K:.*]] = memref.load %[[COLUMNS]][%[[I]]]
// CHECK: %[[ROW_OF_X:.*]] = arith.index_cast %[[K]]
// CHECK: %[[VALUE:.*]] = memref.load %[[VALUES]][%[[I]]]
// CHECK: %[[LOADED:.*]] = sparsert.load_columns %[[X]][%[[ROW_OF_X]]
// CHECK: %[[NEXT:.*]] = math.fma %[[VALUE]], %[[LOADED]], %[[SUM]]
// CHECK: scf.yield %[[NEXT]]
// CHECK: %[[ROW:.*]] = memref.load %[[ROWS]]
// CHECK: %[[PRESENT:.*]] = arith.cmpi sge, %[[ROW]]
// CHECK: scf.if %[[PRESENT]]
// CHECK: arith.addf %[[TOTAL]]
// CHECK: sparsert.load_columns %[[R]]
// CHECK: arith.maximumf
// CHECK: sparsert.store_columns %{{.*}}, %[[Y]]
func.func @product(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 1> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// A lane of 7 columns is summed as two pieces of 4, which share one column.

// CHECK-LABEL: func.func private @pieces_tiles(
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}) -> (vector<4xf32>, vector<4xf32>)
// CHECK: vector.fma {{.*}} : vector<4xf32>
// CHECK: %[[THIRD:.*]] = arith.addi
// CHECK: sparsert.load_columns %{{.*}}[%{{.*}}, %[[THIRD]]] : memref<4x7xf32>, vector<4xf32>
// CHECK: sparsert.store_columns {{.*}} : memref<3x7xf32>, vector<4xf32>
// CHECK: sparsert.store_columns {{.*}} : memref<3x7xf32>, vector<4xf32>
func.func @pieces(%x: tensor<4x7xf32>, %r: tensor<3x7xf32>) -> tensor<3x7xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x7xf32> schedule <rows_per_panel = 2, columns_per_thread = 7, threads = 1> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x7xf32> -> tensor<3x7xf32>
  func.return %0 : tensor<3x7xf32>
}

// The four nonzeros of a group go to four sums. Every row exists, so that is not asked.

// CHECK-LABEL: func.func private @long_tiles(
// CHECK: scf.for %[[GROUP:[^ ]*]] = {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: %[[WORD:.*]] = memref.load %{{.*}}[%[[GROUP]], %{{.*}}] : memref<3x1xi64>
// CHECK: arith.andi %[[WORD]]
// CHECK: %[[SHIFTED:.*]] = arith.shrui %[[WORD]]
// CHECK: arith.andi %[[SHIFTED]]
// CHECK: %[[VALUES:.*]] = sparsert.load_columns {{.*}} : memref<3x4xf32>, vector<4xf32>
// CHECK: %[[REPEATED:.*]] = vector.shuffle %[[VALUES]], %[[VALUES]] [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
// CHECK: vector.shuffle %[[REPEATED]], %[[REPEATED]] [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12]
// CHECK: vector.fma
// CHECK: vector.shuffle %[[REPEATED]], %[[REPEATED]] [1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13]
// CHECK: scf.for
// CHECK: arith.addf
// CHECK-NEXT: arith.addf
// CHECK-NEXT: arith.addf
// CHECK-NOT: scf.if
func.func @long(%x: tensor<26x16xf32>) -> tensor<1x16xf32> {
  %w = sparsert.constant row_offsets dense<[0, 13]> : tensor<2xi32> column_indices dense<[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24]> : tensor<13xi32> values dense<[1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0, 19.0, 21.0, 23.0, 25.0]> : tensor<13xf32> : tensor<1x26xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 1, columns_per_thread = 16, threads = 1, chains = 4> panels dense<0> : tensor<1x1xi32> splits dense<[[0, 26]]> : tensor<1x2xi32> : tensor<1x26xf32, #sparsert.csr>, tensor<26x16xf32> -> tensor<1x16xf32>
  func.return %0 : tensor<1x16xf32>
}
