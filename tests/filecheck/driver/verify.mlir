// RUN: not sparsert-opt %s 2>&1 | filecheck %s --check-prefix=INVALID
// RUN: sparsert-opt %s --no-verify | filecheck %s

// The place is the operation's, the source line is shown, the module is not.

// INVALID: verify.mlir:[[# @LINE + 6]]:3: error: 'gpu.return': 'gpu.return' expects parent op 'gpu.func'
// INVALID-NEXT: gpu.return
// INVALID-NEXT: ^
// INVALID-NOT: func.func
// CHECK: func.func @host
func.func @host() {
  gpu.return
}
