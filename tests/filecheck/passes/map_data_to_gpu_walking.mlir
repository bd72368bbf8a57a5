// RUN: sparsert-opt %s -p 'sparsert-map-data-to-gpu{shared-memory=80}' | filecheck %s
// RUN: sparsert-opt %s -t report -p 'sparsert-map-data-to-gpu{shared-memory=80}' | filecheck %s --check-prefix=REPORT
// RUN: not sparsert-opt %s -p 'sparsert-map-data-to-gpu{shared-memory=64}' 2>&1 | filecheck %s --check-prefix=SLICES

// SLICES: error: sparsert-map-data-to-gpu: schedule: with panels_per_warp > 1 all of x stays in shared memory: expected K of at most 3, got 4; use fewer columns_per_thread or column_groups

// REPORT: panels 3 of rows: 8; readers per row: 4; lanes per reader: 1
// REPORT: warps one for up to 2 panels, one after another, over one copy of x

// Two blocks of one warp walk over three panels: x is staged before the loop, and the first chunks
// of the next panel are loaded during the last steps of the one before.

// CHECK-LABEL: func.func @walking
// CHECK: %[[BLOCKS:.*]] = arith.constant 2 : index
// CHECK: gpu.launch_func @walking_kernels::@walking blocks in(%[[BLOCKS]],
// CHECK: gpu.func @walking(
// CHECK: %[[STAGED:.*]] = memref.get_global @x_slice
// CHECK: %[[FIRST:.*]] = arith.addi
// CHECK: %[[PANELS:.*]] = arith.constant 3 : index
// CHECK: gpu.barrier
// CHECK-NOT: gpu.barrier
// CHECK: scf.for %[[PANEL:.*]] = %[[FIRST]] to %[[PANELS]] step %[[STRIDE:.*]] iter_args(%[[BEGIN:[^ ]*]] = %{{[^,]*}}, %[[END:[^ ]*]] =
// CHECK: memref.load %{{.*}} : memref<24xi32>
// CHECK: %[[FOLLOWING:.*]] = arith.addi %[[PANEL]], %[[STRIDE]]
// CHECK: %[[MORE:.*]] = arith.cmpi ult, %[[FOLLOWING]], %[[PANELS]]
// CHECK: %[[NEXT:.*]] = arith.select %[[MORE]], %[[FOLLOWING]], %[[PANEL]]
// CHECK: scf.for %{{.*}} = %[[BEGIN]] to %[[END]] step
// CHECK: scf.if
// CHECK: } else {
// CHECK: scf.if %[[MORE]]
// CHECK: sparsert.load_columns
func.func @walking(%x: tensor<4x8xf16>) -> tensor<24x8xf16> {
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]> : tensor<25xi32> column_indices dense<1> : tensor<24xi32> values dense<2.0> : tensor<24xf16> : tensor<24x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 8, columns_per_thread = 8, threads = 32, accumulation = f32, panels_per_warp = 2> panels dense<[[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15], [16, 17, 18, 19, 20, 21, 22, 23]]> : tensor<3x8xi32> splits dense<[[0, 4], [0, 4], [0, 4]]> : tensor<3x2xi32> : tensor<24x4xf16, #sparsert.csr>, tensor<4x8xf16> -> tensor<24x8xf16>
  func.return %0 : tensor<24x8xf16>
}
