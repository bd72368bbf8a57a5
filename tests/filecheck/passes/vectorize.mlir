// RUN: sparsert-opt %s -p 'sparsert-map-to-gpu,sparsert-vectorize{columns-per-thread=4}' | filecheck %s --check-prefixes=CHECK,GPU

// CHECK-LABEL: func.func @product
// GPU: sparsert.column_tiles 8 by 4 x 4
// GPU: gpu.launch_func @product_kernels::@product
// GPU: sym_name = "partial_sums", type = memref<2x2x16xf32, 3 : i64>
// GPU: gpu.func @product({{.*}} attributes {sparsert.schedule = #sparsert.schedule<{{.*}}columns_per_thread = 4{{.*}}>}
// GPU: %[[COLUMN:.*]] = sparsert.first_column %{{.*}} x 4
// GPU: %[[S0:.*]], %[[S1:.*]] = sparsert.panel_product {{.*}} -> vector<4xf32>, vector<4xf32>
// GPU: %[[SUMS:.*]] = memref.get_global @partial_sums : memref<2x2x16xf32, 3 : i64>
// GPU: sparsert.store_columns %[[S0]], %[[SUMS]][{{.*}}] : memref<2x2x16xf32, 3 : i64>, vector<4xf32>
// GPU: sparsert.load_columns %[[SUMS]][{{.*}}] : memref<2x2x16xf32, 3 : i64>, vector<4xf32>
// GPU: arith.addf %{{.*}}, %{{.*}} : vector<4xf32>
// GPU: %[[BIAS:.*]] = vector.broadcast %{{.*}} : f32 to vector<4xf32>
// GPU: arith.addf %{{.*}}, %[[BIAS]] : vector<4xf32>
// GPU: %[[ZERO:.*]] = vector.broadcast %{{.*}} : f32 to vector<4xf32>
// GPU: arith.maximumf %{{.*}}, %[[ZERO]] : vector<4xf32>
// GPU: sparsert.store_columns %{{.*}} : memref<3x8xf32>, vector<4xf32>
func.func @product(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, k_groups = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// Only its own launch is widened, although one name ends with the other.

// CHECK-LABEL: func.func @my_product
// GPU: sparsert.column_tiles 8 by 4 x 4
// GPU: gpu.launch_func @my_product_kernels::@my_product
func.func @my_product(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
