// RUN: sparsert-opt %s -p sparsert-gpu-pipeline -t 'ptx{arch=sm_90}' | filecheck %s
// RUN: sparsert-opt %s -p sparsert-gpu-pipeline -t 'ptx{arch=sm_100}' | filecheck %s --check-prefix=NEWER
// RUN: not sparsert-opt %s -p sparsert-gpu-pipeline -t 'ptx{arch=sm_89}' 2>&1 | filecheck %s --check-prefix=OLDER

// Blocks send each other their sums: the receiver counts bytes, nobody fences or waits for a cluster.

// OLDER: error: PTX: clusters need sm_90 or later, got sm_89
// NEWER: .version 8.6
// CHECK: .version 8.1
// CHECK: .target sm_90
// CHECK: .visible .entry cluster(
// CHECK: .reqntid 32, 2, 1
// CHECK: .reqnctapercluster 1, 1, 2
// CHECK: mbarrier.init.shared.b64
// CHECK: fence.mbarrier_init.release.cluster;
// CHECK: mbarrier.arrive.expect_tx.shared.b64
// CHECK: barrier.cluster.arrive.relaxed.aligned;
// CHECK: barrier.cluster.wait.aligned;
// CHECK: bar.sync 0;
// CHECK: ld.shared.v2.b32
// CHECK: mapa.shared::cluster.u64
// CHECK: st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32
// CHECK-NOT: barrier.cluster
// CHECK: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64
// CHECK-NOT: barrier.cluster
// CHECK: st.global.v2.b32
// CHECK-NOT: barrier.cluster
// CHECK: ret;
func.func @cluster(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 3, k_groups = 2, cluster = 2, threads = 32, columns_per_thread = 2> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
