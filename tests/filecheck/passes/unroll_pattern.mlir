// RUN: sparsert-opt %s -p sparsert-map-to-gpu,sparsert-unroll-pattern | filecheck %s

// The case of a panel holds its nonzeros in ascending order of columns, and its rows.

// CHECK-LABEL: gpu.func @one_group
// CHECK-SAME: (%[[X:.*]]: memref<4x8xf32>, %[[R:.*]]: memref<3x8xf32>, %[[Y:.*]]: memref<3x8xf32>)
// CHECK-NOT: {{panel_product|write_panel|sparsert.constant}}
// CHECK: %[[PANEL:.*]] = gpu.block_id y
// CHECK: scf.index_switch %[[PANEL]]
// CHECK: case 0
// CHECK-NEXT: %[[S0:.*]], %[[S1:.*]] = sparsert.accumulate %[[X]][%[[COLUMN:.*]]] columns dense<[0, 2]> : tensor<2xi32> rows dense<0> : tensor<2xi32> values dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32> : memref<4x8xf32> -> f32, f32
// CHECK-NEXT: sparsert.write_rows %[[S0]], %[[S1]] to %[[Y]][%[[COLUMN]]] rows dense<[0, -1]> : tensor<2xi32> bias dense<[5.000000e+00, 0.000000e+00]> : tensor<2xf32> activation relu residual %[[R]]
// CHECK: default
// CHECK-NEXT: sparsert.accumulate {{.*}} columns dense<[1, 3]> : tensor<2xi32> rows dense<[0, 1]> : tensor<2xi32> values dense<[3.000000e+00, 4.000000e+00]>
// CHECK-NEXT: sparsert.write_rows {{.*}} rows dense<[1, 2]> : tensor<2xi32> bias dense<[6.000000e+00, 7.000000e+00]>
// CHECK-NOT: {{panel_product|write_panel|sparsert.constant}}
// CHECK: gpu.return
func.func @one_group(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 4], [0, 4]]> : tensor<2x2xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// One case for each panel and K group; the sums leave the switch.

// CHECK-LABEL: gpu.func @two_groups
// CHECK: %[[PANEL:.*]] = gpu.block_id y
// CHECK: %[[GROUP:.*]] = gpu.thread_id y
// CHECK: %[[FIRST:.*]] = arith.muli %[[PANEL]]
// CHECK: %[[CASE:.*]] = arith.addi %[[FIRST]], %[[GROUP]]
// CHECK: %[[T0:.*]], %[[T1:.*]] = scf.index_switch %[[CASE]] -> f32, f32
// CHECK: case 0
// CHECK: columns dense<0> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<1.000000e+00>
// CHECK: case 1
// CHECK: columns dense<2> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<2.000000e+00>
// CHECK: case 2
// CHECK: columns dense<1> : tensor<1xi32> rows dense<0> : tensor<1xi32> values dense<3.000000e+00>
// CHECK: default
// CHECK: columns dense<3> : tensor<1xi32> rows dense<1> : tensor<1xi32> values dense<4.000000e+00>
// CHECK: sparsert.store_columns %[[T0]]
// CHECK: sparsert.store_columns %[[T1]]
func.func @two_groups(%x: tensor<4x8xf32>, %r: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x bias dense<[5.0, 6.0, 7.0]> : tensor<3xf32> activation relu residual %r : tensor<3x8xf32> schedule <rows_per_panel = 2, k_groups = 2, threads = 4> panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}

// No switch where there is one case; no multiply-add where there is no nonzero.

// CHECK-LABEL: gpu.func @no_nonzeros
// CHECK-NOT: scf.index_switch
// CHECK: sparsert.accumulate {{.*}} columns dense<> : tensor<0xi32> rows dense<> : tensor<0xi32> values dense<> : tensor<0xf32> : memref<4x8xf32> -> f32
// CHECK-NEXT: sparsert.write_rows {{.*}} rows dense<0> : tensor<1xi32> :
func.func @no_nonzeros(%x: tensor<4x8xf32>) -> tensor<1x8xf32> {
  %w = sparsert.constant row_offsets dense<0> : tensor<2xi32> column_indices dense<> : tensor<0xi32> values dense<> : tensor<0xf32> : tensor<1x4xf32, #sparsert.csr>
  %0 = sparsert.tiled_spmm %w, %x schedule <> panels dense<0> : tensor<1x1xi32> splits dense<[[0, 4]]> : tensor<1x2xi32> : tensor<1x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<1x8xf32>
  func.return %0 : tensor<1x8xf32>
}

// Sums that go to the rows of another panel are written by a switch over that panel.

// CHECK-LABEL: func.func @another_panel
// CHECK-SAME: (%{{.*}}: memref<2x8xf32>, %{{.*}}: memref<2x8xf32>, %[[P:.*]]: index, %[[Q:.*]]: index)
// CHECK: %[[S:.*]] = scf.index_switch %[[P]] -> f32
// CHECK: scf.index_switch %[[Q]]
// CHECK: case 0
// CHECK-NEXT: sparsert.write_rows %[[S]] to %{{.*}} rows dense<0>
// CHECK: default
// CHECK-NEXT: sparsert.write_rows %[[S]] to %{{.*}} rows dense<1>
func.func @another_panel(%x: memref<2x8xf32>, %y: memref<2x8xf32>, %p: index, %q: index) {
  %w = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 1]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x2xf32, #sparsert.csr>
  %zero = arith.constant 0 : index
  %0 = sparsert.panel_product %w, %x[%zero] panel %p group %zero panels dense<[[0], [1]]> : tensor<2x1xi32> splits dense<[[0, 2], [0, 2]]> : tensor<2x2xi32> : tensor<2x2xf32, #sparsert.csr>, memref<2x8xf32> -> f32
  sparsert.write_panel %0 to %y[%zero] panel %q panels dense<[[0], [1]]> : tensor<2x1xi32> : f32 -> memref<2x8xf32>
  func.return
}
