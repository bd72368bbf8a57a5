// RUN: sparsert-opt %s -p sparsert-convert-to-llvm --verify-diagnostics

// expected-error@unknown {{sparsert-convert-to-llvm: expected no results of @returns_a_number}}
func.func @returns_a_number(%x: memref<8xf32>, %i: index) -> f32 {
  %0 = memref.load %x[%i] : memref<8xf32>
  func.return %0 : f32
}
