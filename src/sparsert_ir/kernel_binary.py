"""A compiled kernel without its compiler: what has to be kept, sent or stored to run it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sparsert_ir.element_types import numpy_type
from sparsert_ir.runtime.device import require_gpu

if TYPE_CHECKING:
    import numpy.typing as npt

    from sparsert_ir.cpu.host_kernel import HostKernel
    from sparsert_ir.cpu.work_shares import Part
    from sparsert_ir.emit.host import HostCode
    from sparsert_ir.runtime.launch import GpuKernel, KernelSignature, LaunchShape


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelBinary:
    """One kernel, ready to be assembled and loaded, or already assembled.

    target:     "cpu" or the architecture that `ptx` is for.
    launch:     grid and block; of no meaning on a CPU.
    ptx:        "" on a CPU.
    llvm_ir:    of a CPU's kernel, "" on a GPU.
    has_loops:  whether the host's compiler has loops to improve.
    cubin:      the assembled `ptx` for a GPU of architecture `cubin_arch`; b"" where there is none.
    from_cache: whether the cubin came from the disk cache.
    constants:  arrays, with their names, that every launch passes after y.
    parts:      on a CPU, what threads take one by one; () for a kernel that is one loop.
    threads:    on a CPU, how many share the parts.
    copy_bytes: of a thread's copy of a tile of x; 0: there is none.
    """

    name: str
    target: str
    signature: "KernelSignature"
    launch: "LaunchShape"
    ptx: str = ""
    llvm_ir: str = ""
    has_loops: bool = False
    cubin: bytes = b""
    cubin_arch: str = ""
    from_cache: bool = False
    constants: tuple[tuple[str, "npt.NDArray[Any]"], ...] = ()
    parts: "tuple[Part, ...]" = ()
    threads: int = 1
    copy_bytes: int = 0

    @property
    def is_gpu(self) -> bool:
        return self.target != "cpu"

    def assembled(self, ordinal: int | None = None) -> "KernelBinary":
        """With the cubin for GPU `ordinal`; itself for a CPU. Errors as of `load_kernel`."""
        from sparsert_ir.runtime.program import assemble_cached, require_runnable

        if not self.is_gpu:
            return self
        gpu = require_gpu(ordinal)
        require_runnable(self.target, gpu, self.name)
        cubin, from_cache = assemble_cached(self.ptx, self.name, gpu)
        return replace(self, cubin=cubin, cubin_arch=gpu.arch, from_cache=from_cache)

    def load_on_gpu(self, ordinal: int | None = None) -> "GpuKernel":
        """The kernel on GPU `ordinal`, the first one by default. Errors as of `load_kernel`."""
        from sparsert_ir.runtime.launch import GpuKernel
        from sparsert_ir.runtime.program import load_cubin

        gpu = require_gpu(ordinal)
        ready = self if self.cubin and self.cubin_arch == gpu.arch else self.assembled(ordinal)
        loaded = load_cubin(ready.cubin, self.name, gpu, from_cache=ready.from_cache)
        arrays = [array for _, array in self.constants]
        return GpuKernel(loaded, self.signature, self.launch, arrays)

    def load_on_cpu(self) -> "HostKernel":
        """The kernel in this process; llvmlite compiles it for this processor."""
        from sparsert_ir.emit.host import compile_for_host

        return self.on_host(compile_for_host(self.llvm_ir, loops=self.has_loops))

    def on_host(self, code: "HostCode") -> "HostKernel":
        """The kernel in this process, of which `code` is the machine code."""
        from sparsert_ir.cpu.host_kernel import CallShape, HostKernel

        signature = self.signature
        shape = CallShape(
            name=self.name,
            x_shape=signature.x_shape,
            y_shape=signature.y_shape,
            element=numpy_type(signature.dtype),
            has_residual=signature.has_residual,
            parts=self.parts,
            threads=self.threads,
            copy_bytes=self.copy_bytes,
        )
        return HostKernel(code, shape)
