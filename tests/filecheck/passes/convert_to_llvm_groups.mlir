// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-unroll-pattern,sparsert-convert-to-llvm | filecheck %s

// Partial sums in workgroup memory: tables, a buffer without a value, and a barrier.

// CHECK-LABEL: gpu.module @two_groups_kernels
// CHECK: llvm.mlir.global internal constant @panel_rows(dense<{{\[\[}}0, -1], [1, 2]]> : tensor<2x2xi32>) {addr_space = 4 : i32, alignment = 16 : i64} : !llvm.array<4 x i32>
// CHECK: llvm.mlir.global internal constant @bias({{.*}}) {addr_space = 4 : i32, alignment = 16 : i64} : !llvm.array<3 x f32>
// CHECK: llvm.mlir.global internal @partial_sums() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<16 x f32>
// CHECK: llvm.func @two_groups
// CHECK-SAME: nvvm.reqntid = array<i32: 4, 2, 1>
// CHECK: %[[GROUP:.*]] = nvvm.read.ptx.sreg.tid.y : i32
// CHECK: cf.switch
// CHECK: ^[[JOIN:.*]](%[[S0:.*]]: f32, %[[S1:.*]]: f32):
// CHECK: %[[SUMS:.*]] = llvm.mlir.addressof @partial_sums : !llvm.ptr<3>
// CHECK: llvm.store %[[S0]], %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<3>
// CHECK: llvm.store %[[S1]], %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<3>
// CHECK: nvvm.barrier0
// CHECK: cf.br ^[[LOOP:.*]](%[[GROUP]] : i32)
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> f32
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> f32
// CHECK: llvm.fadd
// CHECK: llvm.return
func.func @two_groups(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, k_groups = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
