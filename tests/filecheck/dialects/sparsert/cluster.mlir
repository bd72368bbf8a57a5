// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @inbox
// CHECK-SAME: (%[[S:.*]]: memref<1xi64, 3 : i64>, %[[I:.*]]: memref<2x4x8xf32, 3 : i64>, %[[N:.*]]: index, %[[V:.*]]: f32, %[[W:.*]]: vector<2xf32>)
func.func @inbox(%s: memref<1xi64, 3 : i64>, %i: memref<2x4x8xf32, 3 : i64>, %n: index, %v: f32, %w: vector<2xf32>) {
  // CHECK: sparsert.open_inbox %[[S]] for %[[N]] rows of %[[I]] : memref<2x4x8xf32, 3 : i64>
  // CHECK: sparsert.send_columns %[[V]], %[[I]][%[[N]], %[[N]], %[[N]]] of %[[N]] signal %[[S]] : memref<2x4x8xf32, 3 : i64>, f32
  // CHECK: sparsert.send_columns %[[W]], %[[I]][%[[N]], %[[N]], %[[N]]] of %[[N]] signal %[[S]] : memref<2x4x8xf32, 3 : i64>, vector<2xf32>
  // CHECK: sparsert.await_inbox %[[S]] of %[[I]] : memref<2x4x8xf32, 3 : i64>
  sparsert.open_inbox %s for %n rows of %i : memref<2x4x8xf32, 3 : i64>
  sparsert.send_columns %v, %i[%n, %n, %n] of %n signal %s : memref<2x4x8xf32, 3 : i64>, f32
  sparsert.send_columns %w, %i[%n, %n, %n] of %n signal %s : memref<2x4x8xf32, 3 : i64>, vector<2xf32>
  sparsert.await_inbox %s of %i : memref<2x4x8xf32, 3 : i64>
  func.return
}
