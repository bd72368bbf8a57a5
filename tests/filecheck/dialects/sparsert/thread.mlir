// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @columns
// CHECK-SAME: (%[[LANE:.*]]: index)
func.func @columns(%lane: index) {
  // CHECK: sparsert.column_tiles 100 by 32 x 2
  // CHECK: sparsert.first_column %[[LANE]] x 2
  // CHECK: sparsert.first_column %[[LANE]] x 2 within 100
  %tiles = sparsert.column_tiles 100 by 32 x 2
  %0 = sparsert.first_column %lane x 2
  %1 = sparsert.first_column %lane x 2 within 100
  func.return
}

// CHECK-LABEL: func.func @lanes
// CHECK-SAME: (%[[M:.*]]: memref<4x8xf16>, %[[I:.*]]: index)
func.func @lanes(%m: memref<4x8xf16>, %i: index) {
  // CHECK: %[[PAIR:.*]] = sparsert.load_columns %[[M]][%[[I]], %[[I]]] : memref<4x8xf16>, vector<2xf16>
  // CHECK: sparsert.store_columns %[[PAIR]], %[[M]][%[[I]], %[[I]]] streaming : memref<4x8xf16>, vector<2xf16>
  // CHECK: %[[ONE:.*]] = sparsert.load_columns %[[M]][%[[I]], %[[I]]] : memref<4x8xf16>, f16
  // CHECK: sparsert.store_columns %[[ONE]], %[[M]][%[[I]], %[[I]]] : memref<4x8xf16>, f16
  %pair = sparsert.load_columns %m[%i, %i] : memref<4x8xf16>, vector<2xf16>
  sparsert.store_columns %pair, %m[%i, %i] streaming : memref<4x8xf16>, vector<2xf16>
  %one = sparsert.load_columns %m[%i, %i] : memref<4x8xf16>, f16
  sparsert.store_columns %one, %m[%i, %i] : memref<4x8xf16>, f16
  func.return
}

// CHECK-LABEL: func.func @any_panel
// CHECK-SAME: (%[[W:.*]]: tensor<3x4xf16, #sparsert.csr>, %[[X:.*]]: memref<4x8xf16>, %[[Y:.*]]: memref<3x8xf16>, %[[R:.*]]: memref<3x8xf16>, %[[I:.*]]: index)
func.func @any_panel(%w: tensor<3x4xf16, #sparsert.csr>, %x: memref<4x8xf16>, %y: memref<3x8xf16>, %r: memref<3x8xf16>, %i: index) {
  // CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.panel_product %[[W]], %[[X]][%[[I]]] panel %[[I]] group %[[I]] fold 8 panels dense<{{\[\[}}0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<{{\[\[}}0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf16, #sparsert.csr>, memref<4x8xf16> -> f32, f32
  // CHECK: sparsert.write_panel %[[S0]], %[[S1]] to %[[Y]][%[[I]]] panel %[[I]] panels dense<{{\[\[}}0, 2], [1, -1]]> : tensor<2x2xi32> bias dense<1.000000e+00> : tensor<3xf32> activation relu residual %[[R]] : memref<3x8xf16> residual_after_activation streaming : f32, f32 -> memref<3x8xf16>
  // CHECK: sparsert.write_panel %[[S0]], %[[S1]] to %[[Y]][%[[I]]] panel %[[I]] panels dense<{{\[\[}}0, 2], [1, -1]]> : tensor<2x2xi32> : f32, f32 -> memref<3x8xf16>
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i fold 8 panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 4, 4]]> : tensor<2x3xi32> : tensor<3x4xf16, #sparsert.csr>, memref<4x8xf16> -> f32, f32
  sparsert.write_panel %s#0, %s#1 to %y[%i] panel %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> bias dense<1.0> : tensor<3xf32> activation relu residual %r : memref<3x8xf16> residual_after_activation streaming : f32, f32 -> memref<3x8xf16>
  sparsert.write_panel %s#0, %s#1 to %y[%i] panel %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> : f32, f32 -> memref<3x8xf16>
  func.return
}

// CHECK-LABEL: func.func @known_panel
// CHECK-SAME: (%[[X:.*]]: memref<4x8xf32>, %[[Y:.*]]: memref<3x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[I:.*]]: index)
func.func @known_panel(%x: memref<4x8xf32>, %y: memref<3x8xf32>, %r: memref<3x8xf32>, %i: index) {
  // CHECK: %[[S0:.*]], %[[S1:.*]] = sparsert.accumulate %[[X]][%[[I]]] columns dense<[0, 3]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32> : memref<4x8xf32> -> vector<4xf32>, vector<4xf32>
  // CHECK: sparsert.write_rows %[[S0]], %[[S1]] to %[[Y]][%[[I]]] rows dense<[2, -1]> : tensor<2xi32> bias dense<1.000000e+00> : tensor<2xf32> activation relu residual %[[R]] : memref<3x8xf32> : vector<4xf32>, vector<4xf32> -> memref<3x8xf32>
  %s:2 = sparsert.accumulate %x[%i] columns dense<[0, 3]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> vector<4xf32>, vector<4xf32>
  sparsert.write_rows %s#0, %s#1 to %y[%i] rows dense<[2, -1]> : tensor<2xi32> bias dense<1.0> : tensor<2xf32> activation relu residual %r : memref<3x8xf32> : vector<4xf32>, vector<4xf32> -> memref<3x8xf32>
  func.return
}

// CHECK-LABEL: func.func @empty_run
func.func @empty_run(%x: memref<4x8xf32>, %i: index) {
  // CHECK: sparsert.accumulate {{.*}} columns dense<> : tensor<0xi32> rows dense<> : tensor<0xi32> values dense<> : tensor<0xf32> : memref<4x8xf32> -> f32
  %s = sparsert.accumulate %x[%i] columns dense<> : tensor<0xi32> rows dense<> : tensor<0xi32> values dense<> : tensor<0xf32> : memref<4x8xf32> -> f32
  func.return
}
