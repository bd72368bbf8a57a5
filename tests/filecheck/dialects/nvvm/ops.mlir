// RUN: ROUNDTRIP
// RUN: GENERIC_ROUNDTRIP

// CHECK-LABEL: func.func @registers
func.func @registers() {
  // CHECK: nvvm.read.ptx.sreg.tid.x : i32
  // CHECK: nvvm.read.ptx.sreg.tid.y : i32
  // CHECK: nvvm.read.ptx.sreg.tid.z : i32
  // CHECK: nvvm.read.ptx.sreg.ctaid.x : i32
  // CHECK: nvvm.read.ptx.sreg.ctaid.y : i32
  // CHECK: nvvm.read.ptx.sreg.ctaid.z : i32
  // CHECK: nvvm.barrier0
  %0 = nvvm.read.ptx.sreg.tid.x : i32
  %1 = nvvm.read.ptx.sreg.tid.y : i32
  %2 = nvvm.read.ptx.sreg.tid.z : i32
  %3 = nvvm.read.ptx.sreg.ctaid.x : i32
  %4 = nvvm.read.ptx.sreg.ctaid.y : i32
  %5 = nvvm.read.ptx.sreg.ctaid.z : i32
  nvvm.barrier0
  func.return
}

// CHECK-LABEL: func.func @shuffles
// CHECK-SAME: (%[[V:.*]]: f32)
func.func @shuffles(%v: f32) {
  // CHECK: nvvm.shfl.sync.bfly %[[V]], 16 : f32
  // CHECK: nvvm.shfl.sync.down %[[V]], 1 : f32
  // CHECK: nvvm.shfl.sync.up %[[V]], 2 : f32
  // CHECK: nvvm.shfl.sync.idx %[[V]], 0 : f32
  %0 = nvvm.shfl.sync.bfly %v, 16 : f32
  %1 = nvvm.shfl.sync.down %v, 1 : f32
  %2 = nvvm.shfl.sync.up %v, 2 : f32
  %3 = nvvm.shfl.sync.idx %v, 0 : f32
  func.return
}

// CHECK-LABEL: func.func @clusters
// CHECK-SAME: (%[[P:.*]]: !llvm.ptr<3>, %[[N:.*]]: i32, %[[V:.*]]: vector<2xf32>)
func.func @clusters(%p: !llvm.ptr<3>, %n: i32, %v: vector<2xf32>) {
  // CHECK: nvvm.mbarrier.init %[[P]], %[[N]] : !llvm.ptr<3>
  // CHECK: nvvm.fence.mbarrier.init
  // CHECK: nvvm.mbarrier.arrive.expect_tx %[[P]], %[[N]] : !llvm.ptr<3>
  // CHECK: nvvm.cluster.arrive.relaxed
  // CHECK: nvvm.cluster.wait
  // CHECK: %[[Q:.*]] = nvvm.mapa %[[P]], %[[N]] : !llvm.ptr<3> -> !llvm.ptr<7>
  // CHECK: nvvm.st.async %[[V]], %[[Q]], %[[Q]] : vector<2xf32>, !llvm.ptr<7>
  // CHECK: nvvm.mbarrier.try_wait.parity %[[P]], %[[N]] : !llvm.ptr<3>
  nvvm.mbarrier.init %p, %n : !llvm.ptr<3>
  nvvm.fence.mbarrier.init
  nvvm.mbarrier.arrive.expect_tx %p, %n : !llvm.ptr<3>
  nvvm.cluster.arrive.relaxed
  nvvm.cluster.wait
  %q = nvvm.mapa %p, %n : !llvm.ptr<3> -> !llvm.ptr<7>
  nvvm.st.async %v, %q, %q : vector<2xf32>, !llvm.ptr<7>
  nvvm.mbarrier.try_wait.parity %p, %n : !llvm.ptr<3>
  func.return
}

// CHECK-LABEL: func.func @copies
// CHECK-SAME: (%[[S:.*]]: !llvm.ptr<3>, %[[X:.*]]: !llvm.ptr<1>, %[[N:.*]]: i32)
func.func @copies(%s: !llvm.ptr<3>, %x: !llvm.ptr<1>, %n: i32) {
  // CHECK: nvvm.cp.async.shared.global %[[S]], %[[X]], 16 : !llvm.ptr<3>, !llvm.ptr<1>
  // CHECK: nvvm.cp.async.commit.group
  // CHECK: nvvm.cp.async.wait.group 2
  nvvm.cp.async.shared.global %s, %x, 16 : !llvm.ptr<3>, !llvm.ptr<1>
  nvvm.cp.async.commit.group
  nvvm.cp.async.wait.group 2
  // CHECK: nvvm.cp.async.bulk.shared.cluster.global %[[S]], %[[X]], %[[S]], %[[N]] : !llvm.ptr<3>, !llvm.ptr<1>
  nvvm.cp.async.bulk.shared.cluster.global %s, %x, %s, %n : !llvm.ptr<3>, !llvm.ptr<1>
  func.return
}

// CHECK-LABEL: func.func @overlapping_launches
func.func @overlapping_launches() {
  // CHECK: nvvm.griddepcontrol.wait
  // CHECK: nvvm.griddepcontrol.launch_dependents
  nvvm.griddepcontrol.wait
  nvvm.griddepcontrol.launch_dependents
  func.return
}

// CHECK-LABEL: func.func @matrices
// CHECK-SAME: (%[[P:.*]]: !llvm.ptr<3>, %[[B:.*]]: vector<4xbf16>, %[[C:.*]]: vector<4xf32>)
func.func @matrices(%p: !llvm.ptr<3>, %b: vector<4xbf16>, %c: vector<4xf32>) {
  // CHECK: %[[A:.*]] = nvvm.ldmatrix %[[P]] : !llvm.ptr<3> -> vector<8xbf16>
  // CHECK: nvvm.mma.sync %[[A]], %[[B]], %[[C]] : vector<8xbf16>, vector<4xbf16>
  %a = nvvm.ldmatrix %p : !llvm.ptr<3> -> vector<8xbf16>
  %d = nvvm.mma.sync %a, %b, %c : vector<8xbf16>, vector<4xbf16>
  func.return
}
