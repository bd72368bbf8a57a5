// RUN: sparsert-opt %s -p sparsert-convert-to-llvm --split-input-file | filecheck %s

// More workgroup memory than a kernel can declare is external: the launch asks for it.

gpu.module @large_kernels {
  // CHECK: llvm.mlir.global external @x_slice() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<12304 x f32>
  "memref.global"() <{sym_name = "x_slice", type = memref<12304x1xf32, 3 : i64>, initial_value, sym_visibility = "private"}> : () -> ()
  gpu.func @large() kernel threads(32, 1, 1) {
    gpu.return
  }
}

// -----

gpu.module @small_kernels {
  // CHECK: llvm.mlir.global internal @x_slice() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<12288 x f32>
  "memref.global"() <{sym_name = "x_slice", type = memref<12288x1xf32, 3 : i64>, initial_value, sym_visibility = "private"}> : () -> ()
  gpu.func @small() kernel threads(32, 1, 1) {
    gpu.return
  }
}

// -----

// A kernel that waits for the one before it: x may be written until then, the constants may not.
// What is only read through a view is only read.

gpu.module @overlapped_kernels {
  // CHECK-LABEL: llvm.func @overlapped
  // CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[TABLE:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}) attributes
  gpu.func @overlapped(%x: memref<4x2xf32>, %y: memref<4x2xf32>, %table: memref<2x4xi16>) kernel threads(32, 1, 1) attributes {sparsert.constants = 1 : i64} {
    %zero = arith.constant 0 : index
    // CHECK: %[[PLACE:.*]] = llvm.getelementptr inbounds %[[TABLE]]
    // CHECK: llvm.load %[[PLACE]] {invariant, alignment = 8 : i64} : !llvm.ptr<1> -> vector<4xi16>
    %indices = sparsert.load_columns %table[%zero, %zero] : memref<2x4xi16>, vector<4xi16>
    // CHECK: nvvm.griddepcontrol.wait
    nvvm.griddepcontrol.wait
    // CHECK: nvvm.griddepcontrol.launch_dependents
    nvvm.griddepcontrol.launch_dependents
    %flat = memref.collapse_shape %x [[0 : i64, 1 : i64]] : memref<4x2xf32> into memref<8xf32>
    // CHECK: %[[FROM:.*]] = llvm.getelementptr inbounds %[[X]]
    // CHECK: llvm.load %[[FROM]] {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
    %four = sparsert.load_columns %flat[%zero] : memref<8xf32>, vector<4xf32>
    %to = memref.collapse_shape %y [[0 : i64, 1 : i64]] : memref<4x2xf32> into memref<8xf32>
    // CHECK: %[[TO:.*]] = llvm.getelementptr inbounds %[[Y]]
    // CHECK: llvm.store {{.*}}, %[[TO]]
    sparsert.store_columns %four, %to[%zero] : memref<8xf32>, vector<4xf32>
    gpu.return
  }
}

// -----

// The same kernel without the wait: nothing but the kernel touches its arrays.

gpu.module @serial_kernels {
  // CHECK-LABEL: llvm.func @serial
  // CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[Y:.*]]: !llvm.ptr<1> {llvm.noalias}) attributes
  gpu.func @serial(%x: memref<4x2xf32>, %y: memref<4x2xf32>) kernel threads(32, 1, 1) {
    %zero = arith.constant 0 : index
    %flat = memref.collapse_shape %x [[0 : i64, 1 : i64]] : memref<4x2xf32> into memref<8xf32>
    // CHECK: llvm.load %{{.*}} {invariant, alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
    %four = sparsert.load_columns %flat[%zero] : memref<8xf32>, vector<4xf32>
    %to = memref.collapse_shape %y [[0 : i64, 1 : i64]] : memref<4x2xf32> into memref<8xf32>
    // CHECK: llvm.store
    sparsert.store_columns %four, %to[%zero] : memref<8xf32>, vector<4xf32>
    gpu.return
  }
}

// -----

// Lanes are taken apart and put together; a position in a slice counts from 0 to 65535.

gpu.module @lanes_kernels {
  // CHECK-LABEL: llvm.func @lanes
  gpu.func @lanes(%indices: memref<2xi16>, %y: memref<2xf32>) kernel threads(32, 1, 1) {
    %zero = arith.constant 0 : index
    %pair = sparsert.load_columns %indices[%zero] : memref<2xi16>, vector<2xi16>
    // CHECK: %[[ONE:.*]] = llvm.mlir.constant(1 : i32) : i32
    // CHECK: %[[SECOND:.*]] = llvm.extractelement %{{.*}}[%[[ONE]] : i32] : vector<2xi16>
    %second = vector.extract %pair[1] : i16 from vector<2xi16>
    // CHECK: llvm.zext %[[SECOND]] : i16 to i32
    %wide = arith.extui %second : i16 to i32
    %place = arith.index_cast %wide : i32 to index
    %old = sparsert.load_columns %y[%zero] : memref<2xf32>, vector<2xf32>
    %number = sparsert.load_columns %y[%place] : memref<2xf32>, f32
    // CHECK: llvm.insertelement
    %new = vector.insert %number, %old [1] : f32 into vector<2xf32>
    sparsert.store_columns %new, %y[%zero] : memref<2xf32>, vector<2xf32>
    gpu.return
  }
}

// -----

// A constant that is added to an index last is added to the pointer; not so one below 0.

gpu.module @constant_kernels {
  // CHECK-LABEL: llvm.func @constants
  // CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[Y:.*]]: !llvm.ptr<1> {llvm.noalias}) attributes
  gpu.func @constants(%x: memref<4x8xf32>, %y: memref<32xf32>) kernel threads(8, 1, 1) {
    %i = gpu.thread_id x
    %two = arith.constant 2 : index
    %minus = arith.constant -1 : index
    %row = arith.addi %i, %two : index
    %column = arith.addi %i, %minus : index
    // CHECK: %[[COLUMN:.*]] = llvm.add %{{.*}}, %minus
    // CHECK: %[[PLACE:.*]] = llvm.add %{{.*}}, %[[COLUMN]]
    // CHECK: %[[START:.*]] = llvm.getelementptr %[[X]][%[[PLACE]]]
    // CHECK: %[[FROM:.*]] = llvm.getelementptr %[[START]][16]
    // CHECK: llvm.load %[[FROM]]
    %one = sparsert.load_columns %x[%row, %column] : memref<4x8xf32>, f32
    // CHECK: %[[START_Y:.*]] = llvm.getelementptr %[[Y]][%{{.*}}]
    // CHECK: %[[TO:.*]] = llvm.getelementptr %[[START_Y]][2]
    // CHECK: llvm.store %{{.*}}, %[[TO]]
    sparsert.store_columns %one, %y[%row] : memref<32xf32>, f32
    gpu.return
  }
}
