// RUN: sparsert-opt %s -p sparsert-cpu-code-pipeline -t llvm | filecheck %s --check-prefix=CODE
// RUN: sparsert-opt %s -p sparsert-cpu-pipeline -t llvm | filecheck %s --check-prefix=DATA
// RUN: sparsert-opt %s -p sparsert-gpu-pipeline -t llvm | filecheck %s --check-prefix=GPU
// RUN: sparsert-opt %s -p sparsert-gpu-pipeline -t 'ptx{arch=sm_90}' | filecheck %s --check-prefix=PTX

// x is converted on load, products are added in f32. Without an instruction of the processor the
// sum is rounded by integer arithmetic: half of the last bit that stays, less one where that bit is
// even, carries into the upper half.

// CODE: define void @narrow(
// CODE: %[[X:.*]] = load <4 x bfloat>, ptr %{{.*}}, align 2
// CODE: fpext <4 x bfloat> %[[X]] to <4 x float>
// CODE: call <4 x float> @llvm.fma.v4f32(<4 x float> %{{.*}}, <4 x float> splat (float 0x3FF8000000000000)
// CODE: %[[BITS:.*]] = bitcast <4 x float> %{{.*}} to <4 x i32>
// CODE: lshr <4 x i32> %[[BITS]], splat (i32 16)
// CODE: splat (i32 32767)
// CODE: fcmp uno
// CODE: trunc <4 x i32> %{{.*}} to <4 x i16>
// CODE: %[[Y:.*]] = bitcast <4 x i16> %{{.*}} to <4 x bfloat>
// CODE: store <4 x bfloat> %[[Y]], ptr %{{.*}}, align 2
// CODE-NOT: fptrunc

// DATA: @narrow_tiles_values$ = internal constant [4 x float]
// DATA: fpext <4 x bfloat> %{{.*}} to <4 x float>
// DATA-NOT: fptrunc

// GPU: load <4 x bfloat>, ptr addrspace(1) %{{.*}}, align 8, !invariant.load !0
// GPU: fpext bfloat %{{.*}} to float
// GPU: call float @llvm.fma.f32(
// GPU: fptrunc float %{{.*}} to bfloat
// GPU: store <4 x bfloat>

// PTX: ld.global.nc.v4.b16
// PTX: cvt.f32.bf16
// PTX: fma.rn.f32
// PTX: cvt.rn.bf16
// PTX: st.global
func.func @narrow(%x: tensor<4x8xbf16>) -> tensor<3x8xbf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.5, 2.0, 3.0, 4.0]> : tensor<4xbf16> : tensor<3x4xbf16, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 3, threads = 1, columns_per_thread = 4, accumulation = f32> : tensor<3x4xbf16, #sparsert.csr>, tensor<4x8xbf16> -> tensor<3x8xbf16>
  func.return %0 : tensor<3x8xbf16>
}
