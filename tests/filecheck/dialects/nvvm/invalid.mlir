// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

func.func @register() {
  // expected-error@+1 {{'nvvm.read.ptx.sreg.tid.x'}}
  %0 = "nvvm.read.ptx.sreg.tid.x"() : () -> i64
  func.return
}

// -----

func.func @shuffle(%v: f32) {
  // expected-error@+1 {{'nvvm.shfl.sync.bfly'}}
  %0 = "nvvm.shfl.sync.bfly"(%v) <{offset = 16 : i32}> : (f32) -> f16
  func.return
}

// -----

func.func @shuffle(%v: f32) {
  // expected-error@+1 {{'nvvm.shfl.sync.bfly'}}
  %0 = "nvvm.shfl.sync.bfly"(%v) <{offset = 16 : i64}> : (f32) -> f32
  func.return
}

// -----

func.func @mapa(%p: !llvm.ptr<1>, %n: i32) {
  // expected-error@+1 {{'nvvm.mapa'}}
  %0 = "nvvm.mapa"(%p, %n) : (!llvm.ptr<1>, i32) -> !llvm.ptr<7>
  func.return
}

// -----

func.func @copy(%s: !llvm.ptr<3>, %x: !llvm.ptr<1>) {
  // expected-error@+1 {{'nvvm.cp.async.shared.global': expected a copy of 4, 8 or 16 bytes, got 2}}
  nvvm.cp.async.shared.global %s, %x, 2 : !llvm.ptr<3>, !llvm.ptr<1>
  func.return
}

// -----

func.func @copy(%s: !llvm.ptr<3>, %x: !llvm.ptr<1>) {
  // expected-error@+1 {{'nvvm.cp.async.shared.global'}}
  "nvvm.cp.async.shared.global"(%x, %s) <{size = 4 : i32}> : (!llvm.ptr<1>, !llvm.ptr<3>) -> ()
  func.return
}

// -----

func.func @wait() {
  // expected-error@+1 {{'nvvm.cp.async.wait.group': expected 0 groups or more, got -1}}
  nvvm.cp.async.wait.group -1
  func.return
}

// -----

func.func @factors(%a: vector<8xf16>, %b: vector<8xf16>, %c: vector<4xf32>) {
  // expected-error@+1 {{'nvvm.mma.sync': expected 4 elements of f16 or bf16 per lane, got vector<8xf16>}}
  %d = nvvm.mma.sync %a, %b, %c : vector<8xf16>, vector<8xf16>
  func.return
}

// -----

func.func @tiles(%p: !llvm.ptr<3>) {
  // expected-error@+1 {{'nvvm.ldmatrix': expected 8 elements of f16 or bf16 per lane, got vector<8xf32>}}
  %a = nvvm.ldmatrix %p : !llvm.ptr<3> -> vector<8xf32>
  func.return
}
