// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @fragments
// CHECK-SAME: (%[[X:.*]]: memref<24x8xf16, 3 : i64>, %[[I:.*]]: index, %[[B:.*]]: vector<4xf16>, %[[C:.*]]: vector<4xf32>)
func.func @fragments(%x: memref<24x8xf16, 3>, %i: index, %b: vector<4xf16>, %c: vector<4xf32>) {
  // CHECK: %[[A:.*]] = nvgpu.ldmatrix %[[X]][%[[I]], %[[I]]] : memref<24x8xf16, 3 : i64> -> vector<8xf16>
  // CHECK: nvgpu.mma.sync(%[[A]], %[[B]], %[[C]]) : (vector<8xf16>, vector<4xf16>)
  %a = nvgpu.ldmatrix %x[%i, %i] : memref<24x8xf16, 3> -> vector<8xf16>
  %d = nvgpu.mma.sync(%a, %b, %c) : (vector<8xf16>, vector<4xf16>)
  func.return
}
