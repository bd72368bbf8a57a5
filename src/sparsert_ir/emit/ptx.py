"""LLVM IR text becomes PTX, by LLVM's NVPTX backend inside llvmlite; no CUDA is needed."""

import functools
import re
from typing import Any

from sparsert_ir.errors import ArgumentError, CodegenError

ARCHITECTURES = ("sm_70", "sm_72", "sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100")
"""What kernels can be compiled for; PTX for one runs on that and every later GPU."""
_ONE_GPU_ONLY = ("sm_90a", "sm_100a")
"""PTX for one of these runs on no later GPU."""

_PTX_VERSIONS = {86: "ptx71", 87: "ptx74", 89: "ptx78", 90: "ptx80", 100: "ptx86"}
_CLUSTERS, _SENDING_PTX = 90, "ptx81"
"""The first architecture with clusters, and the version from which their blocks send data."""
_OLDEST_PTX = "ptx70"
"""The oldest version that knows the architecture, so that older drivers take the text, too. LLVM
ends the process at an older one.
Source: PTX ISA, "Release Notes", table of architectures.
"""


def check_architecture(architecture: str) -> str:
    """`architecture` itself; ArgumentError unless it is one that LLVM and we know."""
    if architecture not in (*ARCHITECTURES, *_ONE_GPU_ONLY):
        raise ArgumentError(
            f"target: expected cpu or a GPU's architecture ({', '.join(ARCHITECTURES)}), got"
            f" {architecture!r}"
        )
    return architecture


def llvm_to_ptx(text: str, architecture: str) -> str:
    """PTX of a module for NVPTX.

    opt=0: on straight-line code LLVM's optimiser changes nothing but the time that it takes (see
    docs/performance.md); ptxas schedules and allocates registers.
    Raises ArgumentError for an unknown architecture, CodegenError if LLVM refuses the text.
    """
    # Not at the top: what reads IR is not needed to compile a stored kernel for a CPU.
    from sparsert_ir.emit.llvm_text import NVPTX_TRIPLE

    check_architecture(architecture)
    binding = _binding()
    module = parse_assembly(text)
    number = int(re.findall(r"\d+", architecture)[0])
    newest = max((v for v in _PTX_VERSIONS if v <= number), default=None)
    version = _OLDEST_PTX if newest is None else _PTX_VERSIONS[newest]
    if number == _CLUSTERS and "st.async." in text:
        version = _SENDING_PTX
    machine = binding.Target.from_triple(NVPTX_TRIPLE).create_target_machine(
        cpu=architecture, features=f"+{version}", opt=0
    )
    return machine.emit_assembly(module)


def parse_assembly(text: str) -> Any:
    """The module of llvmlite; CodegenError with LLVM's words if it refuses the text."""
    try:
        module = _binding().parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise CodegenError(f"LLVM refused the generated code: {error}") from error
    return module


@functools.cache
def _binding() -> Any:
    import llvmlite.binding as binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    return binding
