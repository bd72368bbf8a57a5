// y = relu(W x + b) with a constant sparse W, in MLIR's standard dialects.
func.func @layer(%x: tensor<4x8xf32>) -> tensor<3x8xf32> {
  %w = arith.constant dense<[[0.0, 1.5, 0.0, 0.0], [2.0, 0.0, 0.0, 3.0], [0.0, 0.0, 0.5, 0.0]]>
    : tensor<3x4xf32>
  %b = arith.constant dense<[5.0, -6.0, 7.0]> : tensor<3xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3x8xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x8xf32>) -> tensor<3x8xf32>
  %y = linalg.matmul ins(%w, %x : tensor<3x4xf32>, tensor<4x8xf32>)
    outs(%zeros : tensor<3x8xf32>) -> tensor<3x8xf32>
  %rows = linalg.broadcast ins(%b : tensor<3xf32>) outs(%empty : tensor<3x8xf32>) dimensions = [1]
  %biased = linalg.add ins(%y, %rows : tensor<3x8xf32>, tensor<3x8xf32>)
    outs(%empty : tensor<3x8xf32>) -> tensor<3x8xf32>
  %active = linalg.max ins(%biased, %zeros : tensor<3x8xf32>, tensor<3x8xf32>)
    outs(%empty : tensor<3x8xf32>) -> tensor<3x8xf32>
  func.return %active : tensor<3x8xf32>
}
