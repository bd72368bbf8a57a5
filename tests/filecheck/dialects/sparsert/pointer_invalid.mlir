// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: !llvm.ptr<1>, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected pointers, in number, 1, got 3}}
  %a:2 = sparsert.ptr_accumulate %x, %x, %x f32 offsets dense<[0, 3]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<1.0> : tensor<2xf32> : !llvm.ptr<1>, !llvm.ptr<1>, !llvm.ptr<1> -> f32, f32
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected a lane such as vector<4xf32>, got vector<f32>}}
  %a = sparsert.ptr_accumulate %x f32 offsets dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : !llvm.ptr<1> -> vector<f32>
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected rows in [0, 2), got [0, 2]}}
  %a:2 = sparsert.ptr_accumulate %x f32 offsets dense<[0, 3]> : tensor<2xi32> rows dense<[0, 2]> : tensor<2xi32> values dense<1.0> : tensor<2xf32> : !llvm.ptr<1> -> f32, f32
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected positions of at least 0, got -4}}
  %a:2 = sparsert.ptr_accumulate %x f32 offsets dense<[0, -4]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<1.0> : tensor<2xf32> : !llvm.ptr<1> -> f32, f32
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected lanes all of type f32, got f16}}
  %a:2 = sparsert.ptr_accumulate %x f32 offsets dense<[0, 3]> : tensor<2xi32> rows dense<[1, 0]> : tensor<2xi32> values dense<1.0> : tensor<2xf32> : !llvm.ptr<1> -> f32, f16
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.ptr_write_rows': expected offsets of shape (2,), got (1,)}}
  sparsert.ptr_write_rows %s, %s to %x f32 offsets dense<0> : tensor<1xi32> : f32, f32 -> !llvm.ptr<1>
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %s: f32, %t: f16) {
  // expected-error@+1 {{'sparsert.ptr_write_rows': expected lanes all of type f32, got f16}}
  sparsert.ptr_write_rows %s, %t to %x f32 offsets dense<[0, 8]> : tensor<2xi32> : f32, f16 -> !llvm.ptr<1>
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected fold of at least 1, got 0}}
  %a = sparsert.ptr_accumulate %x fold 0 f16 offsets dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf16> : !llvm.ptr<1> -> f32
  func.return
}

// -----

func.func @f(%y: !llvm.ptr<1>, %s: f32) {
  // expected-error@+1 {{'sparsert.ptr_write_rows': expected offsets of element type i32, got i64}}
  sparsert.ptr_write_rows %s to %y f32 offsets dense<0> : tensor<1xi64> : f32 -> !llvm.ptr<1>
  func.return
}

// -----

func.func @f(%y: !llvm.ptr<1>, %s: f32) {
  // expected-error@+1 {{'sparsert.ptr_write_rows': expected bias of element type bf16, f16, f32 or f64, got i32}}
  sparsert.ptr_write_rows %s to %y f32 offsets dense<0> : tensor<1xi32> bias dense<1> : tensor<1xi32> : f32 -> !llvm.ptr<1>
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected fold of 2 or more with x of element type f16, got bf16}}
  %a = sparsert.ptr_accumulate %x fold 4 bf16 offsets dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : !llvm.ptr<1> -> f32
  func.return
}

// -----

func.func @f(%x: !llvm.ptr<1>, %g: i1) {
  // expected-error@+1 {{'sparsert.ptr_accumulate': expected guard numbers of at least -1, got -2}}
  %a = sparsert.ptr_accumulate %x guards %g numbers dense<-2> : tensor<1xi32> f32 offsets dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : !llvm.ptr<1> -> f32
  func.return
}

// -----

func.func @f(%y: !llvm.ptr<1>, %s: f32) {
  // expected-error@+1 {{'sparsert.ptr_write_rows': expected offsets of at least -1, got -5}}
  sparsert.ptr_write_rows %s to %y f32 offsets dense<-5> : tensor<1xi32> : f32 -> !llvm.ptr<1>
  func.return
}

// -----

func.func @f(%y: !llvm.ptr<1>, %s: f32) {
  // expected-error@+1 {{'sparsert.ptr_write_rows': expected offsets to be, but for -1, different, got some twice}}
  sparsert.ptr_write_rows %s, %s to %y f32 offsets dense<8> : tensor<2xi32> : f32, f32 -> !llvm.ptr<1>
  func.return
}

// -----

func.func @f(%y: !llvm.ptr<1>, %s: f32) {
  // expected-error@+1 {{'sparsert.ptr_write_rows': expected bias of shape (1,), got (2,)}}
  sparsert.ptr_write_rows %s to %y f32 offsets dense<0> : tensor<1xi32> bias dense<1.0> : tensor<2xf32> : f32 -> !llvm.ptr<1>
  func.return
}

// -----

func.func @f(%y: !llvm.ptr<1>, %s: f32, %g: f64) {
  // expected-error@+1 {{'sparsert.ptr_write_rows'}}
  "sparsert.ptr_write_rows"(%y, %g, %s) <{element_type = f32, offsets = dense<0> : tensor<1xi32>, operandSegmentSizes = array<i32: 1, 0, 1, 1>}> : (!llvm.ptr<1>, f64, f32) -> ()
  func.return
}
