// RUN: sparsert-opt %s -p sparsert-import-linalg | filecheck %s

#by_element = affine_map<(i, j) -> (i, j)>
#by_row = affine_map<(i, j) -> (i)>

// Named operations; the zeros of the matrix, the initial values and the broadcast disappear.

// CHECK-LABEL: func.func @named
// CHECK-SAME: (%[[X:.*]]: tensor<3x4xf32>, %[[R:.*]]: tensor<2x4xf32>)
// CHECK-NEXT: %[[B:.*]] = arith.constant dense<[5.000000e+00, 6.000000e+00]> : tensor<2xf32>
// CHECK-NEXT: %[[W:.*]] = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[1, 0, 2]> : tensor<3xi32> values dense<[1.000000e+00, 2.000000e+00, 3.000000e+00]> : tensor<3xf32> : tensor<2x3xf32, #sparsert.csr>
// CHECK-NEXT: %[[Y:.*]] = sparsert.spmm %[[W]], %[[X]]
// CHECK-NEXT: %[[BIASED:.*]] = sparsert.bias_add %[[Y]], %[[B]]
// CHECK-NEXT: %[[ADDED:.*]] = sparsert.residual_add %[[BIASED]], %[[R]]
// CHECK-NEXT: %[[ACTIVE:.*]] = sparsert.relu %[[ADDED]]
// CHECK-NEXT: func.return %[[ACTIVE]]
func.func @named(%x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %w = arith.constant dense<[[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]]> : tensor<2x3xf32>
  %b = arith.constant dense<[5.0, 6.0]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x4xf32>) -> tensor<2x4xf32>
  %y = linalg.matmul ins(%w, %x : tensor<2x3xf32>, tensor<3x4xf32>) outs(%zeros : tensor<2x4xf32>) -> tensor<2x4xf32>
  %rows = linalg.broadcast ins(%b : tensor<2xf32>) outs(%empty : tensor<2x4xf32>) dimensions = [1]
  %biased = linalg.add ins(%y, %rows : tensor<2x4xf32>, tensor<2x4xf32>) outs(%empty : tensor<2x4xf32>) -> tensor<2x4xf32>
  %added = linalg.add ins(%r, %biased : tensor<2x4xf32>, tensor<2x4xf32>) outs(%empty : tensor<2x4xf32>) -> tensor<2x4xf32>
  %active = linalg.max ins(%added, %zeros : tensor<2x4xf32>, tensor<2x4xf32>) outs(%empty : tensor<2x4xf32>) -> tensor<2x4xf32>
  func.return %active : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @generic
// CHECK-SAME: (%[[X:.*]]: tensor<3x4xf32>, %[[R:.*]]: tensor<2x4xf32>, %[[B:.*]]: tensor<2xf32>)
// CHECK: %[[Y:.*]] = sparsert.spmm %{{.*}}, %[[X]]
// CHECK-NEXT: %[[BIASED:.*]] = sparsert.bias_add %[[Y]], %[[B]]
// CHECK-NEXT: %[[ADDED:.*]] = sparsert.residual_add %[[BIASED]], %[[R]]
// CHECK-NEXT: %[[ACTIVE:.*]] = sparsert.relu %[[ADDED]]
// CHECK-NEXT: func.return %[[ACTIVE]]
func.func @generic(%x: tensor<3x4xf32>, %r: tensor<2x4xf32>, %b: tensor<2xf32>) -> tensor<2x4xf32> {
  %w = arith.constant dense<[[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]]> : tensor<2x3xf32>
  %zeros = arith.constant dense<0.0> : tensor<2x4xf32>
  %y = linalg.matmul ins(%w, %x : tensor<2x3xf32>, tensor<3x4xf32>) outs(%zeros : tensor<2x4xf32>) -> tensor<2x4xf32>
  %biased = linalg.generic {indexing_maps = [#by_element, #by_row, #by_element], iterator_types = ["parallel", "parallel"]} ins(%y, %b : tensor<2x4xf32>, tensor<2xf32>) outs(%zeros : tensor<2x4xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %sum = arith.addf %p, %q : f32
    linalg.yield %sum : f32
  } -> tensor<2x4xf32>
  %added = linalg.generic {indexing_maps = [#by_element, #by_element, #by_element], iterator_types = ["parallel", "parallel"]} ins(%biased, %r : tensor<2x4xf32>, tensor<2x4xf32>) outs(%zeros : tensor<2x4xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %sum = arith.addf %q, %p : f32
    linalg.yield %sum : f32
  } -> tensor<2x4xf32>
  %active = linalg.generic {indexing_maps = [#by_element, #by_element], iterator_types = ["parallel", "parallel"]} ins(%added : tensor<2x4xf32>) outs(%zeros : tensor<2x4xf32>) {
  ^bb0(%p: f32, %out: f32):
    %zero = arith.constant 0.0 : f32
    %largest = arith.maximumf %p, %zero : f32
    linalg.yield %largest : f32
  } -> tensor<2x4xf32>
  func.return %active : tensor<2x4xf32>
}

// What follows is not understood and stays.

// CHECK-LABEL: func.func @weight_is_not_constant
// CHECK: linalg.matmul
// CHECK-NOT: sparsert
func.func @weight_is_not_constant(%w: tensor<2x3xf32>, %x: tensor<3x4xf32>) -> tensor<2x4xf32> {
  %zeros = arith.constant dense<0.0> : tensor<2x4xf32>
  %y = linalg.matmul ins(%w, %x : tensor<2x3xf32>, tensor<3x4xf32>) outs(%zeros : tensor<2x4xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @adds_to_its_output
// CHECK: linalg.matmul
// CHECK-NOT: sparsert
func.func @adds_to_its_output(%x: tensor<1x4xf32>, %c: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %w = arith.constant dense<2.0> : tensor<1x1xf32>
  %y = linalg.matmul ins(%w, %x : tensor<1x1xf32>, tensor<1x4xf32>) outs(%c : tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}

// CHECK-LABEL: func.func @weight_is_not_finite
// CHECK: linalg.matmul
// CHECK-NOT: sparsert
func.func @weight_is_not_finite(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %w = arith.constant dense<"0x0000C07F"> : tensor<1x1xf32>
  %zeros = arith.constant dense<0.0> : tensor<1x4xf32>
  %y = linalg.matmul ins(%w, %x : tensor<1x1xf32>, tensor<1x4xf32>) outs(%zeros : tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %y : tensor<1x4xf32>
}

// CHECK-LABEL: func.func @weight_is_f64
// CHECK: linalg.matmul
// CHECK-NOT: sparsert
func.func @weight_is_f64(%x: tensor<1x4xf64>) -> tensor<1x4xf64> {
  %w = arith.constant dense<2.0> : tensor<1x1xf64>
  %zeros = arith.constant dense<0.0> : tensor<1x4xf64>
  %y = linalg.matmul ins(%w, %x : tensor<1x1xf64>, tensor<1x4xf64>) outs(%zeros : tensor<1x4xf64>) -> tensor<1x4xf64>
  func.return %y : tensor<1x4xf64>
}

// CHECK-LABEL: func.func @weight_is_i1
// CHECK: linalg.matmul
// CHECK-NOT: sparsert
func.func @weight_is_i1(%x: tensor<1x4xi1>) -> tensor<1x4xi1> {
  %w = arith.constant dense<true> : tensor<1x1xi1>
  %zeros = arith.constant dense<false> : tensor<1x4xi1>
  %y = linalg.matmul ins(%w, %x : tensor<1x1xi1>, tensor<1x4xi1>) outs(%zeros : tensor<1x4xi1>) -> tensor<1x4xi1>
  func.return %y : tensor<1x4xi1>
}

// CHECK-LABEL: func.func @x_is_of_unknown_size
// CHECK: linalg.matmul
// CHECK-NOT: sparsert
func.func @x_is_of_unknown_size(%x: tensor<1x?xf32>, %n: index) -> tensor<1x?xf32> {
  %w = arith.constant dense<2.0> : tensor<1x1xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%n) : tensor<1x?xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x?xf32>) -> tensor<1x?xf32>
  %y = linalg.matmul ins(%w, %x : tensor<1x1xf32>, tensor<1x?xf32>) outs(%zeros : tensor<1x?xf32>) -> tensor<1x?xf32>
  func.return %y : tensor<1x?xf32>
}

// CHECK-LABEL: func.func @x_is_empty
// CHECK: linalg.matmul
// CHECK-NOT: sparsert
func.func @x_is_empty(%x: tensor<1x0xf32>) -> tensor<1x0xf32> {
  %w = arith.constant dense<2.0> : tensor<1x1xf32>
  %zeros = arith.constant dense<> : tensor<1x0xf32>
  %y = linalg.matmul ins(%w, %x : tensor<1x1xf32>, tensor<1x0xf32>) outs(%zeros : tensor<1x0xf32>) -> tensor<1x0xf32>
  func.return %y : tensor<1x0xf32>
}

// CHECK-LABEL: func.func @filter_is_f64
// CHECK: linalg.conv_2d_nchw_fchw
// CHECK-NOT: sparsert
func.func @filter_is_f64(%x: tensor<1x1x4x4xf64>) -> tensor<1x1x2x2xf64> {
  %w = arith.constant dense<1.0> : tensor<1x1x3x3xf64>
  %zeros = arith.constant dense<0.0> : tensor<1x1x2x2xf64>
  %y = linalg.conv_2d_nchw_fchw {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>} ins(%x, %w : tensor<1x1x4x4xf64>, tensor<1x1x3x3xf64>) outs(%zeros : tensor<1x1x2x2xf64>) -> tensor<1x1x2x2xf64>
  func.return %y : tensor<1x1x2x2xf64>
}

// CHECK-LABEL: func.func @maximum_with_one
// CHECK: sparsert.spmm
// CHECK: linalg.max
func.func @maximum_with_one(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %w = arith.constant dense<2.0> : tensor<1x1xf32>
  %zeros = arith.constant dense<0.0> : tensor<1x4xf32>
  %ones = arith.constant dense<1.0> : tensor<1x4xf32>
  %y = linalg.matmul ins(%w, %x : tensor<1x1xf32>, tensor<1x4xf32>) outs(%zeros : tensor<1x4xf32>) -> tensor<1x4xf32>
  %m = linalg.max ins(%y, %ones : tensor<1x4xf32>, tensor<1x4xf32>) outs(%zeros : tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %m : tensor<1x4xf32>
}
