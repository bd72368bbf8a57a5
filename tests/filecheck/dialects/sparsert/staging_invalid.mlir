// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: memref<4x8xf16>, %s: memref<6x4xf16, 3 : i64>, %i: index) {
  // expected-error@+1 {{'sparsert.async_copy': expected a copy of bytes 4, 8 or 16, got 2}}
  sparsert.async_copy %x[%i, %i] to %s[%i, %i] x 1 : memref<4x8xf16> -> memref<6x4xf16, 3 : i64>
  func.return
}

// -----

func.func @f(%x: memref<4x8xf32>, %s: memref<6x6xf32, 3 : i64>, %i: index) {
  // expected-error@+1 {{'sparsert.async_copy': expected rows that are a multiple of the elements copied: 4, got 6}}
  sparsert.async_copy %x[%i, %i] to %s[%i, %i] x 4 : memref<4x8xf32> -> memref<6x6xf32, 3 : i64>
  func.return
}

// -----

func.func @f(%x: memref<4x8xf32>, %s: memref<6x4xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.async_copy': expected a copy to memory space 3, got memref<6x4xf32>}}
  sparsert.async_copy %x[%i, %i] to %s[%i, %i] x 4 : memref<4x8xf32> -> memref<6x4xf32>
  func.return
}

// -----

func.func @f(%s: memref<6x4xf32, 3 : i64>, %i: index) {
  // expected-error@+1 {{'sparsert.async_copy': expected a copy from a memory space other than 3}}
  sparsert.async_copy %s[%i, %i] to %s[%i, %i] x 4 : memref<6x4xf32, 3 : i64> -> memref<6x4xf32, 3 : i64>
  func.return
}

// -----

func.func @f(%x: memref<4x8xf32>, %s: memref<6x4xf16, 3 : i64>, %i: index) {
  // expected-error@+1 {{'sparsert.async_copy': expected elements of type f32}}
  sparsert.async_copy %x[%i, %i] to %s[%i, %i] x 4 : memref<4x8xf32> -> memref<6x4xf16, 3 : i64>
  func.return
}

// -----

func.func @f(%x: memref<4x8x8xf32>, %s: memref<6x4xf32, 3 : i64>, %i: index) {
  // expected-error@+1 {{'sparsert.async_copy': expected a copy's memory of rank 2}}
  sparsert.async_copy %x[%i, %i] to %s[%i, %i] x 4 : memref<4x8x8xf32> -> memref<6x4xf32, 3 : i64>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.async_wait': expected pending groups, in number, 0 or more, got -1}}
  sparsert.async_wait -1
  func.return
}

// -----

func.func @f(%x: memref<4x8xf32>, %a: f16, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected initial sums of types}}
  %d = sparsert.accumulate %x[%i] from %a : f16 columns dense<3> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<2.0> : tensor<1xf32> : memref<4x8xf32> -> f32
  func.return
}

// -----

func.func @f(%b: memref<3xi32, 3 : i64>) {
  // expected-error@+1 {{'sparsert.make_signals': expected signals such as memref<2xi64, 3 : i64>, got memref<3xi32, 3 : i64>}}
  sparsert.make_signals %b : memref<3xi32, 3 : i64>
  func.return
}

// -----

func.func @f(%x: memref<4x8xf16>, %s: memref<6x4xf16, 3 : i64>, %b: memref<3xi64, 3 : i64>, %i: index) {
  // expected-error@+1 {{'sparsert.bulk_copy': expected rows of bytes that are a multiple of 16, got 8}}
  sparsert.bulk_copy %x[%i, %i] to %s[%i, %i] x %i signal %b[%i] : memref<4x8xf16> -> memref<6x4xf16, 3 : i64>, memref<3xi64, 3 : i64>
  func.return
}

// -----

func.func @f(%b: memref<3xi64>, %i: index) {
  // expected-error@+1 {{'sparsert.expect_bytes': expected signals such as memref<2xi64, 3 : i64>, got memref<3xi64>}}
  sparsert.expect_bytes %b[%i], %i : memref<3xi64>
  func.return
}

// -----

func.func @f(%b: memref<0xi64, 3 : i64>, %i: index) {
  // expected-error@+1 {{'sparsert.await_bytes': expected signals such as memref<2xi64, 3 : i64>, got memref<0xi64, 3 : i64>}}
  sparsert.await_bytes %b[%i] parity %i : memref<0xi64, 3 : i64>
  func.return
}
