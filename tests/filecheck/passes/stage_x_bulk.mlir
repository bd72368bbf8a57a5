// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-stage-x | filecheck %s
// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-stage-x,sparsert-unroll-pattern,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM
// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-stage-x,sparsert-unroll-pattern,sparsert-convert-to-llvm -t 'ptx{arch=sm_90}' | filecheck %s --check-prefix=PTX
// RUN: not sparsert-opt %s -p sparsert-map-to-gpu,sparsert-vectorize,sparsert-stage-x,sparsert-unroll-pattern,sparsert-convert-to-llvm -t 'ptx{arch=sm_80}' 2>&1 | filecheck %s --check-prefix=OLDER

// Rows 0, 2 and 3 of x, two a step, each row copied by a thread of its own; a tile of 8 columns, of
// which the second block has 4.

// CHECK-LABEL: gpu.module @rows_kernels
// CHECK-DAG: sym_name = "x_stages", type = memref<4x8xf32, 3 : i64>
// CHECK-DAG: sym_name = "signals", type = memref<2xi64, 3 : i64>
// CHECK: gpu.func @rows(%[[X:.*]]: memref<4x12xf32>
// CHECK: %[[STAGES:.*]] = memref.get_global @x_stages
// CHECK: %[[SIGNALS:.*]] = memref.get_global @signals
// CHECK: sparsert.make_signals %[[SIGNALS]]
// CHECK: %[[LEFT:.*]] = arith.subi
// CHECK: %[[COUNT:.*]] = arith.minui %[[LEFT]]
// CHECK: %[[BYTES:.*]] = arith.muli %[[COUNT]]
// CHECK: scf.if
// CHECK: sparsert.expect_bytes %[[SIGNALS]][%{{.*}}], %[[BYTES]]
// CHECK: sparsert.bulk_copy %[[X]][%{{.*}}, %{{.*}}] to %[[STAGES]][%{{.*}}, %{{.*}}] x %[[COUNT]] signal %[[SIGNALS]]
// CHECK: scf.for %[[STEP:[0-9]+]] =
// CHECK: %[[PHASE:.*]] = arith.divui %[[STEP]]
// CHECK: %[[PARITY:.*]] = arith.remui %[[PHASE]]
// CHECK: %[[BUFFER:.*]] = arith.remui %[[STEP]]
// CHECK: sparsert.await_bytes %[[SIGNALS]][%[[BUFFER]]] parity %[[PARITY]]
// CHECK: gpu.barrier
// CHECK: sparsert.bulk_copy
// CHECK: sparsert.panel_product

// LLVM-LABEL: llvm.func @rows
// LLVM: nvvm.mbarrier.init
// LLVM: nvvm.mbarrier.init
// LLVM: nvvm.fence.mbarrier.init
// LLVM: nvvm.barrier0
// LLVM: nvvm.mbarrier.arrive.expect_tx
// LLVM: nvvm.cp.async.bulk.shared.cluster.global
// LLVM: nvvm.mbarrier.try_wait.parity
// LLVM: nvvm.barrier0

// PTX: mbarrier.init.shared
// PTX: mbarrier.arrive.expect_tx
// PTX: cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%{{.*}}], [%{{.*}}], %{{.*}}, [%{{.*}}];
// PTX: mbarrier.try_wait.parity
// PTX: ld.shared

// OLDER: nvvm.{{.*}} needs sm_90 or later, got sm_80
func.func @rows(%x: tensor<4x12xf32>) -> tensor<3x12xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 0, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, threads = 8, panels_per_block = 2, staging = bulk, stages = 2, rows_per_stage = 2> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x12xf32> -> tensor<3x12xf32>
  func.return %0 : tensor<3x12xf32>
}
