// RUN: not sparsert-opt %s -p sparsert-convert-to-llvm 2>&1 | filecheck %s

// A pass knows no line: the error points at the symbol that it names, outside of comments (@f).

// CHECK: pass_error_location.mlir:13:11: error: sparsert-convert-to-llvm: expected memrefs in @f, got tensor<4x8xf32>
// CHECK-NEXT: func.func @f(%x
// CHECK-NEXT: {{^          \^$}}

func.func @first() {
  func.return
}

func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  func.return %x : tensor<4x8xf32>
}
