// RUN: sparsert-opt %s --split-input-file -p sparsert-gpu-pipeline -t llvm | filecheck %s --check-prefix=LLVM
// RUN: sparsert-opt %s --split-input-file -p sparsert-gpu-pipeline -t 'ptx{arch=sm_90}' | filecheck %s --check-prefix=PTX

// A pair of f16 is one register: one load, one multiply-add, one store.

// LLVM: define ptx_kernel void @pairs(
// LLVM: load <2 x half>, ptr addrspace(1) %{{.*}}, align 4, !invariant.load !0
// LLVM: call <2 x half> @llvm.fma.v2f16(<2 x half> %{{.*}}, <2 x half> splat (half 0xH3E00), <2 x half> splat (half 0xH0000))
// LLVM: call void asm sideeffect "st.global.cs.b32 [$0+0], $1;", "l,r,~{memory}"(ptr addrspace(1) %{{.*}}, <2 x half> %{{.*}})

// PTX: .visible .entry pairs(
// PTX-NOT: fma.rn.f16{{$|[^x]}}
// PTX: ld.global.nc.b32
// PTX: fma.rn.f16x2
// PTX: st.global.cs.b32 [%{{.*}}+0],
// PTX: st.global.cs.b32 [%{{.*}}+16],
// PTX: st.global.cs.b32 [%{{.*}}+32],
func.func @pairs(%x: tensor<4x8xf16>) -> tensor<3x8xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.5, 2.0, 3.0, 4.0]> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 3, threads = 32, columns_per_thread = 2, stores = streaming> : tensor<3x4xf16, #sparsert.csr>, tensor<4x8xf16> -> tensor<3x8xf16>
  func.return %0 : tensor<3x8xf16>
}

// -----

// With an odd N a pair may lie across two registers' worth of memory: two loads, still one
// multiply-add; the second column is stored where there is one. Sums are kept in f32.

// LLVM: define ptx_kernel void @odd(
// LLVM: %[[AFTER:.*]] = add i32 %[[COLUMN:.*]], 1
// LLVM: %[[INSIDE:.*]] = icmp ult i32 %[[AFTER]], 7
// LLVM: zext i1 %[[INSIDE]] to i32
// LLVM: load half, {{.*}} align 2, !invariant.load !0
// LLVM: load half, {{.*}} align 2, !invariant.load !0
// LLVM: call <2 x half> @llvm.fma.v2f16
// LLVM: fpext half %{{.*}} to float
// LLVM: fpext half %{{.*}} to float
// LLVM: fptrunc float %{{.*}} to half
// LLVM: store half %{{.*}} align 2
// LLVM: br i1 %{{.*}}, label %[[SECOND:.*]], label %[[END:.*]]
// LLVM: [[SECOND]]:
// LLVM: store half %{{.*}} align 2
// LLVM: br label %[[END]]

// PTX: .visible .entry odd(
// PTX: ld.global.nc.b16
// PTX: ld.global.nc.b16
// PTX: fma.rn.f16x2
// PTX: cvt.f32.f16
// PTX: cvt.f32.f16
// PTX: st.global.b16
// PTX: ret;
func.func @odd(%x: tensor<4x7xf16>) -> tensor<3x7xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.5, 2.0, 3.0, 4.0]> : tensor<4xf16> : tensor<3x4xf16, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 3, threads = 32, columns_per_thread = 2, accumulation = folded> : tensor<3x4xf16, #sparsert.csr>, tensor<4x7xf16> -> tensor<3x7xf16>
  func.return %0 : tensor<3x7xf16>
}
