// RUN: sparsert-opt %s -p sparsert-convert-to-llvm --split-input-file --verify-diagnostics

// expected-error@unknown {{sparsert-convert-to-llvm: expected no results of @returns_a_number}}
func.func @returns_a_number(%x: memref<8xf32>, %i: index) -> f32 {
  %0 = memref.load %x[%i] : memref<8xf32>
  func.return %0 : f32
}

// -----

// expected-error@unknown {{sparsert-convert-to-llvm: expected sparsert.await_inbox in a kernel, got it on a host}}
func.func @host(%s: memref<1xi64, 3 : i64>, %i: memref<4x8xf32, 3 : i64>) {
  sparsert.await_inbox %s of %i : memref<4x8xf32, 3 : i64>
  func.return
}

// -----

// expected-error@unknown {{sparsert-convert-to-llvm: expected sparsert.send_columns of whole words of 4 bytes, got f16; give each thread two columns}}
gpu.module @m {
  gpu.func @kernel(%s: memref<1xi64, 3 : i64>, %i: memref<4x8xf16, 3 : i64>, %n: index, %v: f16) kernel {
    sparsert.send_columns %v, %i[%n, %n] of %n signal %s : memref<4x8xf16, 3 : i64>, f16
    gpu.return
  }
}

// -----

// expected-error@unknown {{sparsert-convert-to-llvm: expected @f to be one block, got 2}}
func.func @f() {
  cf.br ^next
^next:
  func.return
}

// -----

// expected-error@unknown {{sparsert-convert-to-llvm: expected row-major memory, got memref<2x4xf32, strided<[8, 1]>>}}
func.func @strided(%x: memref<2x4xf32, strided<[8, 1]>>, %i: index) {
  %0 = memref.load %x[%i, %i] : memref<2x4xf32, strided<[8, 1]>>
  memref.store %0, %x[%i, %i] : memref<2x4xf32, strided<[8, 1]>>
  func.return
}
