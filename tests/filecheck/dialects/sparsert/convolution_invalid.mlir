// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{window: no 'size'; there are batch, channels, image, kernel, strides, padding, dilation, layout}}
func.func @f() attributes {a = #sparsert.window<size = 1>} {
  func.return
}

// -----

// expected-error@+1 {{window: batch is given twice}}
func.func @f() attributes {a = #sparsert.window<batch = 1, batch = 1>} {
  func.return
}

// -----

// expected-error@+1 {{window: expected channels and image}}
func.func @f() attributes {a = #sparsert.window<batch = 1>} {
  func.return
}

// -----

// expected-error@+1 {{window: padding must be 4 whole numbers of 0 or more, got (1, 1)}}
func.func @f() attributes {a = #sparsert.window<batch = 1, channels = 1, image = [2, 2], padding = [1, 1]>} {
  func.return
}

// -----

// expected-error@+1 {{window: strides must be 2 whole numbers of 1 or more, got (0, 1)}}
func.func @f() attributes {a = #sparsert.window<batch = 1, channels = 1, image = [2, 2], strides = [0, 1]>} {
  func.return
}

// -----

// expected-error@+1 {{window: layout must be nchw or nhwc, got 'chwn'}}
func.func @f() attributes {a = #sparsert.window<batch = 1, channels = 1, image = [2, 2], layout = chwn>} {
  func.return
}

// -----

// expected-error@+1 {{window: expected a filter that fits into the padded image, got an image of (2, 2) with padding (0, 0, 0, 0) and a filter of (3, 1) with dilation (1, 1)}}
func.func @f() attributes {a = #sparsert.window<batch = 1, channels = 1, image = [2, 2], kernel = [3, 1]>} {
  func.return
}

// -----

func.func @f(%w: tensor<3x18xf32, #sparsert.csr>, %x: tensor<1x5x6x2xf32>) {
  // expected-error@+1 {{'sparsert.conv2d': expected x of the window's shape (1, 2, 5, 6), got (1, 5, 6, 2)}}
  %0 = sparsert.conv2d %w, %x window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<3x18xf32, #sparsert.csr>, tensor<1x5x6x2xf32> -> tensor<1x3x5x6xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x17xf32, #sparsert.csr>, %x: tensor<1x2x5x6xf32>) {
  // expected-error@+1 {{'sparsert.conv2d': expected a weight of as many columns as taps, 18, got 17}}
  %0 = sparsert.conv2d %w, %x window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<3x17xf32, #sparsert.csr>, tensor<1x2x5x6xf32> -> tensor<1x3x5x6xf32>
  func.return
}

// -----

func.func @f(%w: tensor<3x18xf32, #sparsert.csr>, %x: tensor<1x2x5x6xf32>) {
  // expected-error@+1 {{'sparsert.conv2d': expected a result of type tensor<1x3x5x6xf32>, got tensor<1x3x5x5xf32>}}
  %0 = sparsert.conv2d %w, %x window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> : tensor<3x18xf32, #sparsert.csr>, tensor<1x2x5x6xf32> -> tensor<1x3x5x5xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %b: tensor<2xf32>) {
  // expected-error@+1 {{'sparsert.bias_add': expected axis in [0, 2), got 2}}
  %0 = sparsert.bias_add %x, %b axis 2 : tensor<2x3xf32>, tensor<2xf32>
  func.return
}

// -----

func.func @f(%x: memref<1x2x5x6xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.load_columns': expected indices, in number, 2, got 4}}
  %0 = sparsert.load_columns %x[%i, %i, %i, %i] window <batch = 1, channels = 2, image = [5, 6]> : memref<1x2x5x6xf32>, f32
  func.return
}

// -----

func.func @f(%x: memref<1x2x6x5xf32>, %s: f32, %i: index) {
  // expected-error@+1 {{'sparsert.store_columns': expected a memref of the window's shape (1, 2, 5, 6), got (1, 2, 6, 5)}}
  sparsert.store_columns %s, %x[%i, %i] window <batch = 1, channels = 2, image = [5, 6]> : memref<1x2x6x5xf32>, f32
  func.return
}

// -----

func.func @f(%y: memref<1x2x5x6xf32>, %s: f32, %i: index) {
  // expected-error@+1 {{'sparsert.write_rows': expected the window of a result of a 1x1 filter}}
  sparsert.write_rows %s to %y[%i] window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> rows dense<0> : tensor<1xi32> : f32 -> memref<1x2x5x6xf32>
  func.return
}

// -----

func.func @f(%x: memref<1x2x5x6xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected columns below 18, got 18}}
  %s = sparsert.accumulate %x[%i] window <batch = 1, channels = 2, image = [5, 6], kernel = [3, 3], padding = [1, 1, 1, 1]> columns dense<18> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : memref<1x2x5x6xf32> -> f32
  func.return
}

// -----

func.func @f(%w: tensor<1x2xf32, #sparsert.csr>, %x: memref<9xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected positions of rank 1, got 2}}
  %s = sparsert.panel_product %w, %x[%i] positions dense<4> : tensor<1x2xi32> panel %i group %i panels dense<0> : tensor<1x1xi32> splits dense<[[0, 2]]> : tensor<1x2xi32> : tensor<1x2xf32, #sparsert.csr>, memref<9xf32> -> f32
  func.return
}

// -----

func.func @f(%x: memref<9xf32>, %i: index) {
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<1> : tensor<1xi32> values dense<2.0> : tensor<1xf32> : tensor<1x2xf32, #sparsert.csr>
  // expected-error@+1 {{'sparsert.panel_product': expected as many positions as values: (1,), got (2,)}}
  %s = sparsert.panel_product %w, %x[%i] positions dense<4> : tensor<2xi32> panel %i group %i panels dense<0> : tensor<1x1xi32> splits dense<[[0, 2]]> : tensor<1x2xi32> : tensor<1x2xf32, #sparsert.csr>, memref<9xf32> -> f32
  func.return
}

// -----

func.func @f(%w: tensor<1x2xf32, #sparsert.csr>, %x: memref<2x9xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected positions of at least 0, got -4}}
  %s = sparsert.panel_product %w, %x[%i] positions dense<-4> : tensor<2xi32> panel %i group %i panels dense<0> : tensor<1x1xi32> splits dense<[[0, 2]]> : tensor<1x2xi32> : tensor<1x2xf32, #sparsert.csr>, memref<2x9xf32> -> f32
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %g: i1) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected guards, in number, at least 2, got 1}}
  %p = sparsert.ptr_accumulate %x, %x guards %g numbers dense<0> : tensor<1xi32> f16 offsets dense<7> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf16> : !llvm.ptr<1>, !llvm.ptr<1> -> vector<2xf16>
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %g: i1) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected as many guard numbers as values: (1,), got (2,)}}
  %p = sparsert.ptr_accumulate %x guards %g numbers dense<0> : tensor<2xi32> f32 offsets dense<7> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : !llvm.ptr<1> -> f32
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %s: vector<2xf32>) {
  // expected-error@+1 {{'sparsert.ptr_write_rows': expected as many pointers to the residual as to y: 1, got 2}}
  sparsert.ptr_write_rows %s to %x f32 offsets dense<0> : tensor<1xi32> residual %x, %x : !llvm.ptr<1>, !llvm.ptr<1> : vector<2xf32> -> !llvm.ptr<1>
  func.return
}
