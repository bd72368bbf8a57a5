// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-gpu,sparsert-vectorize,sparsert-unroll-pattern,sparsert-convert-to-llvm | filecheck %s
// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-gpu,sparsert-vectorize,sparsert-unroll-pattern | filecheck %s --check-prefix=THREAD
// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-gpu,sparsert-vectorize,sparsert-unroll-pattern,sparsert-expand,sparsert-convert-to-llvm | filecheck %s --check-prefix=EXPANDED

// Pixel and addresses are computed before the switch; each case has the guards that its taps need:
// the upper left tap row and column, the middle one none, the middle right one its column.

// THREAD-LABEL: gpu.func @guarded
// THREAD: sparsert.accumulate %{{.*}}[%{{.*}}] window <batch = 1, channels = 1, image = [2, 3], kernel = [3, 3], padding = [1, 1, 1, 1]> columns dense<[0, 4]>
// THREAD: sparsert.write_rows %{{.*}} window <batch = 1, channels = 2, image = [2, 3]> rows dense<0>

// CHECK-LABEL: llvm.func @guarded
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[Y:.*]]: !llvm.ptr<1> {llvm.noalias})
// CHECK: %[[ROW:.*]] = llvm.udiv %[[PIXEL:.*]], %{{.*}}
// CHECK: %[[COLUMN:.*]] = llvm.sub %[[PIXEL]]
// CHECK: %[[X_HERE:.*]] = llvm.getelementptr inbounds %[[X]]
// CHECK: %[[Y_HERE:.*]] = llvm.getelementptr inbounds %[[Y]][%[[PIXEL]]]
// CHECK: cf.switch
// CHECK: %[[BELOW_TOP:.*]] = llvm.icmp "uge" %[[ROW]]
// CHECK: %[[RIGHT_OF_EDGE:.*]] = llvm.icmp "uge" %[[COLUMN]]
// CHECK: %[[GUARD:.*]] = llvm.and %[[BELOW_TOP]], %[[RIGHT_OF_EDGE]]
// CHECK-NEXT: sparsert.ptr_accumulate %[[X_HERE]] guards %[[GUARD]] numbers dense<[0, -1]> : tensor<2xi32> invariant f32 offsets dense<[-4, 0]>
// CHECK-NEXT: sparsert.ptr_write_rows %{{.*}} to %[[Y_HERE]] f32 offsets dense<0>
// CHECK: %[[LEFT_OF_EDGE:.*]] = llvm.icmp "ult" %[[COLUMN]]
// CHECK-NEXT: sparsert.ptr_accumulate %[[X_HERE]] guards %[[LEFT_OF_EDGE]] numbers dense<0> : tensor<1xi32> invariant f32 offsets dense<1>
// CHECK-NEXT: sparsert.ptr_write_rows %{{.*}} to %[[Y_HERE]] f32 offsets dense<6>

// Written out, a guarded load reads the first element where its tap lies outside, and uses 0.

// EXPANDED-LABEL: llvm.func @guarded
// EXPANDED: %[[GUARD:.*]] = llvm.and
// EXPANDED: %[[PLACE:.*]] = llvm.getelementptr
// EXPANDED: %[[VALID:.*]] = llvm.select %[[GUARD]], %[[PLACE]]
// EXPANDED: %[[READ:.*]] = llvm.load %[[VALID]]
// EXPANDED: llvm.select %[[GUARD]], %[[READ]]
func.func @guarded(%x: tensor<1x1x2x3xf32>) -> tensor<1x2x2x3xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3]> : tensor<3xi32> column_indices dense<[0, 4, 5]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x9xf32, #sparsert.csr>
  %0 = sparsert.conv2d %w, %x window <batch = 1, channels = 1, image = [2, 3], kernel = [3, 3], padding = [1, 1, 1, 1]> schedule <rows_per_panel = 1, threads = 4> : tensor<2x9xf32, #sparsert.csr>, tensor<1x1x2x3xf32> -> tensor<1x2x2x3xf32>
  func.return %0 : tensor<1x2x2x3xf32>
}

// Pairs of columns that may lie in two images: pointers, guards and stores of their own.

// CHECK-LABEL: llvm.func @pairs
// CHECK: sparsert.ptr_accumulate %[[FIRST:.*]], %[[SECOND:.*]] guards %{{.*}}, %{{.*}} numbers dense<0> : tensor<1xi32> invariant f16 offsets dense<-1> {{.*}} -> vector<2xf16>
// CHECK: sparsert.ptr_write_rows %{{.*}} to %{{.*}}, %{{.*}} f16 offsets dense<0>
func.func @pairs(%x: tensor<2x1x3x1xf16>) -> tensor<2x1x3x1xf16> {
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf16> : tensor<1x2xf16, #sparsert.csr>
  %0 = sparsert.conv2d %w, %x window <batch = 2, channels = 1, image = [3, 1], kernel = [2, 1], padding = [1, 0, 0, 0]> schedule <rows_per_panel = 1, threads = 4, columns_per_thread = 2> : tensor<1x2xf16, #sparsert.csr>, tensor<2x1x3x1xf16> -> tensor<2x1x3x1xf16>
  func.return %0 : tensor<2x1x3x1xf16>
}
