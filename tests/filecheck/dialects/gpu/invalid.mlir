// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func': expected block arguments of types}}
  "gpu.func"() <{sym_name = "kernel", function_type = (f32) -> ()}> ({
  ^bb0(%x: f16):
    gpu.return
  }) : () -> ()
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func': expected a kernel without results}}
  "gpu.func"() <{sym_name = "kernel", function_type = () -> f32}> ({
    gpu.return
  }) : () -> ()
}

// -----

// expected-error@+1 {{'gpu.func': 'gpu.func' expects parent op 'gpu.module'}}
gpu.func @kernel() {
  gpu.return
}

// -----

func.func @host() {
  // expected-error@+1 {{'gpu.return': 'gpu.return' expects parent op 'gpu.func'}}
  gpu.return
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func': expected a body}}
  "gpu.func"() <{sym_name = "kernel", function_type = () -> ()}> ({}) : () -> ()
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func': expected three block sizes of 1 or more, of at most 1024 threads together, got [-1, 1, 1]}}
  gpu.func @kernel() kernel threads(-1, 1, 1) {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func': expected three block sizes of 1 or more, of at most 1024 threads together, got [32, 2]}}
  gpu.func @kernel() kernel threads(32, 2) {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func': expected three block sizes of 1 or more, of at most 1024 threads together, got [32, 32, 2]}}
  gpu.func @kernel() kernel threads(32, 32, 2) {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func': expected three cluster sizes of 1 or more, of at most 8 blocks together, got [4, 4, 1]}}
  gpu.func @kernel() kernel threads(32, 1, 1) clusters(4, 4, 1) {
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func': expected three cluster sizes of 1 or more, of at most 8 blocks together, got [2]}}
  gpu.func @kernel() kernel clusters(2) {
    gpu.return
  }
}
