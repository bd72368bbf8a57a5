// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @f(%s: memref<1xi64, 3 : i64>, %i: memref<4x8xf32>, %n: index) {
  // expected-error@+1 {{'sparsert.open_inbox': expected an inbox in memory space 3, got memref<4x8xf32>}}
  sparsert.open_inbox %s for %n rows of %i : memref<4x8xf32>
  func.return
}

// -----

func.func @f(%s: memref<1xi64, 3 : i64>, %i: memref<4x8xi32, 3 : i64>, %n: index) {
  // expected-error@+1 {{'sparsert.open_inbox': expected an inbox of element type bf16, f16, f32 or f64, got i32}}
  sparsert.open_inbox %s for %n rows of %i : memref<4x8xi32, 3 : i64>
  func.return
}

// -----

func.func @f(%s: memref<1xi64, 3 : i64>, %i: memref<4x8xf32, 3 : i64>, %n: index, %v: f32) {
  // expected-error@+1 {{'sparsert.send_columns': expected indices, in number, 2, got 1}}
  sparsert.send_columns %v, %i[%n] of %n signal %s : memref<4x8xf32, 3 : i64>, f32
  func.return
}

// -----

func.func @f(%s: memref<1xi64, 3 : i64>, %i: memref<4x8xf32, 3 : i64>, %n: index, %v: f16) {
  // expected-error@+1 {{'sparsert.send_columns': expected a lane of element type f32, got f16}}
  sparsert.send_columns %v, %i[%n, %n] of %n signal %s : memref<4x8xf32, 3 : i64>, f16
  func.return
}

// -----

func.func @f(%s: memref<2xi64, 3 : i64>, %i: memref<4x8xf32, 3 : i64>) {
  // expected-error@+1 {{'sparsert.await_inbox'}}
  "sparsert.await_inbox"(%s, %i) : (memref<2xi64, 3 : i64>, memref<4x8xf32, 3 : i64>) -> ()
  func.return
}

// -----

func.func @f(%s: memref<1xi64, 3 : i64>, %i: memref<4x8xf32>) {
  // expected-error@+1 {{'sparsert.await_inbox': expected an inbox in memory space 3, got memref<4x8xf32>}}
  sparsert.await_inbox %s of %i : memref<4x8xf32>
  func.return
}
