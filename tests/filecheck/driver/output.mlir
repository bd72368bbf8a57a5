// RUN: sparsert-opt %s -o %t
// RUN: filecheck %s < %t
// RUN: sparsert-opt - < %s | filecheck %s
// RUN: sparsert-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC

// CHECK: func.func @kernel() {
// GENERIC: "func.func"() <{sym_name = "kernel"
func.func @kernel() {
  func.return
}
