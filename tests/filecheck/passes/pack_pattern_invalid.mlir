// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-cpu,sparsert-pack-pattern --split-input-file --verify-diagnostics

// expected-error@unknown {{sparsert-pack-pattern: expected one K group}}
func.func private @f_tiles(%x: memref<4x8xf32>, %y: memref<3x8xf32>, %first: index, %last: index, %begin: index, %end: index) attributes {sparsert.kernel} {
  %one = arith.constant 1 : index
  %zero = arith.constant 0 : index
  scf.for %column = %first to %last step %one {
    scf.for %panel = %begin to %end step %one {
      %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
      %0, %1 = sparsert.panel_product %w, %x[%column] panel %panel group %zero panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> splits dense<[[0, 1, 4], [0, 2, 4]]> : tensor<2x3xi32> : tensor<3x4xf32, #sparsert.csr>, memref<4x8xf32> -> f32, f32
      sparsert.write_panel %0, %1 to %y[%column] panel %panel panels dense<[[0, -1], [1, 2]]> : tensor<2x2xi32> : f32, f32 -> memref<3x8xf32>
    }
  }
  func.return
}

// -----

// expected-error@unknown {{each row of a panel has loops of its own, for each power of two in the columns of a tile: expected at most 1024, got 3072; take a smaller rows_per_panel}}
func.func @tall(%x: tensor<40x10xf16>) -> tensor<1x10xf16> {
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<34> : tensor<1xi32> values dense<-2.5> : tensor<1xf16> : tensor<1x40xf16, #sparsert.csr>
  %y = sparsert.spmm %w, %x schedule <lowering = data, rows_per_panel = 1024, columns_per_thread = 3> : tensor<1x40xf16, #sparsert.csr>, tensor<40x10xf16> -> tensor<1x10xf16>
  func.return %y : tensor<1x10xf16>
}

// -----

// expected-error@unknown {{sparsert-pack-pattern: expected all sums written by one write_panel in their order, to the rows of the same panel, or stored in their order, once each; without a window, to other memory than x, and nothing in between that touches memory}}
func.func private @another_panel(%x: memref<2x8xf32>, %y: memref<2x8xf32>, %begin: index, %end: index) attributes {sparsert.kernel} {
  %w = sparsert.constant row_offsets dense<[0, 1, 2]> : tensor<3xi32> column_indices dense<[0, 1]> : tensor<2xi32> values dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2x2xf32, #sparsert.csr>
  %0 = sparsert.panel_product %w, %x[%begin] panel %begin group %begin panels dense<[[0], [1]]> : tensor<2x1xi32> splits dense<[[0, 2], [0, 2]]> : tensor<2x2xi32> : tensor<2x2xf32, #sparsert.csr>, memref<2x8xf32> -> f32
  sparsert.write_panel %0 to %y[%begin] panel %end panels dense<[[0], [1]]> : tensor<2x1xi32> : f32 -> memref<2x8xf32>
  func.return
}

// -----

// expected-error@unknown {{sparsert-pack-pattern: expected sums that start at 0, x without a window, and positions only in a flat x}}
func.func private @window(%x: memref<1x2x2x4xf32>, %y: memref<1x8xf32>, %begin: index) attributes {sparsert.kernel} {
  %w = sparsert.constant row_offsets dense<[0, 1]> : tensor<2xi32> column_indices dense<0> : tensor<1xi32> values dense<1.0> : tensor<1xf32> : tensor<1x2xf32, #sparsert.csr>
  %0 = sparsert.panel_product %w, %x[%begin] window <batch = 1, channels = 2, image = [2, 4]> panel %begin group %begin panels dense<0> : tensor<1x1xi32> splits dense<[[0, 2]]> : tensor<1x2xi32> : tensor<1x2xf32, #sparsert.csr>, memref<1x2x2x4xf32> -> f32
  sparsert.write_panel %0 to %y[%begin] panel %begin panels dense<0> : tensor<1x1xi32> : f32 -> memref<1x8xf32>
  func.return
}
