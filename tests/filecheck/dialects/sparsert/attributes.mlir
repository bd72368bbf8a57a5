// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @attributes
// CHECK-SAME: attributes {csr = #sparsert.csr, defaults = #sparsert.schedule<>, every_knob = #sparsert.schedule<lowering = data, rows_per_panel = 4, permutation = clustered, k_groups = 2, cluster = 4, columns_per_thread = 8, threads = 32, column_tiles = 3, panels_per_block = 5, block_order = panels, stores = streaming, accumulation = folded, fold_length = 7, chunk = 8, stages = 2, rows_per_stage = 16, column_groups = 4, panels_per_warp = 6, launch = overlapped>, layout = #sparsert.stream_layout<panel_rows = [1, 2], panels = [3, 9], column_groups = 4, chunk = 8, slice_columns = 4096, slices = 3, row_bytes = 64, together = 1>, relu = #sparsert<activation relu>}
func.func @attributes() attributes {csr = #sparsert.csr, defaults = #sparsert.schedule<rows_per_panel = 16>, every_knob = #sparsert.schedule<lowering = data, rows_per_panel = 4, permutation = clustered, k_groups = 2, cluster = 4, columns_per_thread = 8, threads = 32, column_tiles = 3, panels_per_block = 5, block_order = panels, stores = streaming, accumulation = folded, fold_length = 7, chunk = 8, stages = 2, rows_per_stage = 16, column_groups = 4, panels_per_warp = 6, launch = overlapped>, layout = #sparsert.stream_layout<panel_rows = [1, 2], panels = [3, 9], column_groups = 4, chunk = 8, slice_columns = 4096, slices = 3, row_bytes = 64, together = 1>, relu = #sparsert<activation relu>} {
  func.return
}
