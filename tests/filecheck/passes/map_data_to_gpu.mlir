// RUN: sparsert-opt %s -p sparsert-map-data-to-gpu --split-input-file | filecheck %s
// RUN: sparsert-opt %s -p 'sparsert-map-data-to-gpu{shared-memory=64}' --split-input-file | filecheck %s --check-prefix=SLICES

// CHECK: builtin.module attributes {gpu.container_module}

// The packed arrays are constants that the launch passes after the function's own arguments. Two
// warps share a block, so an empty panel is added.

// CHECK: sym_name = "vector_values", type = memref<64x2xf16>, {{.*}} constant
// CHECK: sym_name = "vector_indices", type = memref<64x2xi16>, {{.*}} constant
// CHECK: sym_name = "vector_starts", type = memref<3xi32>, initial_value = dense<[0, 1, 2]>
// CHECK: sym_name = "vector_rows", type = memref<16xi32>, initial_value = dense<[0, 1, 2, -1,
// CHECK: sym_name = "vector_bias", type = memref<3xf32>, initial_value = dense<[5.000000e+00, 6.000000e+00, 7.000000e+00]>
// CHECK-LABEL: func.func @vector
// CHECK-SAME: (%[[X:.*]]: memref<4x1xf16>, %[[R:.*]]: memref<3x1xf16>, %[[Y:.*]]: memref<3x1xf16>)
// CHECK: %[[VALUES:.*]] = memref.get_global @vector_values
// CHECK: %[[INDICES:.*]] = memref.get_global @vector_indices
// CHECK: %[[STARTS:.*]] = memref.get_global @vector_starts
// CHECK: %[[ROWS:.*]] = memref.get_global @vector_rows
// CHECK: %[[BIAS:.*]] = memref.get_global @vector_bias
// CHECK: gpu.launch_func @vector_kernels::@vector {{.*}} args(%[[X]], %[[R]], %[[Y]], %[[VALUES]], %[[INDICES]], %[[STARTS]], %[[ROWS]], %[[BIAS]] :

// The first chunks of the stream are on their way before x is waited for and staged.

// CHECK-LABEL: gpu.module @vector_kernels
// CHECK: sym_name = "x_slice", type = memref<8x1xf16, 3 : i64>, initial_value, sym_visibility
// CHECK: gpu.func @vector(%[[X:.*]]: memref<4x1xf16>, %[[R:.*]]: memref<3x1xf16>, %[[Y:.*]]: memref<3x1xf16>, %[[VALUES:.*]]: memref<64x2xf16>, %[[INDICES:.*]]: memref<64x2xi16>, %[[STARTS:.*]]: memref<3xi32>, %[[ROWS:.*]]: memref<16xi32>, %[[BIAS:.*]]: memref<3xf32>) kernel threads(64, 1, 1)
// CHECK-SAME: sparsert.layout = #sparsert.stream_layout<panel_rows = [8], panels = [2], column_groups = 1, chunk = 2, slice_columns = 4, slices = 1, row_bytes = 2, together = 1>, sparsert.constants = 5 : i64
// CHECK: %[[STAGED:.*]] = memref.get_global @x_slice
// CHECK: %[[ROW:.*]] = memref.load %[[ROWS]]
// CHECK: %[[BEGIN32:.*]] = memref.load %[[STARTS]]
// CHECK: %[[BEGIN:.*]] = arith.index_cast %[[BEGIN32]]
// CHECK: %[[END32:.*]] = memref.load %[[STARTS]]
// CHECK: %[[END:.*]] = arith.index_cast %[[END32]]
// CHECK: %[[V0:.*]] = sparsert.load_columns %[[VALUES]]{{.*}}, vector<2xf16>
// CHECK: %[[I0:.*]] = sparsert.load_columns %[[INDICES]]{{.*}}, vector<2xi16>
// CHECK: %[[V1:.*]] = sparsert.load_columns %[[VALUES]]
// CHECK: %[[I1:.*]] = sparsert.load_columns %[[INDICES]]
// CHECK: nvvm.griddepcontrol.wait
// CHECK: nvvm.griddepcontrol.launch_dependents
// CHECK: sparsert.load_columns %{{.*}} : memref<4xf16>
// CHECK: sparsert.store_columns
// CHECK: gpu.barrier

// CHECK: scf.for %[[STEP:.*]] = %[[BEGIN]] to %[[END]] {{.*}} iter_args(%[[TOTAL:.*]] = %{{.*}}, %[[C0:.*]] = %[[V0]], %[[D0:.*]] = %[[I0]], %[[C1:.*]] = %[[V1]], %[[D1:.*]] = %[[I1]])
// CHECK: scf.if
// CHECK: sparsert.load_columns %[[VALUES]]
// CHECK: scf.if
// CHECK: %[[WIDE:.*]] = arith.extf %[[C0]] : vector<2xf16> to vector<2xf32>
// CHECK: %[[VALUE:.*]] = vector.extract %[[WIDE]][0]
// CHECK: %[[INDEX:.*]] = vector.extract %[[D0]][0]
// CHECK: %[[POSITIVE:.*]] = arith.extui %[[INDEX]] : i16 to i32
// CHECK: %[[PLACE:.*]] = arith.index_cast %[[POSITIVE]]
// CHECK: %[[X0:.*]] = sparsert.load_columns %[[STAGED]][%[[PLACE]], %{{.*}}] : memref<8x1xf16, 3 : i64>, f16
// CHECK: %[[X1:.*]] = arith.extf %[[X0]]
// CHECK: math.fma %[[VALUE]], %[[X1]], %[[TOTAL]] : f32

// 16 rows of the mean length would share a warp: one longer than that gets twice as many lanes, and
// those that are left fill up its panel. Four lanes share a row.

// CHECK: gpu.shuffle xor %{{.*}}, 1 : f32
// CHECK: gpu.shuffle xor %{{.*}}, 2 : f32
// CHECK-NOT: gpu.shuffle
// CHECK: arith.cmpi sge, %[[ROW]]
// CHECK: scf.if
// CHECK: memref.load %[[BIAS]]
// CHECK: sparsert.load_columns %[[R]]
// CHECK: arith.maximumf
// CHECK: arith.truncf
// CHECK: sparsert.store_columns %{{.*}}, %[[Y]]
func.func @vector(%x: tensor<4x1xf16>, %r: tensor<3x1xf16>) -> tensor<3x1xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x1xf16> schedule <lowering = data, rows_per_panel = 16, threads = 64, chunk = 2, stages = 2, accumulation = f32, launch = overlapped> panels dense<[[0, 1, 2, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1]]> : tensor<1x16xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf16, #sparsert.csr>, tensor<4x1xf16> -> tensor<3x1xf16>
  func.return %0 : tensor<3x1xf16>
}

// -----

// Four lanes share a nonzero, each for two columns; two readers share a row. Of the tile's eight
// columns y has six: the last lane writes nothing.

// CHECK-LABEL: func.func @groups
// CHECK: gpu.func @groups
// CHECK-SAME: sparsert.layout = #sparsert.stream_layout<panel_rows = [4], panels = [1], column_groups = 4, chunk = 4, slice_columns = 4, slices = 1, row_bytes = 32, together = 1>, sparsert.constants = 4 : i64
// CHECK-NOT: nvvm.griddepcontrol
// CHECK: %[[LANE:.*]] = arith.remui
// CHECK: %[[GROUPS:.*]] = arith.constant 4 : index
// CHECK: %[[READER:.*]] = arith.divui %[[LANE]], %[[GROUPS]]
// CHECK: %[[GROUP:.*]] = arith.remui %[[LANE]], %[[GROUPS]]
// CHECK: %[[TWO:.*]] = arith.constant 2 : index
// CHECK: %[[WITHIN:.*]] = arith.muli %[[GROUP]], %[[TWO]]
// CHECK: %[[READERS:.*]] = arith.constant 8 : index
// CHECK: %[[STEP:.*]] = arith.muli %{{.*}}, %[[READERS]]
// CHECK: arith.addi %[[STEP]], %[[READER]]
// CHECK: sparsert.load_columns %{{.*}}[%{{.*}}, %[[WITHIN]]] : memref<5x8xf32, 3 : i64>, vector<2xf32>
// CHECK: vector.fma
// CHECK: gpu.shuffle xor %{{.*}}, 4 : f32
// CHECK: gpu.shuffle xor %{{.*}}, 4 : f32
// CHECK-NOT: gpu.shuffle
// CHECK: %[[COLUMN:.*]] = arith.addi %{{.*}}, %[[WITHIN]]
// CHECK: %[[END:.*]] = arith.constant 6 : index
// CHECK: arith.cmpi ult, %[[COLUMN]], %[[END]]
// CHECK: sparsert.store_columns %{{.*}} : memref<3x6xf32>, vector<2xf32>

// A row of the tile takes 32 bytes: of 64, one is left for the row of zeros. Each slice is staged
// between two barriers.

// SLICES: gpu.func @groups
// SLICES-SAME: slice_columns = 1, slices = 4
// SLICES: gpu.barrier
// SLICES: scf.for
// SLICES: gpu.barrier
// SLICES: gpu.barrier
// SLICES: scf.for
// SLICES: gpu.barrier
// SLICES: gpu.barrier
// SLICES: scf.for
// SLICES: gpu.barrier
// SLICES: gpu.barrier
// SLICES: scf.for
// SLICES-NOT: gpu.barrier
// SLICES: gpu.return
func.func @groups(%x: tensor<4x6xf32>) -> tensor<3x6xf32> {
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[2, 1, 3]> : tensor<3xi32> values dense<[2.0, 3.0, 4.0]> : tensor<3xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, columns_per_thread = 2, column_groups = 4, threads = 32, stages = 1> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x6xf32> -> tensor<3x6xf32>
  func.return %0 : tensor<3x6xf32>
}

// -----

// Lanes of two columns on rows of three: each column is stored by itself, where it exists.

// The first row is longer: 16 lanes share it, and 8 each of the others. Which it is, a warp knows
// from the number of its panel.

// CHECK-LABEL: func.func @odd
// CHECK: gpu.func @odd
// CHECK-SAME: sparsert.layout = #sparsert.stream_layout<panel_rows = [2, 4], panels = [1, 1],
// CHECK: %[[FIRST:.*]] = arith.cmpi ult, %{{.*}}, %{{.*}} : index
// CHECK: %[[EIGHT:.*]] = arith.constant 8 : index
// CHECK: %[[READERS:.*]] = arith.select %[[FIRST]], %{{.*}}, %[[EIGHT]]
// CHECK: %[[SHARING:.*]] = arith.muli %[[READERS]]
// CHECK: gpu.shuffle xor %{{.*}}, 4
// CHECK: %[[SHORT:.*]] = arith.addf
// CHECK: gpu.shuffle xor %{{.*}}, 8
// CHECK: %[[LONG:.*]] = arith.addf
// CHECK: %[[SAME:.*]] = arith.cmpi ult, %{{.*}}, %[[SHARING]]
// CHECK: arith.select %[[SAME]], %[[LONG]], %[[SHORT]]
// CHECK: vector.extract
// CHECK: scf.if
// CHECK: sparsert.store_columns %{{.*}} : memref<3x3xf32>, f32
// CHECK: scf.if
// CHECK: sparsert.store_columns %{{.*}} : memref<3x3xf32>, f32
func.func @odd(%x: tensor<4x3xf32>) -> tensor<3x3xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 4, columns_per_thread = 2, threads = 32, stages = 1> panels dense<[[0, 1, 2, -1]]> : tensor<1x4xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x3xf32> -> tensor<3x3xf32>
  func.return %0 : tensor<3x3xf32>
}
