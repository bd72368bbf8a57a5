// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @extract
// CHECK-SAME: (%[[V:.*]]: vector<2xf16>, %[[I:.*]]: i32)
func.func @extract(%v: vector<2xf16>, %i: i32) {
  // CHECK: llvm.extractelement %[[V]][%[[I]] : i32] : vector<2xf16> -> f16
  %0 = llvm.extractelement %v[%i : i32] : vector<2xf16> -> f16
  func.return
}

// CHECK-LABEL: func.func @freeze
// CHECK-SAME: (%[[V:.*]]: vector<2xf16>)
func.func @freeze(%v: vector<2xf16>) {
  // CHECK: llvm.freeze %[[V]] : vector<2xf16>
  %0 = llvm.freeze %v : vector<2xf16>
  func.return
}
