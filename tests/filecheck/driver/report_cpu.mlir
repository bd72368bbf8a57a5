// RUN: sparsert-opt %s -t report -p sparsert-partition,sparsert-map-to-cpu | filecheck %s --check-prefix=LOOPS
// RUN: sparsert-opt %s -t report -p sparsert-partition,sparsert-map-to-cpu,sparsert-pack-pattern,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM

// The function that does the work on a CPU says with which schedule.

// LOOPS: @f_tiles (func.func)
// LOOPS-NEXT: schedule lowering = data, rows_per_panel = 1, columns_per_thread = 8, threads = 1
// LOOPS: panels 3 of up to 1 rows, 1 to 2 nonzeros each
// LLVM: @f_tiles (llvm.func)
// LLVM-NEXT: schedule lowering = data, rows_per_panel = 1, columns_per_thread = 8, threads = 1

func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <lowering = data, rows_per_panel = 1, threads = 1, columns_per_thread = 8> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
