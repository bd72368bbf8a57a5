// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @copies
// CHECK-SAME: (%[[X:.*]]: memref<4x8xf32>, %[[S:.*]]: memref<6x4xf32, 3 : i64>, %[[I:.*]]: index)
func.func @copies(%x: memref<4x8xf32>, %s: memref<6x4xf32, 3 : i64>, %i: index) {
  // CHECK: sparsert.async_copy %[[X]][%[[I]], %[[I]]] to %[[S]][%[[I]], %[[I]]] x 4 : memref<4x8xf32> -> memref<6x4xf32, 3 : i64>
  // CHECK: sparsert.async_commit
  // CHECK: sparsert.async_wait 1
  sparsert.async_copy %x[%i, %i] to %s[%i, %i] x 4 : memref<4x8xf32> -> memref<6x4xf32, 3 : i64>
  sparsert.async_commit
  sparsert.async_wait 1
  func.return
}

// CHECK-LABEL: func.func @whole_rows
// CHECK-SAME: (%[[X:.*]]: memref<4x8xf32>, %[[S:.*]]: memref<6x4xf32, 3 : i64>, %[[B:.*]]: memref<3xi64, 3 : i64>, %[[I:.*]]: index)
func.func @whole_rows(%x: memref<4x8xf32>, %s: memref<6x4xf32, 3 : i64>, %b: memref<3xi64, 3 : i64>, %i: index) {
  // CHECK: sparsert.make_signals %[[B]] : memref<3xi64, 3 : i64>
  // CHECK: sparsert.expect_bytes %[[B]][%[[I]]], %[[I]] : memref<3xi64, 3 : i64>
  // CHECK: sparsert.bulk_copy %[[X]][%[[I]], %[[I]]] to %[[S]][%[[I]], %[[I]]] x %[[I]] signal %[[B]][%[[I]]] : memref<4x8xf32> -> memref<6x4xf32, 3 : i64>, memref<3xi64, 3 : i64>
  // CHECK: sparsert.await_bytes %[[B]][%[[I]]] parity %[[I]] : memref<3xi64, 3 : i64>
  sparsert.make_signals %b : memref<3xi64, 3 : i64>
  sparsert.expect_bytes %b[%i], %i : memref<3xi64, 3 : i64>
  sparsert.bulk_copy %x[%i, %i] to %s[%i, %i] x %i signal %b[%i] : memref<4x8xf32> -> memref<6x4xf32, 3 : i64>, memref<3xi64, 3 : i64>
  sparsert.await_bytes %b[%i] parity %i : memref<3xi64, 3 : i64>
  func.return
}

// CHECK-LABEL: func.func @going_on
// CHECK-SAME: (%[[W:.*]]: tensor<1x2xf32, #sparsert.csr>, %[[X:.*]]: memref<4x8xf32>, %[[A:.*]]: f32, %[[I:.*]]: index)
func.func @going_on(%w: tensor<1x2xf32, #sparsert.csr>, %x: memref<4x8xf32>, %a: f32, %i: index) {
  // CHECK: %[[B:.*]] = sparsert.panel_product %[[W]], %[[X]][%[[I]]] positions dense<[3, 0]> : tensor<2xi32> panel %[[I]] group %[[I]] from %[[A]] : f32 panels
  // CHECK: sparsert.panel_product %[[W]], %[[X]][%[[I]]] tile %[[I]] panel %[[I]] group %[[I]] panels
  // CHECK: sparsert.accumulate %[[X]][%[[I]]] from %[[B]] : f32 columns
  %b = sparsert.panel_product %w, %x[%i] positions dense<[3, 0]> : tensor<2xi32> panel %i group %i from %a : f32 panels dense<0> : tensor<1x1xi32> splits dense<[[0, 1, 2]]> : tensor<1x3xi32> : tensor<1x2xf32, #sparsert.csr>, memref<4x8xf32> -> f32
  %c = sparsert.panel_product %w, %x[%i] tile %i panel %i group %i panels dense<0> : tensor<1x1xi32> splits dense<[[0, 2]]> : tensor<1x2xi32> : tensor<1x2xf32, #sparsert.csr>, memref<4x8xf32> -> f32
  %d = sparsert.accumulate %x[%i] from %b : f32 columns dense<3> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<2.0> : tensor<1xf32> : memref<4x8xf32> -> f32
  func.return
}

// CHECK-LABEL: func.func @pointers
func.func @pointers(%p: !llvm.ptr<3>, %a: vector<2xf32>) {
  // CHECK: sparsert.ptr_accumulate %{{.*}} from %{{.*}} : vector<2xf32> f32 offsets
  %b = sparsert.ptr_accumulate %p from %a : vector<2xf32> f32 offsets dense<8> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<2.0> : tensor<1xf32> : !llvm.ptr<3> -> vector<2xf32>
  func.return
}
