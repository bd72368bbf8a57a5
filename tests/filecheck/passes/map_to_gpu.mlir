// RUN: sparsert-opt %s -p sparsert-map-to-gpu | filecheck %s

// CHECK: builtin.module attributes {gpu.container_module}

// One thread computes one column of one panel and writes it.

// CHECK-LABEL: func.func @one_group
// CHECK-SAME: (%[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>)
// CHECK: %[[COLUMNS:.*]] = sparsert.column_tiles 8 by 4 x 1
// CHECK: %[[PANELS:.*]] = arith.constant 2 : index
// CHECK: gpu.launch_func @one_group_kernels::@one_group blocks in(%[[COLUMNS]], %[[PANELS]], %{{.*}}) threads in({{.*}}) args(%[[X]], %[[R]], %[[Y]] :
// CHECK-LABEL: gpu.module @one_group_kernels
// CHECK-NOT: memref.global
// CHECK: gpu.func @one_group(%[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>) kernel threads(4, 1, 1)
// CHECK: %[[BLOCK:.*]] = gpu.block_id x
// CHECK: %[[PANEL:.*]] = gpu.block_id y
// CHECK: %[[THREAD:.*]] = gpu.thread_id x
// CHECK: %[[BEGIN:.*]] = arith.muli %[[BLOCK]]
// CHECK: %[[LANE:.*]] = arith.addi %[[BEGIN]], %[[THREAD]]
// CHECK: %[[COLUMN:.*]] = sparsert.first_column %[[LANE]] x 1
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %[[COLUMN]]
// CHECK: scf.if %[[INSIDE]]
// CHECK: %[[W:.*]] = sparsert.constant
// CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.panel_product %[[W]], %[[X]][%[[COLUMN]]] panel %[[PANEL]]
// CHECK: sparsert.write_panel %[[S0]], %[[S1]] to %[[Y]][%[[COLUMN]]] panel %[[PANEL]] {{.*}} bias dense<[5.000000e+00, 6.000000e+00, 7.000000e+00]> : tensor<3xf32> activation relu residual %[[R]] : memref<3x8xf32> streaming :
// CHECK: gpu.return
func.func @one_group(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 4, stores = streaming> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// Partial sums of two K groups meet in workgroup memory and are added in ascending order.

// CHECK-LABEL: gpu.module @two_groups_kernels
// CHECK: sym_name = "panel_rows", type = memref<2x2xi32, 4 : i64>, initial_value = dense<{{\[\[}}0, -1], [1, 2]]>
// CHECK: sym_name = "bias", type = memref<3xf32, 4 : i64>
// CHECK: sym_name = "partial_sums", type = memref<2x2x4xf32, 3 : i64>, initial_value, sym_visibility
// CHECK: gpu.func @two_groups(%[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>) kernel threads(4, 2, 1)
// CHECK: %[[GROUP:.*]] = gpu.thread_id y
// CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.panel_product %{{.*}} group %[[GROUP]]
// CHECK: %[[SUMS:.*]] = memref.get_global @partial_sums
// CHECK: sparsert.store_columns %[[S0]], %[[SUMS]]
// CHECK: sparsert.store_columns %[[S1]], %[[SUMS]]
// CHECK: gpu.barrier
// CHECK: scf.for %[[ROW:.*]] = %[[GROUP]] to
// CHECK: %[[FIRST:.*]] = sparsert.load_columns %[[SUMS]]
// CHECK: %[[SECOND:.*]] = sparsert.load_columns %[[SUMS]]
// CHECK: %[[TOTAL:.*]] = arith.addf %[[FIRST]], %[[SECOND]]
// CHECK: scf.if
// CHECK: %[[BIASED:.*]] = arith.addf %[[TOTAL]]
// CHECK: %[[RESIDUAL:.*]] = sparsert.load_columns %[[R]]
// CHECK: %[[ADDED:.*]] = arith.addf %[[BIASED]], %[[RESIDUAL]]
// CHECK: %[[ACTIVE:.*]] = arith.maximumf %[[ADDED]]
// CHECK: sparsert.store_columns %[[ACTIVE]], %[[Y]]
func.func @two_groups(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, k_groups = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// Two panels side by side in a block, column tiles in a loop, panels along x; the block's last two
// places have no panel: they compute the last one again and write nothing.

// CHECK-LABEL: func.func @side_by_side
// CHECK: %[[COLUMNS:.*]] = sparsert.column_tiles 8 by 8 x 1
// CHECK: %[[PANELS:.*]] = arith.constant 1 : index
// CHECK: blocks in(%[[PANELS]], %[[COLUMNS]], %{{.*}})
// CHECK: gpu.func @side_by_side({{.*}}) kernel threads(4, 1, 4)
// CHECK: %[[SLOT:.*]] = gpu.thread_id z
// CHECK: %[[PLACE:.*]] = arith.addi %{{.*}}, %[[SLOT]]
// CHECK: %[[VALID:.*]] = arith.cmpi ult, %[[PLACE]]
// CHECK: %[[PANEL:.*]] = arith.minui %[[PLACE]]
// CHECK: scf.for
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult
// CHECK: %[[WRITES:.*]] = arith.andi %[[INSIDE]], %[[VALID]]
// CHECK: scf.if %[[WRITES]]
// CHECK: sparsert.panel_product %{{.*}} panel %[[PANEL]]
func.func @side_by_side(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, threads = 4, panels_per_block = 4, column_tiles = 2, block_order = panels> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
