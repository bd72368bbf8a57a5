// RUN: sparsert-opt %s -p sparsert-gpu-pipeline -t 'ptx{arch=sm_80}' | filecheck %s

// Threads of a block sum parts of a panel, meet in shared memory, and one of them streams a row.

// CHECK: .target sm_80
// CHECK: .visible .entry groups(
// CHECK: .reqntid 32, 2, 1
// CHECK: ld.global.nc.v2.b32
// CHECK: st.shared.v2.b32
// CHECK: bar.sync 0;
// CHECK: ld.shared.v2.b32
// CHECK: st.global.cs.v2.b32
// CHECK-NOT: st.global
// CHECK: ret;
func.func @groups(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.5, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 3, k_groups = 2, threads = 32, columns_per_thread = 2, stores = streaming> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
