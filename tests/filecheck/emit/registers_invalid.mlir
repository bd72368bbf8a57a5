// RUN: not sparsert-opt %s -t 'ptx{arch=sm_80}' 2>&1 | filecheck %s

// CHECK: error: LLVM IR text: expected nvvm.minctasm of 1 to 32, got "4"
gpu.module @kernels {
  llvm.func @kernel() attributes {nvvm.kernel, nvvm.minctasm = "4"} {
    llvm.return
  }
}
