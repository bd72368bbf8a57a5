// RUN: sparsert-opt %s -p sparsert-expand | filecheck %s
// RUN: sparsert-opt %s -p sparsert-expand | sparsert-opt --verify-roundtrip | filecheck %s
// RUN: sparsert-opt %s -p sparsert-expand,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM

// Equal neighbours share a load; the multiply-adds keep their order; sums start at 0.

// CHECK-LABEL: func.func @numbers
// CHECK-SAME: (%[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>, %[[COLUMN:.*]]: index)
// CHECK-NEXT: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-NEXT: %[[K0:.*]] = arith.constant 0 : index
// CHECK-NEXT: %[[X0:.*]] = sparsert.load_columns %[[X]][%[[K0]], %[[COLUMN]]] : memref<4x8xf32>, f32
// CHECK-NEXT: %[[V0:.*]] = arith.constant 1.000000e+00 : f32
// CHECK-NEXT: %[[A0:.*]] = math.fma %[[V0]], %[[X0]], %[[ZERO]] : f32
// CHECK-NEXT: %[[V1:.*]] = arith.constant 2.000000e+00 : f32
// CHECK-NEXT: %[[B0:.*]] = math.fma %[[V1]], %[[X0]], %[[ZERO]] : f32
// CHECK-NEXT: %[[K3:.*]] = arith.constant 3 : index
// CHECK-NEXT: %[[X3:.*]] = sparsert.load_columns %[[X]][%[[K3]], %[[COLUMN]]] : memref<4x8xf32>, f32
// CHECK-NEXT: %[[V2:.*]] = arith.constant 3.000000e+00 : f32
// CHECK-NEXT: %[[A1:.*]] = math.fma %[[V2]], %[[X3]], %[[A0]] : f32

// A row of -1 is not written.

// CHECK-NEXT: %[[BIAS:.*]] = arith.constant 5.000000e+00 : f32
// CHECK-NEXT: %[[BIASED:.*]] = arith.addf %[[A1]], %[[BIAS]] : f32
// CHECK-NEXT: %[[ROW:.*]] = arith.constant 2 : index
// CHECK: %[[LIMIT:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-NEXT: %[[ACTIVE:.*]] = arith.maximumf %[[BIASED]], %[[LIMIT]] : f32
// CHECK-NEXT: %[[RESIDUAL:.*]] = sparsert.load_columns %[[R]][%[[ROW]], %[[COLUMN]]] : memref<3x8xf32>, f32
// CHECK-NEXT: %[[RESULT:.*]] = arith.addf %[[ACTIVE]], %[[RESIDUAL]] : f32
// CHECK-NEXT: sparsert.store_columns %[[RESULT]], %[[Y]][%[[ROW]], %[[COLUMN]]] streaming : memref<3x8xf32>, f32
// CHECK-NEXT: func.return

// LLVM-LABEL: llvm.func @numbers
// LLVM: llvm.call_intrinsic "llvm.fma.f32"
// LLVM-NOT: {{sparsert|arith|math|memref}}
// LLVM: llvm.return
func.func @numbers(%x: memref<4x8xf32>, %r: memref<3x8xf32>, %y: memref<3x8xf32>, %column: index) {
  %s:2 = sparsert.accumulate %x[%column] columns dense<[0, 0, 3]> : tensor<3xi32> rows dense<[0, 1, 0]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : memref<4x8xf32> -> f32, f32
  sparsert.write_rows %s#0, %s#1 to %y[%column] rows dense<[2, -1]> : tensor<2xi32> bias dense<[5.0, 0.0]> : tensor<2xf32> activation relu residual %r : memref<3x8xf32> residual_after_activation streaming : f32, f32 -> memref<3x8xf32>
  func.return
}

// Lanes of several columns; numbers are rounded to the type of the sums, lanes of x widened.

// CHECK-LABEL: func.func @vectors
// CHECK: %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : vector<2xf32>
// CHECK: %[[PAIR:.*]] = sparsert.load_columns %{{.*}} : memref<4x8xf16>, vector<2xf16>
// CHECK-NEXT: %[[WIDE:.*]] = arith.extf %[[PAIR]] : vector<2xf16> to vector<2xf32>
// CHECK-NEXT: %[[V:.*]] = arith.constant dense<1.500000e+00> : vector<2xf32>
// CHECK-NEXT: %[[S:.*]] = vector.fma %[[V]], %[[WIDE]], %[[ZERO]] : vector<2xf32>
// CHECK-NEXT: %{{.*}} = arith.constant 2 : index
// CHECK-NEXT: %[[STORED:.*]] = arith.truncf %[[S]] : vector<2xf32> to vector<2xf16>
// CHECK-NEXT: sparsert.store_columns %[[STORED]]

// LLVM-LABEL: llvm.func @vectors
// LLVM: llvm.call_intrinsic "llvm.fma.v2f32"
func.func @vectors(%x: memref<4x8xf16>, %y: memref<3x8xf16>, %column: index) {
  %s = sparsert.accumulate %x[%column] columns dense<1> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.5> : tensor<1xf16> : memref<4x8xf16> -> vector<2xf32>
  sparsert.write_rows %s to %y[%column] rows dense<2> : tensor<1xi32> : vector<2xf32> -> memref<3x8xf16>
  func.return
}

// Two products of a row at a time are added in the type of x, and what is left over at the end.

// CHECK-LABEL: func.func @folded
// CHECK: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[NARROW:.*]] = arith.constant 0.000000e+00 : f16
// CHECK: %[[P0:.*]] = math.fma %{{.*}}, %{{.*}}, %[[NARROW]] : f16
// CHECK: %[[P1:.*]] = math.fma %{{.*}}, %{{.*}}, %[[P0]] : f16
// CHECK: %[[PARTIAL:.*]] = arith.extf %[[P1]] : f16 to f32
// CHECK: %[[SUM:.*]] = arith.addf %[[ZERO]], %[[PARTIAL]] : f32
// CHECK: %[[P2:.*]] = math.fma %{{.*}}, %{{.*}}, %[[NARROW]] : f16
// CHECK: %[[REST:.*]] = arith.extf %[[P2]] : f16 to f32
// CHECK: %[[TOTAL:.*]] = arith.addf %[[SUM]], %[[REST]] : f32
// CHECK: memref.store %[[TOTAL]]
func.func @folded(%x: memref<4x8xf16>, %y: memref<8xf32>, %column: index) {
  %s = sparsert.accumulate %x[%column] fold 2 columns dense<[0, 1, 2]> : tensor<3xi32> rows dense<0> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf16> : memref<4x8xf16> -> f32
  memref.store %s, %y[%column] : memref<8xf32>
  func.return
}

// CHECK-LABEL: func.func @no_nonzeros
// CHECK-NEXT: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-NEXT: memref.store %[[ZERO]]
func.func @no_nonzeros(%x: memref<4x8xf32>, %y: memref<8xf32>, %column: index) {
  %s = sparsert.accumulate %x[%column] columns dense<> : tensor<0xi32> rows dense<> : tensor<0xi32> values dense<> : tensor<0xf32> : memref<4x8xf32> -> f32
  memref.store %s, %y[%column] : memref<8xf32>
  func.return
}
