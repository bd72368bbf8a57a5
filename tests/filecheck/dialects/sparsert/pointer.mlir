// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @pointers
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[GUARD:.*]]: i1)
func.func @pointers(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %guard: i1) {
  // CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.ptr_accumulate %[[X]] invariant fold 16 f16 offsets dense<[0, 24]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf16> : !llvm.ptr<1> -> vector<2xf32>, vector<2xf32>
  // CHECK: sparsert.ptr_write_rows %[[S0]], %[[S1]] to %[[Y]] f16 offsets dense<[16, -1]> : tensor<2xi32> bias dense<1.000000e+00> : tensor<2xf32> activation relu residual %[[X]] : !llvm.ptr<1> residual_after_activation invariant streaming second %[[GUARD]] : vector<2xf32>, vector<2xf32> -> !llvm.ptr<1>
  %s:2 = sparsert.ptr_accumulate %x invariant fold 16 f16 offsets dense<[0, 24]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf16> : !llvm.ptr<1> -> vector<2xf32>, vector<2xf32>
  sparsert.ptr_write_rows %s#0, %s#1 to %y f16 offsets dense<[16, -1]> : tensor<2xi32> bias dense<1.0> : tensor<2xf32> activation relu residual %x : !llvm.ptr<1> residual_after_activation invariant streaming second %guard : vector<2xf32>, vector<2xf32> -> !llvm.ptr<1>
  func.return
}

// CHECK-LABEL: func.func @two_pointers
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[NEXT:.*]]: !llvm.ptr<1>)
func.func @two_pointers(%x: !llvm.ptr<1>, %next: !llvm.ptr<1>) {
  // CHECK: %[[S:.*]] = sparsert.ptr_accumulate %[[X]], %[[NEXT]] f16 offsets dense<7> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.000000e+00> : tensor<1xf16> : !llvm.ptr<1>, !llvm.ptr<1> -> vector<2xf16>
  // CHECK: sparsert.ptr_write_rows %[[S]] to %[[X]] f16 offsets dense<0> : tensor<1xi32> : vector<2xf16> -> !llvm.ptr<1>
  %s = sparsert.ptr_accumulate %x, %next f16 offsets dense<7> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf16> : !llvm.ptr<1>, !llvm.ptr<1> -> vector<2xf16>
  sparsert.ptr_write_rows %s to %x f16 offsets dense<0> : tensor<1xi32> : vector<2xf16> -> !llvm.ptr<1>
  func.return
}
