// RUN: sparsert-opt %s -t report -p sparsert-partition,sparsert-map-data-to-gpu | filecheck %s
// RUN: sparsert-opt %s -t report -p sparsert-partition,sparsert-map-data-to-gpu,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM

// CHECK: @product (func.func)
// CHECK-NEXT: launches product_kernels.product
// CHECK-NEXT: grid 2 x 1 x 1
// CHECK-NEXT: block 64 x 1 x 1
// CHECK: @product (gpu.func)
// CHECK-NEXT: schedule lowering = data, rows_per_panel = 2, columns_per_thread = 4, chunk = 2, column_groups = 2
// CHECK-NEXT: panels 2 of rows: 1; readers per row: 16; lanes per reader: 2
// CHECK-NEXT: panels 2 of rows: 2; readers per row: 8; lanes per reader: 2
// CHECK-NEXT: step 16 chunks of 2 nonzeros, one per reader; rows of x from 4 banks at once
// CHECK-NEXT: slices of x 1 of 4 rows and one of zeros, 160 bytes of shared memory
// CHECK-NEXT: warps one for each panel
// CHECK-NEXT: constants 64x2xf32, 64x2xi16, 5xi32, 6xi32, 4xf32

// LLVM: @product (llvm.func)
// LLVM-NEXT: schedule
// LLVM-NEXT: panels 2 of rows: 1
// LLVM-NEXT: panels 2 of rows: 2
// LLVM-NEXT: step
// LLVM-NEXT: slices of x
// LLVM-NEXT: warps one for each panel
// LLVM-NEXT: operations

func.func @product(%x: tensor<4x8xf32>, %r: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 3, 5]> : tensor<5xi32> column_indices dense<[0, 2, 1, 0, 3]> : tensor<5xi32> values dense<[1.0, 2.0, 3.0, 4.0, 5.0]> : tensor<5xf32> : tensor<4x4xf32, #sparsert.csr>
  %y = sparsert.spmm %w, %x bias dense<1.0> : tensor<4xf32> activation relu residual %r : tensor<4x8xf32> schedule <lowering = data, rows_per_panel = 2, columns_per_thread = 4, column_groups = 2, chunk = 2> : tensor<4x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}
