// RUN: not sparsert-opt %s -p sparsert-gpu-pipeline -t 'ptx{arch=sm_80}' 2>&1 | filecheck %s

// CHECK: error: PTX: nvvm.griddepcontrol.wait needs sm_90 or later, got sm_80
func.func @overlapped(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 2, 3, 4]> : tensor<4xi32> column_indices dense<[0, 2, 1, 3]> : tensor<4xi32> values dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<3x4xf32, #sparsert.csr>
  %0 = sparsert.spmm %w, %x schedule <launch = overlapped> : tensor<3x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
