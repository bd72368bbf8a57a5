// RUN: sparsert-opt %s -t report | filecheck %s --check-prefix=TENSOR
// RUN: sparsert-opt %s -t report -p sparsert-partition,sparsert-split-k | filecheck %s --check-prefix=TILED
// RUN: sparsert-opt %s -t report -p sparsert-partition,sparsert-split-k,sparsert-map-to-gpu | filecheck %s --check-prefix=THREAD
// RUN: sparsert-opt %s -t report -p sparsert-partition,sparsert-split-k,sparsert-map-to-gpu,sparsert-vectorize,sparsert-unroll-pattern | filecheck %s --check-prefix=CODE

// TENSOR: @product (func.func)
// TENSOR-NEXT: matrix 4 x 4, 5 nonzeros (31.25%), f32
// TENSOR-NEXT: columns 8
// TENSOR-NEXT: schedule rows_per_panel = 2, k_groups = 2, threads = 2
// TENSOR-NEXT: epilogue bias, then relu, then residual
// TENSOR-NEXT: operations 4
// TENSOR: @plain (func.func)
// TENSOR-NEXT: matrix 1 x 4, 0 nonzeros (0.00%), f32
// TENSOR-NEXT: columns 8
// TENSOR-NEXT: schedule not chosen yet
// TENSOR-NEXT: epilogue none

// TILED: @product (func.func)
// TILED: panels 2 of up to 2 rows, 2 to 3 nonzeros each
// TILED-NEXT: K groups 2
// TILED: @plain (func.func)
// TILED: schedule every knob at its default
// TILED: panels 1 of up to 1 rows, 0 to 0 nonzeros each
// TILED-NEXT: K groups 1

// THREAD: @product (func.func)
// THREAD-NEXT: launches product_kernels.product
// THREAD-NEXT: grid 4 x 2 x 1
// THREAD-NEXT: block 2 x 2 x 1
// THREAD: @product (gpu.func)
// THREAD-NEXT: schedule rows_per_panel = 2, k_groups = 2, threads = 2
// THREAD-NEXT: matrix 4 x 4, 5 nonzeros (31.25%), f32
// THREAD-NEXT: panels 2 of up to 2 rows, 2 to 3 nonzeros each
// THREAD-NEXT: K groups 2
// THREAD-NEXT: lane f32

// CODE: @product (gpu.func)
// CODE-NEXT: schedule rows_per_panel = 2, k_groups = 2, threads = 2
// CODE-NEXT: multiply-adds 5 in 4 runs, with 5 loads of x
// CODE: @plain (gpu.func)
// CODE: multiply-adds 0 in 1 runs, with 0 loads of x

func.func @product(%x: tensor<4x8xf32>, %r: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 3, 5]> : tensor<5xi32> column_indices dense<[0, 2, 1, 0, 3]> : tensor<5xi32> values dense<[1.0, 2.0, 3.0, 4.0, 5.0]> : tensor<5xf32> : tensor<4x4xf32, #sparsert.csr>
  %y = sparsert.spmm %w, %x bias dense<1.0> : tensor<4xf32> activation relu residual %r : tensor<4x8xf32> residual_after_activation schedule <rows_per_panel = 2, k_groups = 2, threads = 2> : tensor<4x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}

func.func @plain(%x: tensor<4x8xf32>) -> tensor<1x8xf32> {
  %w = sparsert.constant row_offsets dense<0> : tensor<2xi32> column_indices dense<> : tensor<0xi32> values dense<> : tensor<0xf32> : tensor<1x4xf32, #sparsert.csr>
  %y = sparsert.spmm %w, %x : tensor<1x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<1x8xf32>
  func.return %y : tensor<1x8xf32>
}
