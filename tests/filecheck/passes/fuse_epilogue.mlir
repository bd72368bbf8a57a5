// RUN: sparsert-opt %s -p sparsert-fuse-epilogue | filecheck %s

// CHECK-LABEL: func.func @bias_relu_residual
// CHECK-SAME: (%[[W:.*]]: tensor<2x3xf32, #sparsert.csr>, %[[X:.*]]: tensor<3x4xf32>, %[[R:.*]]: tensor<2x4xf32>
// CHECK-NOT: sparsert.{{bias_add|relu|residual_add}}
// CHECK: sparsert.spmm %[[W]], %[[X]] bias dense<[5.000000e+00, 6.000000e+00]> : tensor<2xf32> activation relu residual %[[R]] : tensor<2x4xf32> residual_after_activation : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
// CHECK-NOT: sparsert.{{bias_add|relu|residual_add}}
func.func @bias_relu_residual(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %b = arith.constant dense<[5.0, 6.0]> : tensor<2xf32>
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.bias_add %0, %b : tensor<2x4xf32>, tensor<2xf32>
  %2 = sparsert.relu %1 : tensor<2x4xf32>
  %3 = sparsert.residual_add %2, %r : tensor<2x4xf32>
  func.return %3 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @bias_residual_relu
// CHECK-SAME: (%[[W:.*]]: tensor<2x3xf32, #sparsert.csr>, %[[X:.*]]: tensor<3x4xf32>, %[[R:.*]]: tensor<2x4xf32>
// CHECK-NOT: sparsert.{{bias_add|relu|residual_add}}
// CHECK: sparsert.spmm %[[W]], %[[X]] bias dense<[5.000000e+00, 6.000000e+00]> : tensor<2xf32> activation relu residual %[[R]] : tensor<2x4xf32> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
// CHECK-NOT: sparsert.{{bias_add|relu|residual_add}}
func.func @bias_residual_relu(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %b = arith.constant dense<[5.0, 6.0]> : tensor<2xf32>
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.bias_add %0, %b : tensor<2x4xf32>, tensor<2xf32>
  %2 = sparsert.residual_add %1, %r : tensor<2x4xf32>
  %3 = sparsert.relu %2 : tensor<2x4xf32>
  func.return %3 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @residual_stands_first
// CHECK-SAME: (%[[W:.*]]: tensor<2x3xf32, #sparsert.csr>, %[[X:.*]]: tensor<3x4xf32>, %[[R:.*]]: tensor<2x4xf32>
// CHECK-NOT: sparsert.{{bias_add|relu|residual_add}}
// CHECK: sparsert.spmm %[[W]], %[[X]] residual %[[R]] : tensor<2x4xf32> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
// CHECK-NOT: sparsert.{{bias_add|relu|residual_add}}
func.func @residual_stands_first(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.residual_add %r, %0 : tensor<2x4xf32>
  func.return %1 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @schedule_is_kept
// CHECK: sparsert.spmm %{{.*}}, %{{.*}} activation relu schedule <threads = 32> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
// CHECK-NOT: sparsert.{{bias_add|relu|residual_add}}
func.func @schedule_is_kept(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = sparsert.spmm %w, %x schedule <threads = 32> : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.relu %0 : tensor<2x4xf32>
  func.return %1 : tensor<2x4xf32>
}

// An epilogue that the fused one cannot express, or that shares its product, stays.

// CHECK-LABEL: func.func @bias_after_relu
// CHECK: %[[Y:.*]] = sparsert.spmm %{{.*}}, %{{.*}} activation relu : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
// CHECK: sparsert.bias_add %[[Y]]
func.func @bias_after_relu(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %b = arith.constant dense<[5.0, 6.0]> : tensor<2xf32>
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.relu %0 : tensor<2x4xf32>
  %2 = sparsert.bias_add %1, %b : tensor<2x4xf32>, tensor<2xf32>
  func.return %2 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @relu_after_late_residual
// CHECK: %[[Y:.*]] = sparsert.spmm %{{.*}}, %{{.*}} activation relu residual %{{.*}} : tensor<2x4xf32> residual_after_activation : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
// CHECK: sparsert.relu %[[Y]]
func.func @relu_after_late_residual(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.relu %0 : tensor<2x4xf32>
  %2 = sparsert.residual_add %1, %r : tensor<2x4xf32>
  %3 = sparsert.relu %2 : tensor<2x4xf32>
  func.return %3 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @second_residual
// CHECK: %[[Y:.*]] = sparsert.spmm
// CHECK: sparsert.residual_add %[[Y]]
func.func @second_residual(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.residual_add %0, %r : tensor<2x4xf32>
  %2 = sparsert.residual_add %1, %r : tensor<2x4xf32>
  func.return %2 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @second_relu
// CHECK: %[[Y:.*]] = sparsert.spmm {{.*}} activation relu
// CHECK: sparsert.relu %[[Y]]
func.func @second_relu(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>) -> tensor<2x4xf32> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.relu %0 : tensor<2x4xf32>
  %2 = sparsert.relu %1 : tensor<2x4xf32>
  func.return %2 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @second_bias
// CHECK: %[[Y:.*]] = sparsert.spmm {{.*}} bias dense<[5.000000e+00, 6.000000e+00]>
// CHECK: sparsert.bias_add %[[Y]]
func.func @second_bias(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>) -> tensor<2x4xf32> {
  %b = arith.constant dense<[5.0, 6.0]> : tensor<2xf32>
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.bias_add %0, %b : tensor<2x4xf32>, tensor<2xf32>
  %2 = sparsert.bias_add %1, %b : tensor<2x4xf32>, tensor<2xf32>
  func.return %2 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @bias_is_not_constant
// CHECK: sparsert.spmm %{{.*}}, %{{.*}} : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
// CHECK: sparsert.bias_add
func.func @bias_is_not_constant(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>, %b: tensor<2xf32>) -> tensor<2x4xf32> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.bias_add %0, %b : tensor<2x4xf32>, tensor<2xf32>
  func.return %1 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @product_has_two_uses
// CHECK: %[[Y:.*]] = sparsert.spmm %{{.*}}, %{{.*}} : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
// CHECK: %[[ACTIVE:.*]] = sparsert.relu %[[Y]]
// CHECK: sparsert.residual_add %[[ACTIVE]], %[[Y]]
func.func @product_has_two_uses(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x4xf32> -> tensor<2x4xf32>
  %1 = sparsert.relu %0 : tensor<2x4xf32>
  %2 = sparsert.residual_add %1, %0 : tensor<2x4xf32>
  func.return %2 : tensor<2x4xf32>
}
