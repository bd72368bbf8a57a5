// RUN: sparsert-opt %s --split-input-file --verify-diagnostics -p sparsert-partition

func.func @next_line() {
  // expected-error@+1 {{'gpu.return' expects parent op 'gpu.func'}}
  gpu.return
}

// -----

func.func @same_line() {
  gpu.return // expected-error {{'gpu.return' expects parent op 'gpu.func'}}
}

// -----

func.func @line_before() {
  gpu.return
  // expected-error@-1 {{'gpu.return' expects parent op 'gpu.func'}}
}

// -----

func.func @above() {
  gpu.return
  // expected-error@above {{'gpu.return' expects parent op 'gpu.func'}}
}

// -----

func.func @below() {
  // expected-error@below {{'gpu.return' expects parent op 'gpu.func'}}
  gpu.return
}

// -----

// expected-error@unknown {{sparsert-partition: expected a weight made by sparsert.constant}}
func.func @no_location(%w: tensor<2x4xf32, #sparsert.csr>, %x: tensor<4x8xf32>) -> tensor<2x8xf32> {
  %y = sparsert.spmm %w, %x : tensor<2x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}
