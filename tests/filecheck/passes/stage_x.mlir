// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-stage-x | filecheck %s
// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-stage-x,sparsert-unroll-pattern | filecheck %s --check-prefix=UNROLLED
// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-stage-x,sparsert-unroll-pattern,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM
// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-stage-x,sparsert-unroll-pattern,sparsert-convert-to-llvm -t 'ptx{arch=sm_80}' | filecheck %s --check-prefix=PTX

// Panels of rows 0, and 1 and 2; each in a block of its own, which copies the rows of x that the
// panel needs: 0 and 2, and 0 and 3. Four columns are one copy; two buffers of one row.

// CHECK-LABEL: gpu.module @apart_kernels
// CHECK-DAG: sym_name = "x_stages", type = memref<2x4xf32, 3 : i64>
// CHECK-DAG: sym_name = "staged_rows", type = memref<2x2xi32>, initial_value = dense<{{\[\[}}0, 2], [0, 3]]>
// CHECK: gpu.func @apart(%[[X:.*]]: memref<4x8xf32>, %[[Y:.*]]: memref<3x8xf32>)
// CHECK: %[[LANE:.*]] = sparsert.first_column %{{.*}} x 1
// CHECK: %[[TILE:.*]] = sparsert.first_column %{{.*}} x 1
// CHECK: %[[COLUMN:.*]] = arith.select %{{.*}}, %[[LANE]], %[[TILE]] : index
// CHECK: %[[W:.*]] = sparsert.constant
// CHECK: %[[STAGES:.*]] = memref.get_global @x_stages
// CHECK: %[[PLACE:.*]] = arith.subi %[[COLUMN]], %[[TILE]]
// CHECK: %[[ROWS:.*]] = memref.get_global @staged_rows
// CHECK: %[[BLOCK:.*]] = gpu.block_id y
// CHECK: memref.load %[[ROWS]][%[[BLOCK]], %{{.*}}]
// CHECK: sparsert.async_copy %[[X]][%{{.*}}, %{{.*}}] to %[[STAGES]][%{{.*}}, %{{.*}}] x 4
// CHECK: sparsert.async_commit
// CHECK: scf.for %[[STEP:.*]] = %{{.*}} iter_args(%[[A:.*]] = %[[ZERO:.*]], %[[B:.*]] = %[[ZERO]])
// CHECK: sparsert.async_wait 0
// CHECK: gpu.barrier
// CHECK: %[[AHEAD:.*]] = arith.addi %[[STEP]]
// CHECK: scf.if
// CHECK: arith.remui %[[AHEAD]]
// CHECK: sparsert.async_copy %[[X]]
// CHECK: sparsert.async_commit
// CHECK: sparsert.panel_product %[[W]], %[[STAGES]][%[[PLACE]]] positions dense<[0, 1, 0, 1]> : tensor<4xi32> panel %{{.*}} group %[[STEP]] from %[[A]], %[[B]] : f32, f32 panels {{.*}} splits dense<{{\[\[}}0, 2, 4], [0, 3, 4]]>
// CHECK: scf.if
// CHECK: sparsert.write_panel

// UNROLLED-LABEL: gpu.func @apart(
// UNROLLED: scf.for
// UNROLLED: scf.index_switch
// UNROLLED: sparsert.accumulate %[[S:.*]][%{{.*}}] from %{{.*}}, %{{.*}} : f32, f32 columns dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.000000e+00>
// UNROLLED: sparsert.accumulate %[[S]][%{{.*}}] from %{{.*}}, %{{.*}} : f32, f32 columns dense<1> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<2.000000e+00>
// UNROLLED: sparsert.accumulate %[[S]][%{{.*}}] from %{{.*}}, %{{.*}} : f32, f32 columns dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<3.000000e+00>
// UNROLLED: sparsert.accumulate %[[S]][%{{.*}}] from %{{.*}}, %{{.*}} : f32, f32 columns dense<1> : tensor<1xi32> rows dense<1> : tensor<1xi32> values dense<4.000000e+00>
// UNROLLED: scf.if
// UNROLLED: scf.index_switch
// UNROLLED: sparsert.write_rows {{.*}} rows dense<[0, -1]>
// UNROLLED: sparsert.write_rows {{.*}} rows dense<[1, 2]>
// UNROLLED-NOT: sparsert.write_panel

// LLVM-LABEL: llvm.func @apart
// LLVM: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16
// LLVM: nvvm.cp.async.commit.group
// LLVM: nvvm.cp.async.wait.group 0
// LLVM: nvvm.barrier0
// LLVM: sparsert.ptr_accumulate %{{.*}} from %{{.*}}, %{{.*}} : f32, f32 f32 offsets dense<0>
// LLVM: sparsert.ptr_accumulate %{{.*}} from %{{.*}}, %{{.*}} : f32, f32 f32 offsets dense<4>

// PTX-LABEL: .entry apart
// PTX: cp.async.cg.shared.global [%{{.*}}], [%{{.*}}], 16;
// PTX: cp.async.commit_group;
// PTX: cp.async.wait_group 0;
// PTX: bar
// PTX: ld.shared
// PTX: st.global

func.func @apart(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 0, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, threads = 4, staging = async, stages = 2, rows_per_stage = 1> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// Both panels in one block, which takes rows 0, 2 and 3, two a step; two columns per thread, of 6.

// CHECK-LABEL: gpu.module @together_kernels
// CHECK-DAG: sym_name = "x_stages", type = memref<6x4xf32, 3 : i64>
// CHECK-DAG: sym_name = "staged_rows", type = memref<1x4xi32>, initial_value = dense<{{\[\[}}0, 2, 3, 3]]>
// CHECK: gpu.func @together
// CHECK: arith.cmpi ult
// CHECK: sparsert.async_copy {{.*}} x 2
// CHECK: sparsert.async_wait 1
// CHECK: sparsert.panel_product {{.*}} positions dense<[0, 1, 0, 2]> {{.*}} splits dense<{{\[\[}}0, 3, 4], [0, 3, 4]]> : tensor<2x3xi32> : {{.*}} -> vector<2xf32>, vector<2xf32>

func.func @together(%x: tensor<4x6xf32>) -> tensor<3x6xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 0, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, threads = 2, columns_per_thread = 2, panels_per_block = 2, staging = async, stages = 3, rows_per_stage = 2> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x6xf32> -> tensor<3x6xf32>
  func.return %0 : tensor<3x6xf32>
}

// However many rows x has, the work and the tables are those of the nonzeros.

// CHECK-LABEL: gpu.module @wide_kernels
// CHECK-DAG: sym_name = "staged_rows", type = memref<1x2xi32>, initial_value = dense<{{\[\[}}7, 268435455]]>
// CHECK: sparsert.panel_product {{.*}} positions dense<[0, 1, 1]> : tensor<3xi32> {{.*}} splits dense<{{\[\[}}0, 268435456]]>

func.func @wide(%x: tensor<268435456x4xf32>) -> tensor<2x4xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3]> : tensor<3xi32> column_indices dense<[7, 268435455, 268435455]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x268435456xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, threads = 4, staging = async, stages = 2, rows_per_stage = 2> panels dense<[[0, 1]]> : tensor<1x2xi32> splits dense<[[0, 268435456]]> : tensor<1x2xi32> : tensor<2x268435456xf32, #sparsert.csr>, tensor<268435456x4xf32> -> tensor<2x4xf32>
  func.return %0 : tensor<2x4xf32>
}
