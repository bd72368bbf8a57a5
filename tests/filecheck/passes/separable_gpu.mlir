// RUN: sparsert-opt %s -p sparsert-partition,sparsert-split-k,sparsert-map-to-gpu,sparsert-vectorize | filecheck %s
// RUN: sparsert-opt %s -p sparsert-partition,sparsert-split-k,sparsert-map-to-gpu,sparsert-vectorize,sparsert-unroll-pattern,sparsert-convert-to-llvm | filecheck %s --check-prefix=LLVM
// RUN: not sparsert-opt %s -p sparsert-partition,sparsert-map-data-to-gpu 2>&1 | filecheck %s --check-prefix=DATA

// The depthwise result of the block's columns, all channels, in memory of the block; its two threads
// per column compute a channel each, then a panel each.

// CHECK: sym_name = "between", type = memref<2x8xf32, 3 : i64>
// CHECK-LABEL: gpu.func @block(
// CHECK-SAME: %[[X:.*]]: memref<1x2x3x4xf32>, %[[Y:.*]]: memref<1x3x3x4xf32>)
// CHECK: %[[COLUMN:.*]] = sparsert.first_column %{{.*}} x 2
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %[[COLUMN]]
// CHECK: %[[HERE:.*]] = arith.select %[[INSIDE]], %[[COLUMN]]
// CHECK: %[[BETWEEN:.*]] = memref.get_global @between : memref<2x8xf32, 3 : i64>
// CHECK: %[[OWN:.*]] = sparsert.first_column %{{.*}} x 2
// CHECK: scf.for %[[PANEL:.*]] = %{{.*}} to
// CHECK: %[[SUM:.*]] = sparsert.panel_product %{{.*}}, %[[X]][%[[HERE]]] window {{.*}} panel %[[PANEL]] {{.*}} panels dense<[[0], [1]]> {{.*}} -> vector<2xf32>
// CHECK: sparsert.write_panel %[[SUM]] to %[[BETWEEN]][%[[OWN]]] panel %[[PANEL]] panels dense<[[0], [1]]> : tensor<2x1xi32> bias dense<[6.000000e+00, 7.000000e+00]> : tensor<2xf32> activation relu
// CHECK: gpu.barrier
// CHECK-NEXT: scf.if %[[INSIDE]]
// CHECK: %[[READ:.*]] = memref.get_global @between
// CHECK: %[[PLACE:.*]] = sparsert.first_column %{{.*}} x 2
// CHECK: %[[SUMS:.*]], %{{.*}} = sparsert.panel_product %{{.*}}, %[[READ]][%[[PLACE]]] panel
// CHECK: sparsert.write_panel %[[SUMS]], %{{.*}} to %[[Y]][%[[COLUMN]]] window

// The first filter is code with guards, as that of any convolution; the second reads block memory.

// LLVM: sparsert.ptr_accumulate %{{.*}}, %{{.*}} guards %{{.*}}, %{{.*}} numbers dense<0> {{.*}} offsets dense<-5> {{.*}} : !llvm.ptr<1>, !llvm.ptr<1> -> vector<2xf32>
// LLVM: sparsert.ptr_write_rows %{{.*}} to %{{.*}} f32 offsets dense<0> : tensor<1xi32> bias dense<6.000000e+00> : tensor<1xf32> activation relu : vector<2xf32> -> !llvm.ptr<3>
// LLVM: sparsert.ptr_write_rows %{{.*}} to %{{.*}} f32 offsets dense<8> {{.*}} -> !llvm.ptr<3>
// LLVM: nvvm.barrier0
// LLVM: sparsert.ptr_accumulate %{{.*}} f32 offsets dense<0> : tensor<2xi32> rows dense<[0, 1]> {{.*}} : !llvm.ptr<3> -> vector<2xf32>, vector<2xf32>
// LLVM: sparsert.ptr_accumulate %{{.*}} f32 offsets dense<8> {{.*}} : !llvm.ptr<3> -> vector<2xf32>, vector<2xf32>

// DATA: error: sparsert-map-data-to-gpu: schedule: expected lowering = code for a depthwise and a pointwise convolution in one kernel, got data
func.func @block(%x: tensor<1x2x3x4xf32>) -> tensor<1x3x3x4xf32> {
  %d = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 10]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x18xf32, #sparsert.csr>
  %w = sparsert.constant row_offsets dense<[0, 1, 2, 3]> : tensor<4xi32> column_indices dense<[0, 1, 0]> : tensor<3xi32> values dense<[3.0, 4.0, 5.0]> : tensor<3xf32> : tensor<3x2xf32, #sparsert.csr>
  %0 = sparsert.separable_conv2d %d, %w, %x window <batch = 1, channels = 2, image = [3, 4], kernel = [3, 3], padding = [1, 1, 1, 1]> depthwise_bias dense<[6.0, 7.0]> : tensor<2xf32> depthwise_activation relu schedule <rows_per_panel = 2, panels_per_block = 2, threads = 4, columns_per_thread = 2> : tensor<2x18xf32, #sparsert.csr>, tensor<3x2xf32, #sparsert.csr>, tensor<1x2x3x4xf32> -> tensor<1x3x3x4xf32>
  func.return %0 : tensor<1x3x3x4xf32>
}
