// RUN: sparsert-opt %s -p 'sparsert-map-data-to-gpu' | filecheck %s
// RUN: sparsert-opt %s -p 'sparsert-map-data-to-gpu,sparsert-convert-to-llvm' | filecheck %s --check-prefix=LLVM
// RUN: sparsert-opt %s -p 'sparsert-map-data-to-gpu,sparsert-convert-to-llvm' -t 'ptx{arch=sm_80}' | filecheck %s --check-prefix=ASSEMBLY
// RUN: sparsert-opt %s -t report -p 'sparsert-map-data-to-gpu' | filecheck %s --check-prefix=REPORT
// RUN: not sparsert-opt %s -p 'sparsert-map-data-to-gpu,sparsert-convert-to-llvm' -t 'ptx{arch=sm_75}' 2>&1 | filecheck %s --check-prefix=OLDER

// Two rows share the eight lines of a warp. The nonzeros of row 0, 1.0 and 2.0 (3C00 and 4000), are
// the first of its first line: lane 0 holds their values, the lanes 0 and 1 their indices, 0 and 2,
// and those of row 1, whose first line is the fifth of the warp. The other places hold 0 and point
// at row 4, which holds zeros.

// CHECK: sym_name = "two_values", type = memref<32x4xf16>, initial_value = dense<"0x003C0040000000000000
// CHECK: sym_name = "two_indices", type = memref<32x4xi16>, initial_value = dense<"0x0000040001000400020004000300040004000400
// CHECK: gpu.module @two_kernels
// CHECK: sym_name = "x_slice", type = memref<10x8xf16, 3 : i64>
// CHECK: gpu.func @two(
// CHECK-SAME: #sparsert.stream_layout<panel_rows = [2], panels = [1], column_groups = 1, chunk = 4, slice_columns = 4, slices = 1, row_bytes = 16, together = 16>
// CHECK-SAME: nvvm.minctasm = 1 : i32
// CHECK: gpu.barrier
// CHECK: %[[INDEX:.*]] = vector.extract %[[INDICES:.*]][0] : i16 from vector<4xi16>
// CHECK: %[[WIDE:.*]] = arith.extui %[[INDEX]] : i16 to i32
// CHECK: %[[ROW:.*]] = arith.index_cast %[[WIDE]] : i32 to index

// The second tile of eight columns lies five rows further on. All loads come before the first use.

// CHECK-COUNT-7: nvgpu.ldmatrix {{.*}} : memref<10x8xf16, 3 : i64> -> vector<8xf16>
// CHECK-NOT: nvgpu.mma.sync
// CHECK: nvgpu.ldmatrix
// CHECK-COUNT-8: nvgpu.mma.sync({{.*}}) : (vector<8xf16>, vector<4xf16>)

// The four lines of a row: two in a lane, two in its neighbour.

// CHECK: arith.addf
// CHECK: gpu.shuffle xor %{{.*}}, 1 : f32
// CHECK: arith.addf
// CHECK-NOT: gpu.shuffle xor %{{.*}}, 2
// CHECK: sparsert.store_columns

// LLVM: llvm.func @two({{.*}}nvvm.minctasm = 1 : i32
// LLVM: %[[A:.*]] = nvvm.ldmatrix %{{.*}} : !llvm.ptr<3> -> vector<8xf16>
// LLVM: nvvm.mma.sync %[[A]], %{{.*}}, %{{.*}} : vector<8xf16>, vector<4xf16>

// ASSEMBLY: .minnctapersm 1
// ASSEMBLY: ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16
// ASSEMBLY: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32

// REPORT: tensor cores multiply 16 nonzeros of a row at a time, by 8 columns of x, 2 times
// REPORT: panels 1 of rows: 2; readers per row: 16; lanes per reader: 1
// REPORT: step 32 chunks of 4 nonzeros, one per reader; rows of x from 8 banks at once
// REPORT: slices of x 1 of 4 rows and one of zeros, 160 bytes of shared memory

// OLDER: error: PTX: nvvm.ldmatrix needs sm_80 or later, got sm_75
func.func @two(%x: tensor<4x16xf16>) -> tensor<2x16xf16> {
  %w = sparsert.constant row_offsets dense<[0, 2, 4]> : tensor<3xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf16> : tensor<2x4xf16, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <lowering = data, rows_per_panel = 2, columns_per_thread = 8, threads = 32, accumulation = f32, stages = 1, column_groups = 2, instruction = mma> panels dense<[[0, 1]]> : tensor<1x2xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<2x4xf16, #sparsert.csr>, tensor<4x16xf16> -> tensor<2x16xf16>
  func.return %0 : tensor<2x16xf16>
}
