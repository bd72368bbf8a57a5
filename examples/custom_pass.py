"""A pass of your own between two stages of the compiler.

    python examples/custom_pass.py

The pass is defined here, outside the package: it prunes every nonzero below a threshold. It goes
between choosing the schedule and dealing rows to panels, so that panels are balanced for what is
left. The rest of the pipeline then runs as always, to a kernel on this CPU and to PTX.
"""

import sys
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from sparsert_ir.context import make_context
from sparsert_ir.dialects.sparsert import ConstantOp
from sparsert_ir.emit.host import compile_for_host
from sparsert_ir.emit.llvm_text import emit_llvm
from sparsert_ir.emit.ptx import llvm_to_ptx
from sparsert_ir.frontend import Layer, build_module, constant_of
from sparsert_ir.gpu.launch_plan import launch_plan
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.pipeline import pipeline_passes, run_passes

AFTER = "sparsert-schedule"
ROWS, DEPTH, COLUMNS = 64, 48, 40


@dataclass(frozen=True)
class PruneSmall(ModulePass):
    """Drop every nonzero whose absolute value is below `threshold`.

    Requires: weights made by `sparsert.constant`.
    Guarantees: no stored value is below the threshold; shapes stay.
    """

    name = "example-prune-small"

    threshold: float = 0.5

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for constant in [inner for inner in op.walk() if isinstance(inner, ConstantOp)]:
            offsets, indices, values = constant.arrays()
            kept = np.where(np.abs(values) < self.threshold, 0, values)
            csr = sparse.csr_array((kept, indices, offsets), shape=constant.shape)
            Rewriter.replace_op(constant, constant_of(SparseMatrix.of(csr, values.dtype)))


def compile_with_pass(layer: Layer, pipeline: str, extra: ModulePass) -> ModuleOp:
    """The module after the passes of a named pipeline, with `extra` after `AFTER`."""
    context, module = make_context(), build_module(layer)
    passes = pipeline_passes(pipeline)
    cut = [one.name for one in passes].index(AFTER) + 1
    for stage in run_passes(module, [*passes[:cut], extra, *passes[cut:]], context):
        print(f"{stage.name:28}{stage.ops:6} ops {1e3 * stage.seconds:8.2f} ms")
        module.verify()
    return module


def main() -> int:
    random = np.random.default_rng(0)
    weight = random.standard_normal((ROWS, DEPTH)) * (random.random((ROWS, DEPTH)) < 0.3)
    layer = Layer(matrix=SparseMatrix.of(weight), columns=COLUMNS, name="pruned")
    pruned = np.where(np.abs(weight) < PruneSmall.threshold, 0, weight).astype(np.float32)
    print(f"{np.count_nonzero(weight)} nonzeros, {np.count_nonzero(pruned)} after pruning\n")

    text = emit_llvm(compile_with_pass(layer, "sparsert-cpu-code-pipeline", PruneSmall()))
    code = compile_for_host(text, loops=False)
    x = random.standard_normal((DEPTH, COLUMNS)).astype(np.float32)
    y = np.empty((ROWS, COLUMNS), np.float32)
    code.function("pruned", 2)(x.ctypes.data, y.ctypes.data)
    error = float(np.abs(y - pruned.astype(np.float64) @ x.astype(np.float64)).max())
    print(f"\non this CPU: largest error {error:.2g}\n")

    plan = launch_plan(compile_with_pass(layer, "sparsert-gpu-pipeline", PruneSmall()))
    ptx = llvm_to_ptx(emit_llvm(plan.kernels), "sm_90")
    multiply_adds = ptx.count("fma.rn.f32")
    print(f"\nfor sm_90: {multiply_adds} multiply-adds, grid {plan.grid}, block {plan.block}")
    return 0 if error < 1e-4 and multiply_adds == np.count_nonzero(pruned) else 1


if __name__ == "__main__":
    sys.exit(main())
