// RUN: not sparsert-opt %s --split-input-file --verify-diagnostics 2>&1 >/dev/null | filecheck %s

// CHECK: verify_diagnostics_fails.mlir:[[# @LINE + 1]]:4: error: expected error 'no such error' was not produced
// expected-error@+1 {{no such error}}
func.func @nothing_wrong() {
  func.return
}

// -----

func.func @not_announced() {
  // CHECK: verify_diagnostics_fails.mlir:[[# @LINE + 1]]:3: error: unexpected error: 'gpu.return': 'gpu.return' expects parent op 'gpu.func'
  gpu.return
}

// -----

func.func @on_another_line() {
  // CHECK: unexpected error: 'gpu.return'
  // CHECK: error: expected error 'expects parent' was not produced
  // expected-error@+2 {{expects parent}}
  gpu.return
}
