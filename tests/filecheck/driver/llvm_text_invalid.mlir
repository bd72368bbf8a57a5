// RUN: sparsert-opt %s -t llvm --split-input-file --verify-diagnostics

// expected-error@unknown {{LLVM IR text: expected a name of letters, digits and _, got 'a() { ret void } define void @b'}}
llvm.func @"a() { ret void } define void @b"() {
  llvm.return
}

// -----

// expected-error@unknown {{LLVM IR text: expected a name of letters, digits and _, got 'a b'}}
llvm.mlir.global internal constant @"a b"(dense<1> : tensor<1xi32>) : !llvm.array<1 x i32>

// -----

// expected-error@unknown {{LLVM IR text: expected a global of an array type, got i32}}
llvm.mlir.global internal constant @a(1 : i32) : i32

// -----

// expected-error@unknown {{LLVM IR text: expected llvm.fma, maximum, umin, ctpop or fabs on a type, got 'llvm.x() @y'}}
llvm.func @f(%x: i32) {
  %0 = llvm.call_intrinsic "llvm.x() @y"(%x, %x) : (i32, i32) -> i32
  llvm.return
}

// -----

// expected-error@unknown {{LLVM IR text: expected a name of letters, digits and _, got 'g@'}}
llvm.func @f() {
  %0 = llvm.mlir.addressof @"g@" : !llvm.ptr
  llvm.return
}

// -----

// expected-error@unknown {{LLVM IR text: expected one of llvm.noalias, llvm.readonly, got llvm.byval}}
llvm.func @f(%x: !llvm.ptr {llvm.byval}) {
  llvm.return
}

// -----

// expected-error@unknown {{LLVM IR text: expected a function without results, got}}
llvm.func @f(%x: i32) -> i32 {
  llvm.return %x : i32
}

// -----

// expected-error@unknown {{LLVM IR text: expected three sizes of a block of at most 1024 threads, got [-1, 1, 1]}}
gpu.module @m {
  llvm.func @f() attributes {nvvm.kernel, nvvm.reqntid = array<i32: -1, 1, 1>} {
    llvm.return
  }
}

// -----

// expected-error@unknown {{LLVM IR text: expected three sizes of a cluster of at most 8 blocks, got [1, 1, 16]}}
gpu.module @m {
  llvm.func @f() attributes {nvvm.kernel, nvvm.cluster_dim = array<i32: 1, 1, 16>} {
    llvm.return
  }
}

// -----

// expected-error@unknown {{no LLVM IR type for i65}}
llvm.func @f(%x: i65) {
  llvm.return
}

// -----

// expected-error@unknown {{no LLVM IR type for vector<4097xf32>}}
llvm.func @f(%x: vector<4097xf32>) {
  llvm.return
}

// -----

// expected-error@unknown {{expected llvm.fma, maximum, umin, ctpop or fabs on a type, got 'llvm.x86.rdpmc'}}
llvm.func @f(%x: i32) {
  %0 = llvm.call_intrinsic "llvm.x86.rdpmc"(%x) : (i32) -> i64
  llvm.return
}

// -----

// expected-error@unknown {{LLVM IR text: expected an address space of 0, 1, 3, 4, 5, 7, got 64}}
llvm.func @f(%x: !llvm.ptr<64>) {
  llvm.return
}

// -----

// LLVM would end the process.
// expected-error@unknown {{LLVM IR text: expected a global in address space 0, 1, 3, 4, got 7}}
"llvm.mlir.global"() ({
}) {addr_space = 7 : i32, global_type = !llvm.array<4 x f32>, linkage = #llvm.linkage<"internal">, sym_name = "a"} : () -> ()
