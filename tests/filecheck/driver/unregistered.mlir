// RUN: sparsert-opt %s --allow-unregistered-dialect | filecheck %s
// RUN: not sparsert-opt %s 2>&1 | filecheck %s --check-prefix=REFUSED

// CHECK: "other.op"() {a = #other.attr} : () -> ()
// REFUSED: error: Operation other.op is not registered
"other.op"() {a = #other.attr} : () -> ()
