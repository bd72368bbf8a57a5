// RUN: sparsert-opt %s -p 'sparsert-schedule' | filecheck %s --check-prefixes=ALL,GPU
// RUN: sparsert-opt %s -p 'sparsert-schedule{target=cpu}' | filecheck %s --check-prefixes=ALL,CPU
// RUN: sparsert-opt %s -p 'sparsert-schedule{rows-per-panel=2 k-groups=3 cluster=2 threads=32 columns-per-thread=4 stores=streaming}' | filecheck %s --check-prefixes=ALL,GIVEN
// RUN: sparsert-opt %s -p 'sparsert-schedule{lowering=data}' | filecheck %s --check-prefixes=ALL,DATA
// RUN: not sparsert-opt %s -p 'sparsert-schedule{target=tpu}' 2>&1 | filecheck %s --check-prefix=TARGET
// RUN: not sparsert-opt %s -p 'sparsert-schedule{stores=never}' 2>&1 | filecheck %s --check-prefix=KNOB

// TARGET: error: sparsert-schedule: expected target gpu or cpu, got 'tpu'
// KNOB: error: sparsert-schedule: schedule: stores must be one of cached, streaming, got 'never'

// ALL-LABEL: func.func @no_schedule
// GPU: sparsert.spmm {{.*}} schedule <{{.+}}> :
// CPU: sparsert.spmm {{.*}} schedule <lowering = data, rows_per_panel = 1, columns_per_thread = 8, threads = 1> :
// DATA: sparsert.spmm {{.*}} schedule <lowering = data, columns_per_thread = 4, threads = 32, column_groups = 2> :
// GIVEN: sparsert.spmm {{.*}} schedule <rows_per_panel = 2, k_groups = 3, cluster = 2, columns_per_thread = 4, threads = 32, stores = streaming> :
func.func @no_schedule(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x8xf32>) -> tensor<2x8xf32> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf32, #sparsert.csr>, tensor<3x8xf32> -> tensor<2x8xf32>
  func.return %0 : tensor<2x8xf32>
}

// ALL-LABEL: func.func @has_a_schedule
// ALL: sparsert.spmm {{.*}} schedule <rows_per_panel = 5> :
func.func @has_a_schedule(%w: tensor<2x3xf32, #sparsert.csr>, %x: tensor<3x8xf32>) -> tensor<2x8xf32> {
  %0 = sparsert.spmm %w, %x schedule <rows_per_panel = 5> : tensor<2x3xf32, #sparsert.csr>, tensor<3x8xf32> -> tensor<2x8xf32>
  func.return %0 : tensor<2x8xf32>
}

// ALL-LABEL: func.func @double
// ALL: sparsert.spmm {{.*}} schedule <{{.+}}> :
func.func @double(%w: tensor<2x3xf64, #sparsert.csr>, %x: tensor<3x8xf64>) -> tensor<2x8xf64> {
  %0 = sparsert.spmm %w, %x : tensor<2x3xf64, #sparsert.csr>, tensor<3x8xf64> -> tensor<2x8xf64>
  func.return %0 : tensor<2x8xf64>
}
