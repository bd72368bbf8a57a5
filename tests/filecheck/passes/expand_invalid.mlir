// RUN: not sparsert-opt %s -p 'sparsert-map-to-gpu,sparsert-expand' 2>&1 | filecheck %s --check-prefix=BULK
// RUN: not sparsert-opt %s -p 'sparsert-map-to-gpu,sparsert-unroll-pattern,sparsert-expand{max-multiply-adds=3}' 2>&1 | filecheck %s --check-prefix=BUDGET
// RUN: sparsert-opt %s -p 'sparsert-map-to-gpu,sparsert-unroll-pattern,sparsert-expand{max-multiply-adds=4}' | filecheck %s

// BULK: error: sparsert-expand: expected known panels; run sparsert-unroll-pattern first
// BUDGET: error: sparsert-expand: expected at most 3 multiply-adds, got 4; raise max-multiply-adds, or leave out the pass: runs in bulk compile to the same code
// CHECK-COUNT-4: math.fma
// CHECK-NOT: math.fma

func.func @f(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <rows_per_panel = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
