// RUN: sparsert-opt %s -p sparsert-map-to-gpu | filecheck %s
// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-unroll-pattern,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM

// Two blocks, two K groups each. A block adds up its groups, sends the sum of row r to block r mod 2
// and finishes the rows that it gets, in the order of the blocks.

// CHECK-LABEL: func.func @two_blocks
// CHECK: %[[COLUMNS:.*]] = sparsert.column_tiles 8 by 4 x 1
// CHECK: %[[PANELS:.*]] = arith.constant 2 : index
// CHECK: %[[DEEP:.*]] = arith.constant 2 : index
// CHECK: blocks in(%[[COLUMNS]], %[[PANELS]], %[[DEEP]])
// CHECK: sym_name = "partial_sums", type = memref<2x2x4xf32, 3 : i64>
// CHECK: sym_name = "inbox", type = memref<2x1x4xf32, 3 : i64>
// CHECK: sym_name = "signal", type = memref<1xi64, 3 : i64>
// CHECK: gpu.func @two_blocks({{.*}}) kernel threads(4, 2, 1) clusters(1, 1, 2)
// CHECK: %[[INBOX:.*]] = memref.get_global @inbox
// CHECK: %[[SIGNAL:.*]] = memref.get_global @signal
// CHECK: sparsert.open_inbox %[[SIGNAL]] for %{{.*}} rows of %[[INBOX]]
// CHECK: nvvm.griddepcontrol.wait
// CHECK: %[[GROUP:.*]] = gpu.thread_id y
// CHECK: %[[RANK:.*]] = gpu.block_id z
// CHECK: %[[FIRST:.*]] = arith.muli %[[RANK]], %{{.*}} : index
// CHECK: %[[PART:.*]] = arith.addi %[[FIRST]], %[[GROUP]] : index
// CHECK: sparsert.panel_product {{.*}} group %[[PART]]
// CHECK: sparsert.store_columns %{{.*}}, %[[SUMS:.*]][
// CHECK: gpu.barrier
// CHECK: scf.for %[[ROW:.*]] = %[[GROUP]] to
// CHECK: %[[OWN:.*]] = arith.addf
// CHECK: %[[RECEIVER:.*]] = arith.remui %[[ROW]]
// CHECK: sparsert.send_columns %[[OWN]], %{{.*}}[%{{.*}}] of %[[RECEIVER]] signal
// CHECK: sparsert.await_inbox
// CHECK: nvvm.griddepcontrol.launch_dependents
// CHECK: %[[MINE:.*]] = arith.addi %{{.*}}, %[[RANK]]
// CHECK: scf.for %{{.*}} = %[[MINE]] to
// CHECK: %[[A:.*]] = sparsert.load_columns
// CHECK: %[[B:.*]] = sparsert.load_columns
// CHECK: %[[TOTAL:.*]] = arith.addf %[[A]], %[[B]]
// CHECK: arith.maximumf %[[TOTAL]]
// CHECK-NOT: gpu.barrier
// CHECK: gpu.return

// Lanes of two columns; the thread that is first in its block makes the barrier object.

// LLVM: llvm.mlir.global internal @inbox() {{.*}} : !llvm.array<16 x f32>
// LLVM: llvm.mlir.global internal @signal() {{.*}} : !llvm.array<1 x i64>
// LLVM: llvm.func @two_blocks
// LLVM-SAME: nvvm.reqntid = array<i32: 4, 2, 1>, nvvm.cluster_dim = array<i32: 1, 1, 2>
// LLVM: %[[SIGNAL:.*]] = llvm.mlir.addressof @signal : !llvm.ptr<3>
// LLVM: nvvm.mbarrier.init %[[SIGNAL]], %{{.*}} : !llvm.ptr<3>
// LLVM: nvvm.fence.mbarrier.init
// LLVM: %[[ROW:.*]] = llvm.mlir.constant(32 : i32) : i32
// LLVM: %[[BYTES:.*]] = llvm.mul %{{.*}}, %[[ROW]] : i32
// LLVM: nvvm.mbarrier.arrive.expect_tx %[[SIGNAL]], %[[BYTES]] : !llvm.ptr<3>
// LLVM: nvvm.cluster.arrive.relaxed
// LLVM: nvvm.cluster.wait
// LLVM: nvvm.griddepcontrol.wait
// LLVM: nvvm.barrier0
// LLVM: %[[THERE:.*]] = nvvm.mapa %{{.*}}, %[[RANK:.*]] : !llvm.ptr<3> -> !llvm.ptr<7>
// LLVM: %[[COUNTER:.*]] = nvvm.mapa %{{.*}}, %[[RANK]] : !llvm.ptr<3> -> !llvm.ptr<7>
// LLVM: %[[PLACE:.*]] = llvm.getelementptr inbounds %[[THERE]]
// LLVM: nvvm.st.async %{{.*}}, %[[PLACE]], %[[COUNTER]] : vector<2xf32>, !llvm.ptr<7>
// LLVM: nvvm.mbarrier.try_wait.parity %{{.*}} : !llvm.ptr<3>
// LLVM: nvvm.griddepcontrol.launch_dependents
func.func @two_blocks(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x activation relu schedule <rows_per_panel = 2, k_groups = 2, cluster = 2, columns_per_thread = 2, threads = 4, launch = overlapped> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]> : tensor<2x5xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// One K group in each block: its sums are sent as they are.

// CHECK-LABEL: gpu.module @one_group_kernels
// CHECK-NOT: partial_sums
// CHECK: gpu.func @one_group({{.*}}) kernel threads(4, 1, 1) clusters(1, 1, 4)
// CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.panel_product
// CHECK-NOT: gpu.barrier
// CHECK: sparsert.send_columns %[[S0]]
// CHECK: sparsert.send_columns %[[S1]]
// CHECK: sparsert.await_inbox
func.func @one_group(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, cluster = 4, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]> : tensor<2x5xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
