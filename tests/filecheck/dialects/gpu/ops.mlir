// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @launch
// CHECK-SAME: (%[[X:.*]]: memref<4xf32>, %[[N:.*]]: index)
func.func @launch(%x: memref<4xf32>, %n: index) {
  // CHECK: gpu.launch_func @kernels::@kernel blocks in(%[[N]], %[[N]], %[[N]]) threads in(%[[N]], %[[N]], %[[N]]) args(%[[X]] : memref<4xf32>)
  gpu.launch_func @kernels::@kernel blocks in(%n, %n, %n) threads in(%n, %n, %n) args(%x : memref<4xf32>)
  func.return
}

// CHECK-LABEL: gpu.module @kernels {
gpu.module @kernels {
  // CHECK: gpu.func @kernel(%[[X:.*]]: memref<4xf32>) kernel threads(32, 2, 1) attributes {sparsert.schedule = #sparsert.schedule<>} {
  gpu.func @kernel(%x: memref<4xf32>) kernel threads(32, 2, 1) attributes {sparsert.schedule = #sparsert.schedule<>} {
    // CHECK: gpu.block_id y
    // CHECK: gpu.thread_id x
    // CHECK: gpu.barrier
    %0 = gpu.block_id y
    %1 = gpu.thread_id x
    gpu.barrier
    %2 = memref.load %x[%1] : memref<4xf32>
    // CHECK: gpu.shuffle xor %{{.*}}, 16 : f32
    %3 = gpu.shuffle xor %2, 16 : f32
    // CHECK: gpu.return
    gpu.return
  }
  // CHECK: gpu.func @pairs() kernel threads(32, 2, 1) clusters(1, 1, 2) {
  gpu.func @pairs() kernel threads(32, 2, 1) clusters(1, 1, 2) {
    gpu.return
  }
  // CHECK: gpu.func @device() {
  gpu.func @device() {
    gpu.return
  }
}
