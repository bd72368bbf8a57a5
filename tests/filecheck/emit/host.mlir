// RUN: sparsert-opt %s -p sparsert-cpu-code-pipeline -t llvm | filecheck %s
// RUN: not sparsert-opt %s -p sparsert-cpu-code-pipeline -t ptx 2>&1 | filecheck %s --check-prefix=PTX
// RUN: not sparsert-opt %s -p sparsert-fuse-epilogue -t llvm 2>&1 | filecheck %s --check-prefix=EARLY

// A processor multiplies whole vectors; a lane may start anywhere.

// CHECK: define void @host(ptr noalias {{.*}}, ptr noalias {{.*}})
// CHECK: load <4 x float>, ptr %{{.*}}, align 4
// CHECK: call <4 x float> @llvm.fma.v4f32(<4 x float> %{{.*}}, <4 x float> splat (float 0x3FF8000000000000)
// CHECK: store <4 x float> %{{.*}}, align 4
// CHECK-NOT: asm

// PTX: error: -t ptx: expected a gpu.module; run --sparsert-gpu-pipeline first
// EARLY: error: LLVM IR text: expected functions and globals of the llvm dialect, got func.func; run sparsert-convert-to-llvm first
func.func @host(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.5, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 3, threads = 1, columns_per_thread = 4> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
