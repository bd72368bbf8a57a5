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
