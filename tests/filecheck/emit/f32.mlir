// RUN: sparsert-opt %s -p sparsert-gpu-pipeline -t llvm | filecheck %s --check-prefix=LLVM
// RUN: sparsert-opt %s -p sparsert-gpu-pipeline -t 'ptx{arch=sm_90}' | filecheck %s --check-prefix=PTX

// Values are operands, columns are offsets (in bytes: column * N * 4). x is read through the
// read-only path, y is streamed past the caches, a NaN survives ReLU.

// LLVM: target triple = "nvptx64-nvidia-cuda"
// LLVM: define ptx_kernel void @f32(ptr addrspace(1) noalias readonly %[[X:.*]], ptr addrspace(1) noalias %[[Y:.*]]) "nvvm.reqntid"="32,1,1" {
// LLVM: %[[X_HERE:.*]] = getelementptr inbounds float, ptr addrspace(1) %[[X]], i32 %[[COLUMN:.*]]
// LLVM: %[[LANE:.*]] = load <4 x float>, ptr addrspace(1) %[[X_HERE]], align 16, !invariant.load !0
// LLVM: %[[FIRST:.*]] = extractelement <4 x float> %[[LANE]], i32 0
// LLVM: %[[SUM:.*]] = call float @llvm.fma.f32(float %[[FIRST]], float 0x3FF8000000000000, float 0x0000000000000000)
// LLVM: getelementptr inbounds float, ptr addrspace(1) %[[X_HERE]], i64 16
// LLVM: call float @llvm.fma.f32(float %{{.*}}, float 0x4000000000000000, float %[[SUM]])
// LLVM: %[[Y_HERE:.*]] = getelementptr inbounds float, ptr addrspace(1) %[[Y]], i32 %[[COLUMN]]
// LLVM: fadd float %{{.*}}, 0x4014000000000000
// LLVM: call float @llvm.maximum.f32(float %{{.*}}, float 0x0000000000000000)
// LLVM: call void asm sideeffect "st.global.cs.v4.b32 [$0+32], {{.*}}", "l,f,f,f,f,~{memory}"(ptr addrspace(1) %[[Y_HERE]],
// LLVM: declare float @llvm.fma.f32(float, float, float)

// PTX: .target sm_90
// PTX: .visible .entry f32(
// PTX: .reqntid 32, 1, 1
// PTX: ld.global.nc.v4.b32 {{.*}}, [%[[X:.*]]];
// PTX: fma.rn.f32 %[[SUM:.*]], %{{.*}}, 0f3FC00000, 0f00000000;
// PTX: ld.global.nc.v4.b32 {{.*}}, [%[[X]]+64];
// PTX: fma.rn.f32 %{{.*}}, %{{.*}}, 0f40000000, %[[SUM]];
// PTX: add.rn.f32 {{.*}}, 0f40A00000;
// PTX: max.NaN.f32
// PTX-NOT: st.global.v
// PTX: st.global.cs.v4.b32 [%{{.*}}+0],
// PTX: st.global.cs.v4.b32 [%{{.*}}+32],
// PTX: st.global.cs.v4.b32 [%{{.*}}+64],
// PTX-NOT: st.global

func.func @f32(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.5, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %b = arith.constant dense<[5.0, 6.0, 7.0]> : tensor<3xf32>
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 3, threads = 32, columns_per_thread = 4, stores = streaming> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  %1 = sparsert.bias_add %0, %b : tensor<3x8xf32>, tensor<3xf32>
  %2 = sparsert.relu %1 : tensor<3x8xf32>
  func.return %2 : tensor<3x8xf32>
}
