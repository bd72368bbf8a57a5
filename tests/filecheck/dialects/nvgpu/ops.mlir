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

// CHECK-LABEL: func.func @of_nvvm
// CHECK-SAME: (%[[P:.*]]: !llvm.ptr<3>, %[[B:.*]]: vector<4xbf16>, %[[C:.*]]: vector<4xf32>)
func.func @of_nvvm(%p: !llvm.ptr<3>, %b: vector<4xbf16>, %c: vector<4xf32>) {
  // CHECK: %[[A:.*]] = nvvm.ldmatrix %[[P]] : !llvm.ptr<3> -> vector<8xbf16>
  // CHECK: nvvm.mma.sync %[[A]], %[[B]], %[[C]] : vector<8xbf16>, vector<4xbf16>
  %a = nvvm.ldmatrix %p : !llvm.ptr<3> -> vector<8xbf16>
  %d = nvvm.mma.sync %a, %b, %c : vector<8xbf16>, vector<4xbf16>
  func.return
}
