// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @elements(%x: memref<8x8xf32, 3>, %i: index) {
  // expected-error@+1 {{'nvgpu.ldmatrix': expected 8 elements of f16 or bf16 per lane, got vector<8xf32>}}
  %a = nvgpu.ldmatrix %x[%i, %i] : memref<8x8xf32, 3> -> vector<8xf32>
  func.return
}

// -----

func.func @width(%x: memref<8x8xf16, 3>, %i: index) {
  // expected-error@+1 {{'nvgpu.ldmatrix': expected 8 elements of f16 or bf16 per lane, got vector<4xf16>}}
  %a = nvgpu.ldmatrix %x[%i, %i] : memref<8x8xf16, 3> -> vector<4xf16>
  func.return
}

// -----

func.func @space(%x: memref<8x8xf16>, %i: index) {
  // expected-error@+1 {{'nvgpu.ldmatrix': expected memory of a block (space 3), got memref<8x8xf16>}}
  %a = nvgpu.ldmatrix %x[%i, %i] : memref<8x8xf16> -> vector<8xf16>
  func.return
}

// -----

func.func @columns(%x: memref<8x12xf16, 3>, %i: index) {
  // expected-error@+1 {{'nvgpu.ldmatrix': expected rows of whole tiles of 8 columns}}
  %a = nvgpu.ldmatrix %x[%i, %i] : memref<8x12xf16, 3> -> vector<8xf16>
  func.return
}

// -----

func.func @layout(%x: memref<8x8xf16, strided<[1, 8]>, 3>, %i: index) {
  // expected-error@+1 {{'nvgpu.ldmatrix': expected a row-major memref of known shape}}
  %a = nvgpu.ldmatrix %x[%i, %i] : memref<8x8xf16, strided<[1, 8]>, 3> -> vector<8xf16>
  func.return
}

// -----

func.func @shape(%x: memref<?x8xf16, 3>, %i: index) {
  // expected-error@+1 {{'nvgpu.ldmatrix': expected a row-major memref of known shape}}
  %a = nvgpu.ldmatrix %x[%i, %i] : memref<?x8xf16, 3> -> vector<8xf16>
  func.return
}

// -----

func.func @indices(%x: memref<8x8xf16, 3>, %i: index) {
  // expected-error@+1 {{'nvgpu.ldmatrix': expected an element of}}
  %a = nvgpu.ldmatrix %x[%i] : memref<8x8xf16, 3> -> vector<8xf16>
  func.return
}

// -----

func.func @factors(%a: vector<8xf16>, %b: vector<4xbf16>, %c: vector<4xf32>) {
  // expected-error@+1 {{'nvgpu.mma.sync': expected factors of one element type, got vector<8xf16> and vector<4xbf16>}}
  %d = nvgpu.mma.sync(%a, %b, %c) : (vector<8xf16>, vector<4xbf16>)
  func.return
}

// -----

func.func @scalable(%x: memref<8x8xf16, 3>, %i: index) {
  // expected-error@+1 {{'nvgpu.ldmatrix': expected 8 elements of f16 or bf16 per lane, got vector<[8]xf16>}}
  %a = nvgpu.ldmatrix %x[%i, %i] : memref<8x8xf16, 3> -> vector<[8]xf16>
  func.return
}
