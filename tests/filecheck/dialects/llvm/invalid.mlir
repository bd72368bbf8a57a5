// RUN: sparsert-opt %s --verify-diagnostics

func.func @extract(%v: vector<2xf16>, %i: i32) {
  // expected-error@+1 {{'llvm.extractelement': expected a result of type f16, got f32}}
  %0 = llvm.extractelement %v[%i : i32] : vector<2xf16> -> f32
  func.return
}
