"""Kernels one after another on a stream that overlap: when one waits, when it lets the next start.

CUDA C++ Programming Guide, "Programmatic Dependent Launch and Synchronization".
"""

from sparsert_ir.building import Code
from sparsert_ir.dialects import nvvm
from sparsert_ir.schedule import Schedule


def await_kernel_before(code: Code, schedule: Schedule) -> None:
    """What follows may touch x, the residual and y."""
    if schedule.launch == "overlapped":
        code.do(nvvm.GridWaitOp())


def launch_dependents(code: Code, schedule: Schedule) -> None:
    """Where sums are split, not before they are shared: blocks of the next kernel would take the
    places of this one's.
    """
    if schedule.launch == "overlapped":
        code.do(nvvm.GridLaunchDependentsOp())
