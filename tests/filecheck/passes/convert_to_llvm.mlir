// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-unroll-pattern,sparsert-convert-to-llvm | filecheck %s
// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-unroll-pattern,sparsert-convert-to-llvm | sparsert-opt --verify-roundtrip | filecheck %s
// RUN: sparsert-opt %s -p sparsert-map-to-cpu,sparsert-pack-pattern,sparsert-convert-to-llvm | filecheck %s --check-prefix=CPU
// RUN: not sparsert-opt %s -p sparsert-convert-to-llvm 2>&1 | filecheck %s --check-prefix=TENSORS

// TENSORS: error: sparsert-convert-to-llvm: expected memrefs in @one_group, got tensor<4x8xf32>; run a mapping pass first

// What launches a kernel stays; a kernel holds only llvm, nvvm, cf and runs of multiply-adds, whose
// offsets are in elements: column * N.

// CHECK-LABEL: func.func @one_group
// CHECK: gpu.launch_func @one_group_kernels::@one_group
// CHECK-LABEL: gpu.module @one_group_kernels
// CHECK-NOT: {{memref|arith|scf|index|gpu}}
// CHECK: llvm.func @one_group(%[[X:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[R:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[Y:.*]]: !llvm.ptr<1> {llvm.noalias}) attributes {{{.*}}nvvm.kernel, nvvm.reqntid = array<i32: 1, 1, 1>}
// CHECK: %[[BLOCK:.*]] = nvvm.read.ptx.sreg.ctaid.x : i32
// CHECK: %[[PANEL:.*]] = nvvm.read.ptx.sreg.ctaid.y : i32
// CHECK: %[[THREAD:.*]] = nvvm.read.ptx.sreg.tid.x : i32
// CHECK: %[[BEGIN:.*]] = llvm.mul %[[BLOCK]]
// CHECK: %[[COLUMN:.*]] = llvm.add %[[BEGIN]], %[[THREAD]]
// CHECK: %[[INSIDE:.*]] = llvm.icmp "ult" %[[COLUMN]]
// CHECK: cf.cond_br %[[INSIDE]]
// CHECK: cf.switch %[[PANEL]] : i32
// CHECK: %[[X_HERE:.*]] = llvm.getelementptr inbounds %[[X]][%[[COLUMN]]]
// CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.ptr_accumulate %[[X_HERE]] invariant f32 offsets dense<[0, 16]> : tensor<2xi32> rows dense<0> : tensor<2xi32> values dense<[1.000000e+00, 2.000000e+00]>
// CHECK: %[[Y_HERE:.*]] = llvm.getelementptr inbounds %[[Y]][%[[COLUMN]]]
// CHECK: %[[R_HERE:.*]] = llvm.getelementptr inbounds %[[R]][%[[COLUMN]]]
// CHECK: sparsert.ptr_write_rows %[[S0]], %[[S1]] to %[[Y_HERE]] f32 offsets dense<[0, -1]> : tensor<2xi32> bias dense<[5.000000e+00, 0.000000e+00]> : tensor<2xf32> activation relu residual %[[R_HERE]] : !llvm.ptr<1> invariant
// CHECK: sparsert.ptr_accumulate {{.*}} offsets dense<[8, 24]>
// CHECK: sparsert.ptr_write_rows {{.*}} offsets dense<[8, 16]>
// CHECK: llvm.return

// CPU: llvm.mlir.global internal constant @one_group_tiles_offsets(dense<{{\[}}[0, 0], [0, 2], [0, 2], [0, 3], [0, 4]]> : tensor<5x2xi32>)
// CPU: llvm.func @one_group(
// CPU: %[[OFFSETS:.*]] = llvm.mlir.addressof @one_group_tiles_offsets : !llvm.ptr
// CPU: llvm.call @one_group_tiles({{.*}}%[[OFFSETS]]
// CPU: llvm.func internal @one_group_tiles(%[[X:.*]]: !llvm.ptr {llvm.noalias, llvm.readonly}, {{.*}}, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: i64) attributes {{{.*}}sparsert.kernel, sparsert.schedule = {{.*}}}
// CPU-NOT: {{memref|arith|scf|index}}
// CPU: llvm.call_intrinsic "llvm.umin.i64"
// CPU: llvm.load %{{.*}} {invariant, alignment = 4 : i64} : !llvm.ptr -> i32
// CPU: llvm.call_intrinsic "llvm.fma.f32"
// CPU: llvm.return
func.func @one_group(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 1> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
