// RUN: sparsert-opt %s -p 'sparsert-vectorize{columns-per-thread=2}' --split-input-file --verify-diagnostics

// Two kernels share what their module holds.

// expected-error@unknown {{sparsert-vectorize: expected one kernel in @kernels, whose workgroup memory gets wider with its lanes, got 2}}
builtin.module attributes {gpu.container_module} {
  gpu.module @kernels {
    "memref.global"() <{sym_name = "sums", sym_visibility = "private", type = memref<4xf32, 3 : i64>, initial_value}> : () -> ()
    gpu.func @one(%y: memref<1x8xf32>) kernel threads(4, 1, 1) {
      %sums = memref.get_global @sums : memref<4xf32, 3 : i64>
      gpu.return
    }
    gpu.func @two(%y: memref<1x8xf32>) kernel threads(4, 1, 1) {
      %sums = memref.get_global @sums : memref<4xf32, 3 : i64>
      gpu.return
    }
  }
}

// -----

// expected-error@unknown {{sparsert-vectorize: expected one launch in a function, whose columns get fewer lanes, got 2}}
builtin.module attributes {gpu.container_module} {
  func.func @f(%y: memref<1x8xf32>) {
    %tiles = sparsert.column_tiles 8 by 4 x 1
    %one = arith.constant 1 : index
    %threads = arith.constant 4 : index
    gpu.launch_func @kernels::@kernel blocks in(%tiles, %one, %one) threads in(%threads, %one, %one) args(%y : memref<1x8xf32>)
    gpu.launch_func @kernels::@kernel blocks in(%tiles, %one, %one) threads in(%threads, %one, %one) args(%y : memref<1x8xf32>)
    func.return
  }
  gpu.module @kernels {
    gpu.func @kernel(%y: memref<1x8xf32>) kernel threads(4, 1, 1) {
      gpu.return
    }
  }
}
