// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @f(%i: index) {
  // expected-error@+1 {{'sparsert.first_column': expected a width of at most 3, got 4}}
  %0 = sparsert.first_column %i x 4 within 3
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.load_columns': expected indices, in number, 2, got 1}}
  %0 = sparsert.load_columns %m[%i] : memref<4x8xf32>, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index, %v: f32) {
  // expected-error@+1 {{'sparsert.store_columns': expected indices, in number, 2, got 3}}
  sparsert.store_columns %v, %m[%i, %i, %i] : memref<4x8xf32>, f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected panels to hold each of 3 rows once (-1 fills up), got another set}}
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<[[0, 2], [0, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected splits to run from 0 to 4, got others}}
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 3]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected sums, one per row of a panel: 2, got 3}}
  %s:3 = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<4x8xf32> -> f32, f32, f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected lanes all of type f32, got f16}}
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<4x8xf32> -> f32, f16
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected positions of element type i32, got i64}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<[0, 3]> : tensor<2xi64> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected rows of element type i32, got i64}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<[0, 3]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi64> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected values of rank 1, got 2}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<[0, 3]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[[1.0, 2.0]]> : tensor<1x2xf32> : memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected as many positions as values: (2,), got (1,)}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<0> : tensor<1xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected as many rows as values: (2,), got (1,)}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<[0, 3]> : tensor<2xi32> rows dense<0> : tensor<1xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected positions of at least 0, got -1}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<[0, -1]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected rows in [0, 2), got [0, 2]}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<[0, 3]> : tensor<2xi32> rows dense<[0, 2]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected columns below 4, got 4}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<[0, 4]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected lanes all of type f32, got f16}}
  %s:2 = sparsert.accumulate %m[%i] columns dense<[0, 3]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : memref<4x8xf32> -> f32, f16
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_panel': expected sums, one per row of a panel: 2, got 1}}
  sparsert.write_panel %s to %y[%i] panel %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> : f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_panel': expected lanes all of type f32, got f16}}
  sparsert.write_panel %s, %t to %y[%i] panel %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> : f32, f16 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_panel': expected a residual of type memref<3x8xf32>, got memref<4x8xf32>}}
  sparsert.write_panel %s, %s to %y[%i] panel %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> residual %r : memref<4x8xf32> : f32, f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_panel': expected bias of shape (3,), got (2,)}}
  sparsert.write_panel %s, %s to %y[%i] panel %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> bias dense<1.0> : tensor<2xf32> : f32, f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_rows': expected rows of element type i32, got i64}}
  sparsert.write_rows %s, %s to %y[%i] rows dense<[0, 2]> : tensor<2xi64> : f32, f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_rows': expected rows of shape (2,), got (3,)}}
  sparsert.write_rows %s, %s to %y[%i] rows dense<[0, 1, 2]> : tensor<3xi32> : f32, f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_rows': expected lanes all of type f32, got f16}}
  sparsert.write_rows %s, %t to %y[%i] rows dense<[0, 2]> : tensor<2xi32> : f32, f16 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_rows': expected rows below 3, got 3}}
  sparsert.write_rows %s, %s to %y[%i] rows dense<[0, 3]> : tensor<2xi32> : f32, f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %r: memref<4x8xf32>, %i: index, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.write_rows': expected bias of shape (2,), got (3,)}}
  sparsert.write_rows %s, %s to %y[%i] rows dense<[0, 2]> : tensor<2xi32> bias dense<1.0> : tensor<3xf32> : f32, f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.column_tiles': expected columns of at least 1, got 0}}
  %0 = sparsert.column_tiles 0 by 32 x 1
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.column_tiles': expected threads of at least 1, got 0}}
  %0 = sparsert.column_tiles 100 by 0 x 1
  func.return
}

// -----

func.func @f() {
  // expected-error@+1 {{'sparsert.column_tiles': expected width of at least 1, got -1}}
  %0 = sparsert.column_tiles 100 by 32 x -1
  func.return
}

// -----

func.func @f(%i: index) {
  // expected-error@+1 {{'sparsert.first_column': expected a width of at least 1, got 0}}
  %0 = sparsert.first_column %i x 0
  func.return
}

// -----

func.func @f(%m: memref<4x8xf16>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected fold of at least 1, got 0}}
  %s = sparsert.accumulate %m[%i] fold 0 columns dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf16> : memref<4x8xf16> -> f32
  func.return
}

// -----

func.func @f(%w: tensor<1x4xf16, #sparsert.csr>, %x: memref<4x8xf16>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected fold of at least 1, got -1}}
  %s = sparsert.panel_product %w, %x[%i] panel %i group %i fold -1 panels dense<0> : tensor<1x1xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<1x4xf16, #sparsert.csr>, memref<4x8xf16> -> f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xi64>, %i: index) {
  // expected-error@+1 {{'sparsert.load_columns': expected a memref of element type bf16, f16, f32 or f64, got i64}}
  %0 = sparsert.load_columns %m[%i, %i] : memref<4x8xi64>, vector<2xi64>
  func.return
}

// -----

func.func @f(%m: memref<4x8xi32>, %i: index) {
  // expected-error@+1 {{'sparsert.load_columns': expected a lane of element type i32, got f32}}
  %0 = sparsert.load_columns %m[%i, %i] : memref<4x8xi32>, f32
  func.return
}

// -----

func.func @f(%m: memref<f32>) {
  // expected-error@+1 {{'sparsert.load_columns': expected a memref of rank 1 or more, got 0}}
  %0 = sparsert.load_columns %m[] : memref<f32>, f32
  func.return
}

// -----

func.func @f(%m: memref<?x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.load_columns': expected a memref of known size, got memref<?x8xf32>}}
  %0 = sparsert.load_columns %m[%i, %i] : memref<?x8xf32>, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index, %v: vector<2x2xf32>) {
  // expected-error@+1 {{'sparsert.store_columns': expected a lane such as vector<4xf32>, got vector<2x2xf32>}}
  sparsert.store_columns %v, %m[%i, %i] : memref<4x8xf32>, vector<2x2xf32>
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.load_columns': expected a lane such as vector<4xf32>, got vector<[4]xf32>}}
  %0 = sparsert.load_columns %m[%i, %i] : memref<4x8xf32>, vector<[4]xf32>
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.load_columns': expected a lane of element type f32, got i32}}
  %0 = sparsert.load_columns %m[%i, %i] : memref<4x8xf32>, vector<4xi32>
  func.return
}

// -----

func.func @f(%m: memref<4x4x4xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected x without a window of rank 2, got memref<4x4x4xf32>}}
  %s = sparsert.accumulate %m[%i] columns dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : memref<4x4x4xf32> -> f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected values of element type bf16, f16, f32 or f64, got i32}}
  %s = sparsert.accumulate %m[%i] columns dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1> : tensor<1xi32> : memref<4x8xf32> -> f32
  func.return
}

// -----

func.func @f(%w: tensor<4xf32, #sparsert.csr>, %x: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected a weight of rank 2, got 1}}
  %s = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<0> : tensor<1x1xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<4xf32, #sparsert.csr>, memref<4x8xf32> -> f32
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %i: index, %s: f32) {
  // expected-error@+1 {{'sparsert.write_panel': expected rows below 3, got 3}}
  sparsert.write_panel %s, %s to %y[%i] panel %i panels dense<[[0, 3], [1, -1]]> : tensor<2x2xi32> : f32, f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %i: index, %s: f32) {
  // expected-error@+1 {{'sparsert.write_panel': expected panels of rank 2, got 1}}
  sparsert.write_panel %s to %y[%i] panel %i panels dense<0> : tensor<1xi32> : f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %i: index, %s: f32) {
  // expected-error@+1 {{'sparsert.write_rows': expected bias of element type bf16, f16, f32 or f64, got i32}}
  sparsert.write_rows %s to %y[%i] rows dense<0> : tensor<1xi32> bias dense<1> : tensor<1xi32> : f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.write_rows': expected lanes, in number, 1 or more, got 0}}
  "sparsert.write_rows"(%y, %i) <{rows = dense<> : tensor<0xi32>, operandSegmentSizes = array<i32: 1, 1, 0, 0>}> : (memref<3x8xf32>, index) -> ()
  func.return
}

// -----

func.func @f(%w: tensor<3x4xbf16, #sparsert.csr>, %x: memref<4x8xbf16>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected sums of element type f16, f32 or f64, got bf16}}
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xbf16, #sparsert.csr>, memref<4x8xbf16> -> bf16, bf16
  func.return
}

// -----

func.func @f(%w: tensor<1x4xf32, #sparsert.csr>, %x: memref<1x4x2x4xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected positions without a window, got one}}
  %s = sparsert.panel_product %w, %x[%i] window <batch = 1, channels = 4, image = [2, 4]> positions dense<0> : tensor<1xi32> panel %i group %i panels dense<0> : tensor<1x1xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<1x4xf32, #sparsert.csr>, memref<1x4x2x4xf32> -> f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<3x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected columns below 3, got 3}}
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<3x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<1x3x2x4xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected columns below 3, got 3}}
  %s:2 = sparsert.panel_product %w, %x[%i] window <batch = 1, channels = 3, image = [2, 4]> panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<1x3x2x4xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<3x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected positions below 3, got 3}}
  %s:2 = sparsert.panel_product %w, %x[%i] positions dense<[0, 3]> : tensor<2xi32> panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<3x8xf32> -> f32, f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<4x8xi8>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected x of element type bf16, f16, f32 or f64, got i8}}
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<4x8xi8> -> f32, f32
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<4x8xf32>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected sums of element type f16, f32 or f64, got i8}}
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<4x8xf32> -> vector<2xi8>, vector<2xi8>
  func.return
}

// -----

func.func @f(%w: tensor<3x4xf32, #sparsert.csr>, %x: memref<4x8xbf16>, %i: index) {
  // expected-error@+1 {{'sparsert.panel_product': expected fold of 2 or more with x of element type f16, got bf16}}
  %s:2 = sparsert.panel_product %w, %x[%i] panel %i group %i fold 2 panels dense<[[0, 2], [1, -1]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, memref<4x8xbf16> -> f32, f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xbf16>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected fold of 2 or more with x of element type f16, got bf16}}
  %s = sparsert.accumulate %m[%i] fold 2 columns dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : memref<4x8xbf16> -> f32
  func.return
}

// -----

func.func @f(%m: memref<4x8xf32, strided<[16, 1]>>, %i: index) {
  // expected-error@+1 {{'sparsert.accumulate': expected x that is row-major, with no layout, got memref<4x8xf32, strided<[16, 1]>>}}
  %s = sparsert.accumulate %m[%i] columns dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : memref<4x8xf32, strided<[16, 1]>> -> f32
  func.return
}

// -----

func.func @f(%y: memref<3x8xi8>, %i: index, %s: f32) {
  // expected-error@+1 {{'sparsert.write_panel': expected y of element type bf16, f16, f32 or f64, got i8}}
  sparsert.write_panel %s to %y[%i] panel %i panels dense<0> : tensor<1x1xi32> : f32 -> memref<3x8xi8>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %i: index, %s: f32) {
  // expected-error@+1 {{'sparsert.write_panel': expected rows of at least -1, got -2}}
  sparsert.write_panel %s, %s to %y[%i] panel %i panels dense<[[0, -2]]> : tensor<1x2xi32> : f32, f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %i: index, %s: f32) {
  // expected-error@+1 {{'sparsert.write_panel': expected rows to be, but for -1, different, got some twice}}
  sparsert.write_panel %s to %y[%i] panel %i panels dense<1> : tensor<2x1xi32> : f32 -> memref<3x8xf32>
  func.return
}

// -----

func.func @f(%y: memref<3x8xf32>, %i: index, %s: f32) {
  // expected-error@+1 {{'sparsert.write_rows': expected rows to be, but for -1, different, got some twice}}
  sparsert.write_rows %s, %s to %y[%i] rows dense<1> : tensor<2xi32> : f32, f32 -> memref<3x8xf32>
  func.return
}
