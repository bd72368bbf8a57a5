// RUN: sparsert-opt %s -p sparsert-map-data-to-gpu | filecheck %s
// RUN: sparsert-opt %s -p sparsert-map-data-to-gpu,sparsert-convert-to-llvm -t 'ptx{arch=sm_90}' | filecheck %s --check-prefix=PTX
// RUN: sparsert-opt %s -p 'sparsert-map-data-to-gpu' | sparsert-opt --verify-roundtrip | filecheck %s
// RUN: not sparsert-opt %s -p 'sparsert-split-k{groups=2},sparsert-map-data-to-gpu' 2>&1 | filecheck %s --check-prefix=GROUPS

// GROUPS: error: sparsert-map-data-to-gpu: schedule: with lowering = data, k_groups must be one of 1, got 2

// The packed matrix, its panels' rows and the bias are constants that the launch passes; a slice of
// x is copied to workgroup memory; the lanes of a row add up their sums by shuffles.

// CHECK: sym_name = "f_values", type = memref<{{[0-9]+}}x4xf32>
// CHECK: sym_name = "f_indices", type = memref<{{[0-9]+}}x4xi16>
// CHECK: sym_name = "f_rows"
// CHECK: sym_name = "f_bias", type = memref<3xf32>, initial_value = dense<[5.000000e+00, 6.000000e+00, 7.000000e+00]>
// CHECK-LABEL: func.func @f
// CHECK: gpu.launch_func @f_kernels::@f
// CHECK-LABEL: gpu.module @f_kernels
// CHECK: sym_name = "x_slice"
// CHECK: gpu.func @f
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: vector.fma
// CHECK: gpu.shuffle xor
// CHECK: arith.maximumf
// CHECK: sparsert.store_columns
// CHECK: gpu.return
// CHECK-NOT: sparsert.constant

// PTX: .visible .entry f(
// PTX: ld.global.nc.v4.b32
// PTX: bar.sync 0;
// PTX: fma.rn.f32
// PTX: shfl.sync.bfly.b32
// PTX: max.NaN.f32
// PTX: st.global.v4.b32
func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu schedule <lowering = data, rows_per_panel = 2, columns_per_thread = 8, threads = 64> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
