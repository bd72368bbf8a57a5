// RUN: sparsert-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{schedule: no knob 'speed'; the knobs are lowering, rows_per_panel,}}
"func.func"() {s = #sparsert.schedule<speed = 4>} : () -> ()

// -----

// expected-error@+1 {{schedule: threads is given twice}}
"func.func"() {s = #sparsert.schedule<threads = 4, threads = 8>} : () -> ()

// -----

// expected-error@+1 {{schedule: threads must be a whole number of 1 or more, got 0}}
"func.func"() {s = #sparsert.schedule<threads = 0>} : () -> ()

// -----

// expected-error@+1 {{schedule: fold_length must be at most 2147483647, got 9223372036854775808}}
"func.func"() {s = #sparsert.schedule<accumulation = folded, fold_length = 9223372036854775808>} : () -> ()

// -----

// expected-error@+1 {{schedule: threads must be a whole number of 1 or more, got 'many'}}
"func.func"() {s = #sparsert.schedule<threads = many>} : () -> ()

// -----

// expected-error@+1 {{schedule: lowering must be one of code, data, got 'magic'}}
"func.func"() {s = #sparsert.schedule<lowering = magic>} : () -> ()

// -----

// expected-error@+1 {{schedule: stores must be one of cached, streaming, got 3}}
"func.func"() {s = #sparsert.schedule<stores = 3>} : () -> ()

// -----

// expected-error@+1 {{Expected '='}}
"func.func"() {s = #sparsert.schedule<threads>} : () -> ()

// -----

// expected-error@+1 {{relu}}
"func.func"() {s = #sparsert<activation tanh>} : () -> ()

// -----

// expected-error@+1 {{stream_layout: expected numbers of 1 or more}}
"func.func"() {s = #sparsert.stream_layout<panel_rows = [2], panels = [3], column_groups = 1, chunk = 0, slice_columns = 4, slices = 1, row_bytes = 4, together = 1>} : () -> ()

// -----

// expected-error@+1 {{Expected 'chunk'}}
"func.func"() {s = #sparsert.stream_layout<panel_rows = [2], panels = [3], column_groups = 1, slice_columns = 4, slices = 1, row_bytes = 4, together = 1>} : () -> ()

// -----

// expected-error@+1 {{Expected integer literal}}
"func.func"() {s = #sparsert.stream_layout<panel_rows = [two], panels = [3], column_groups = 1, chunk = 1, slice_columns = 4, slices = 1, row_bytes = 4, together = 1>} : () -> ()

// -----

// expected-error@+1 {{stream_layout: expected panel_rows * column_groups to divide 32, got 3 * 4}}
"func.func"() {s = #sparsert.stream_layout<panel_rows = [3], panels = [3], column_groups = 4, chunk = 1, slice_columns = 4, slices = 1, row_bytes = 4, together = 1>} : () -> ()

// -----

// expected-error@+1 {{stream_layout: expected as many panel_rows as panels}}
"func.func"() {s = #sparsert.stream_layout<panel_rows = [2, 4], panels = [3], column_groups = 1, chunk = 1, slice_columns = 4, slices = 1, row_bytes = 4, together = 1>} : () -> ()

// -----

// expected-error@+1 {{stream_layout: expected numbers of 1 or more}}
"func.func"() {s = #sparsert.stream_layout<panel_rows = [], panels = [], column_groups = 1, chunk = 1, slice_columns = 4, slices = 1, row_bytes = 4, together = 1>} : () -> ()

// -----

// expected-error@+1 {{chunks of 4 or 8}}
"func.func"() {s = #sparsert.stream_layout<panel_rows = [2], panels = [3], column_groups = 1, chunk = 12, slice_columns = 4, slices = 1, row_bytes = 16, together = 16>} : () -> ()

// -----

// expected-error@+1 {{stream_layout: expected slice_columns of at most 65535}}
"func.func"() {s = #sparsert.stream_layout<panel_rows = [2], panels = [3], column_groups = 1, chunk = 4, slice_columns = 65536, slices = 1, row_bytes = 4, together = 1>} : () -> ()
