// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @tensors
// CHECK-SAME: (%[[W:.*]]: tensor<3x18xf32, #sparsert.csr>, %[[X:.*]]: tensor<1x2x5x6xf32>, %[[R:.*]]: tensor<1x3x5x6xf32>, %[[B:.*]]: tensor<3xf32>)
func.func @tensors(%w: tensor<3x18xf32, #sparsert.csr>, %x: tensor<1x2x5x6xf32>, %r: tensor<1x3x5x6xf32>, %b: tensor<3xf32>) -> tensor<1x3x5x6xf32> {
  // CHECK-NEXT: %[[Y:.*]] = sparsert.conv2d %[[W]], %[[X]] window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> bias dense<1.000000e+00> : tensor<3xf32> activation relu residual %[[R]] : tensor<1x3x5x6xf32> residual_after_activation schedule <rows_per_panel = 2> : tensor<3x18xf32, #sparsert.csr>, tensor<1x2x5x6xf32> -> tensor<1x3x5x6xf32>
  // CHECK-NEXT: %{{.*}} = sparsert.bias_add %[[Y]], %[[B]] axis 1 : tensor<1x3x5x6xf32>, tensor<3xf32>
  // CHECK-NEXT: %{{.*}} = sparsert.tiled_spmm %[[W]], %[[X]] window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> schedule <rows_per_panel = 2> panels
  %0 = sparsert.conv2d %w, %x window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> bias dense<1.0> : tensor<3xf32> activation relu residual %r : tensor<1x3x5x6xf32> residual_after_activation schedule <rows_per_panel = 2> : tensor<3x18xf32, #sparsert.csr>, tensor<1x2x5x6xf32> -> tensor<1x3x5x6xf32>
  %1 = sparsert.bias_add %0, %b axis 1 : tensor<1x3x5x6xf32>, tensor<3xf32>
  %2 = sparsert.tiled_spmm %w, %x window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> schedule <rows_per_panel = 2> panels dense<[[0, 1], [2, -1]]> : tensor<2x2xi32> splits dense<[[0, 18], [0, 18]]> : tensor<2x2xi32> : tensor<3x18xf32, #sparsert.csr>, tensor<1x2x5x6xf32> -> tensor<1x3x5x6xf32>
  func.return %2 : tensor<1x3x5x6xf32>
}

// CHECK-LABEL: func.func @every_field
// CHECK: window <batch = 2, channels = 1, image = [8, 9], kernel = [2, 3], strides = [2, 1], padding = [0, 1, 2, 3], dilation = [3, 2], layout = nhwc>
func.func @every_field(%w: tensor<4x6xf16, #sparsert.csr>, %x: tensor<2x8x9x1xf16>) -> tensor<2x4x9x4xf16> {
  %0 = sparsert.conv2d %w, %x window <layout = nhwc, batch = 2, dilation = [3, 2], channels = 1, padding = [0, 1, 2, 3], image = [8, 9], strides = [2, 1], kernel = [2, 3]> : tensor<4x6xf16, #sparsert.csr>, tensor<2x8x9x1xf16> -> tensor<2x4x9x4xf16>
  func.return %0 : tensor<2x4x9x4xf16>
}

// CHECK-LABEL: func.func @threads
// CHECK-SAME: (%[[W:.*]]: tensor<3x18xf32, #sparsert.csr>, %[[X:.*]]: memref<1x2x5x6xf32>, %[[Y:.*]]: memref<1x3x5x6xf32>, %[[I:.*]]: index)
func.func @threads(%w: tensor<3x18xf32, #sparsert.csr>, %x: memref<1x2x5x6xf32>, %y: memref<1x3x5x6xf32>, %i: index) {
  // CHECK: %[[S:.*]], %{{.*}} = sparsert.panel_product %[[W]], %[[X]][%[[I]]] window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> panel %[[I]] group %[[I]]
  // CHECK: sparsert.write_panel %[[S]], %{{.*}} to %[[Y]][%[[I]]] window <batch = 1, channels = 3, image = [5, 6]> panel %[[I]]
  // CHECK: %[[T:.*]] = sparsert.accumulate %[[X]][%[[I]]] window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> columns dense<17>
  // CHECK: sparsert.write_rows %[[T]] to %[[Y]][%[[I]]] window <batch = 1, channels = 3, image = [5, 6]> rows
  // CHECK: %[[L:.*]] = sparsert.load_columns %[[Y]][%[[I]], %[[I]]] window <batch = 1, channels = 3, image = [5, 6]> : memref<1x3x5x6xf32>, f32
  // CHECK: sparsert.store_columns %[[L]], %[[Y]][%[[I]], %[[I]]] window <batch = 1, channels = 3, image = [5, 6]> streaming : memref<1x3x5x6xf32>, f32
  %s:2 = sparsert.panel_product %w, %x[%i] window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> panel %i group %i panels dense<[[0, 1], [2, -1]]> : tensor<2x2xi32> splits dense<[[0, 18], [0, 18]]> : tensor<2x2xi32> : tensor<3x18xf32, #sparsert.csr>, memref<1x2x5x6xf32> -> f32, f32
  sparsert.write_panel %s#0, %s#1 to %y[%i] window <batch = 1, channels = 3, image = [5, 6]> panel %i panels dense<[[0, 1], [2, -1]]> : tensor<2x2xi32> : f32, f32 -> memref<1x3x5x6xf32>
  %t = sparsert.accumulate %x[%i] window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> columns dense<17> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : memref<1x2x5x6xf32> -> f32
  sparsert.write_rows %t to %y[%i] window <batch = 1, channels = 3, image = [5, 6]> rows dense<2> : tensor<1xi32> : f32 -> memref<1x3x5x6xf32>
  %l = sparsert.load_columns %y[%i, %i] window <batch = 1, channels = 3, image = [5, 6]> : memref<1x3x5x6xf32>, f32
  sparsert.store_columns %l, %y[%i, %i] window <batch = 1, channels = 3, image = [5, 6]> streaming : memref<1x3x5x6xf32>, f32
  func.return
}

// CHECK-LABEL: func.func @positions
func.func @positions(%w: tensor<1x2xf32, #sparsert.csr>, %x: memref<9xf32>, %i: index) {
  // CHECK: sparsert.panel_product %{{.*}}, %{{.*}}[%{{.*}}] positions dense<[0, 4]> : tensor<2xi32> panel
  // CHECK: sparsert.accumulate %{{.*}}[%{{.*}}] columns dense<4> : tensor<1xi32> {{.*}} : memref<9xf32> -> f32
  %s = sparsert.panel_product %w, %x[%i] positions dense<[0, 4]> : tensor<2xi32> panel %i group %i panels dense<0> : tensor<1x1xi32> splits dense<[[0, 2]]> : tensor<1x2xi32> : tensor<1x2xf32, #sparsert.csr>, memref<9xf32> -> f32
  %t = sparsert.accumulate %x[%i] columns dense<4> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : memref<9xf32> -> f32
  func.return
}

// CHECK-LABEL: func.func @pointers
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[NEXT:.*]]: !llvm.ptr<1>, %[[G:.*]]: i1)
func.func @pointers(%x: !llvm.ptr<1>, %next: !llvm.ptr<1>, %g: i1) {
  // CHECK: %[[S:.*]] = sparsert.ptr_accumulate %[[X]] guards %[[G]] numbers dense<[0, -1]> : tensor<2xi32> f32 offsets dense<[-7, 0]>
  // CHECK: %[[P:.*]] = sparsert.ptr_accumulate %[[X]], %[[NEXT]] guards %[[G]], %[[G]] numbers dense<0> : tensor<1xi32> f16 offsets
  // CHECK: sparsert.ptr_write_rows %[[P]] to %[[X]], %[[NEXT]] f16 offsets dense<0> : tensor<1xi32> residual %[[X]], %[[NEXT]] : !llvm.ptr<1>, !llvm.ptr<1>
  %s = sparsert.ptr_accumulate %x guards %g numbers dense<[0, -1]> : tensor<2xi32> f32 offsets dense<[-7, 0]> : tensor<2xi32> rows dense<0> : tensor<2xi32> values dense<1.0> : tensor<2xf32> : !llvm.ptr<1> -> f32
  %p = sparsert.ptr_accumulate %x, %next guards %g, %g numbers dense<0> : tensor<1xi32> f16 offsets dense<7> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf16> : !llvm.ptr<1>, !llvm.ptr<1> -> vector<2xf16>
  sparsert.ptr_write_rows %p to %x, %next f16 offsets dense<0> : tensor<1xi32> residual %x, %next : !llvm.ptr<1>, !llvm.ptr<1> : vector<2xf16> -> !llvm.ptr<1>, !llvm.ptr<1>
  func.return
}
