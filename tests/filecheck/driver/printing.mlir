// RUN: sparsert-opt %s -p sparsert-partition,sparsert-split-k,dce --print-ir-after-all 2>&1 >/dev/null | filecheck %s --check-prefix=AFTER-ALL
// RUN: sparsert-opt %s -p sparsert-partition,dce --print-ir-after=dce 2>&1 >/dev/null | filecheck %s --check-prefix=AFTER
// RUN: sparsert-opt %s -p sparsert-partition,sparsert-map-to-gpu --print-ir-before-all 2>&1 >/dev/null | filecheck %s --check-prefix=BEFORE-ALL
// RUN: sparsert-opt %s -p sparsert-fuse-epilogue,sparsert-partition,dce --print-ir-after-change 2>&1 >/dev/null | filecheck %s --check-prefix=CHANGE
// RUN: sparsert-opt %s -p sparsert-partition --print-ir-after-all --print-op-generic 2>&1 | filecheck %s --check-prefix=GENERIC
// RUN: sparsert-opt %s -p sparsert-partition --timing 2>&1 >/dev/null | filecheck %s --check-prefix=TIMING

// AFTER-ALL: IR after sparsert-partition
// AFTER-ALL: sparsert.tiled_spmm
// AFTER-ALL: IR after sparsert-split-k
// AFTER-ALL: sparsert.tiled_spmm
// AFTER-ALL: IR after dce

// AFTER-NOT: IR after sparsert-partition
// AFTER: IR after dce

// BEFORE-ALL: IR before sparsert-partition
// BEFORE-ALL: sparsert.spmm
// BEFORE-ALL: IR before sparsert-map-to-gpu
// BEFORE-ALL: sparsert.tiled_spmm
// BEFORE-ALL-NOT: gpu.launch_func

// CHANGE-NOT: IR after sparsert-fuse-epilogue
// CHANGE: IR after sparsert-partition
// CHANGE-NOT: IR after dce

// GENERIC: IR after sparsert-partition
// GENERIC: "sparsert.tiled_spmm"(
// GENERIC: "sparsert.tiled_spmm"(

// TIMING: s {{.*}}% parse
// TIMING: s {{.*}}% verify
// TIMING: s {{.*}}% sparsert-partition
// TIMING: s {{.*}}% print mlir
// TIMING: s {{ *}}100.0% total

func.func @product(%x: tensor<4x8xf32>) -> tensor<2x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32> column_indices dense<[1, 0, 3]> : tensor<3xi32> values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x4xf32, #sparsert.csr>
  %y = sparsert.spmm %w, %x schedule <rows_per_panel = 2> : tensor<2x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}
