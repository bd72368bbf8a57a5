"""Kernels with one fault each, to see that every tool of compute-sanitizer finds its own."""

import contextlib
from dataclasses import dataclass

import numpy as np

from sparsert_ir.errors import DeviceError
from sparsert_ir.runtime.device_array import DeviceArray
from sparsert_ir.runtime.launch import GpuKernel, KernelSignature, LaunchShape
from sparsert_ir.runtime.program import load_kernel

_THREADS = 64
_PTX = """
.version 8.0
.target sm_70
.address_size 64

.visible .entry fault(.param .u64 x_pointer, .param .u64 y_pointer)
{{
    .reg .pred %p;
    .reg .b32 %thread, %place, %base;
    .reg .b64 %x, %y, %offset;
    .reg .f32 %a;
    .shared .align 4 .b8 cells[256];
    ld.param.u64 %x, [x_pointer];
    ld.param.u64 %y, [y_pointer];
    mov.u32 %thread, %tid.x;
    mul.wide.u32 %offset, %thread, 4;
    add.s64 %x, %x, %offset;
    add.s64 %y, %y, %offset;
    ld.global.f32 %a, [%x];
{body}
    ret;
}}
"""


@dataclass(frozen=True)
class Fault:
    """What y = x does wrong, and the words of the tool that finds it.

    initialized: whether x is written before.
    """

    body: str
    words: str
    initialized: bool = True


FAULTS: dict[str, Fault] = {
    "memcheck": Fault("    st.global.f32 [%y + 4], %a;", "Invalid __global__ write"),
    "racecheck": Fault(
        """
    mov.u32 %base, cells;
    mad.lo.s32 %place, %thread, 4, %base;
    st.shared.f32 [%place], %a;
    xor.b32 %thread, %thread, 32;
    mad.lo.s32 %place, %thread, 4, %base;
    ld.shared.f32 %a, [%place];
    st.global.f32 [%y], %a;""",
        "Race reported",
    ),
    "initcheck": Fault(
        "    st.global.f32 [%y], %a;", "Uninitialized __global__ memory read", False
    ),
    "synccheck": Fault(
        """
    setp.lt.u32 %p, %thread, 16;
    @%p bar.sync 0;
    st.global.f32 [%y], %a;""",
        "Barrier error",
    ),
}
"""By the tool."""


def run_fault(tool: str) -> None:
    """Run the faulty kernel; what it does to the GPU is the tool's to report."""
    fault = FAULTS[tool]
    shape = (_THREADS,)
    signature = KernelSignature(x_shape=shape, y_shape=shape, dtype="f32")
    launch = LaunchShape(grid=(1, 1, 1), block=(_THREADS, 1, 1))
    loaded = load_kernel(fault_ptx(tool), "fault", "sm_70")
    kernel = GpuKernel(loaded, signature, launch)
    zeros = np.zeros(shape, np.float32)
    x = DeviceArray.copy_of(zeros) if fault.initialized else DeviceArray.empty(shape, "float32")
    y = DeviceArray.copy_of(zeros)
    with contextlib.suppress(DeviceError):
        kernel(x, out=y)
        y.numpy()


def fault_ptx(tool: str) -> str:
    """PTX of the faulty kernel."""
    return _PTX.format(body=FAULTS[tool].body)
