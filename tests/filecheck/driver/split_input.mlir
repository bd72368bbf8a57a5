// RUN: not sparsert-opt %s --split-input-file 2>/dev/null | filecheck %s
// RUN: not sparsert-opt %s --split-input-file 2>&1 >/dev/null | filecheck %s --check-prefix=ERRORS

// The other pieces are printed although one is wrong; its line is the file's.

// CHECK: func.func @first
// CHECK: // -----
// CHECK-NEXT: builtin.module
// CHECK-NEXT: func.func @third
// CHECK-NOT: // -----

// ERRORS: split_input.mlir:[[# @LINE + 7]]:10: error: expect symbol name
func.func @first() {
  func.return
}

// -----

func.func(@second() {}

// -----

func.func @third() {
  func.return
}

// -----

// Nothing but a comment: left out.
