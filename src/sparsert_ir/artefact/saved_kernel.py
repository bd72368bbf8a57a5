"""From a file to a kernel that runs: needs numpy, and cuda-python (or llvmlite for a CPU)."""

import os
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from sparsert_ir.artefact.arrays import from_npy
from sparsert_ir.artefact.container import MANIFEST, sha256, unpack
from sparsert_ir.artefact.manifest import Manifest, read_manifest
from sparsert_ir.artefact.writing import CUBIN, LLVM_IR, PTX, constant_member
from sparsert_ir.errors import ArgumentError, ArtefactError
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.schedule import Schedule

if TYPE_CHECKING:
    from sparsert_ir.cpu.host_kernel import HostKernel
    from sparsert_ir.runtime.launch import GpuKernel

_ELF = b"\x7fELF"


@dataclass(frozen=True, eq=False)
class SavedKernel:
    """`y = kernel(x, residual=None, out=None, stream=None)`, as the kernel that was saved.

    It is assembled, where the file has no code for this GPU, and loaded at its first call, or by
    `load()`.
    """

    manifest: Manifest
    binary: KernelBinary

    def __repr__(self) -> str:
        rows, depth = self.manifest.matrix["shape"]
        return f"SavedKernel(@{self.name}: {rows} x {depth}, N = {self.n}, for {self.target})"

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def target(self) -> str:
        """ "cpu" or the architecture of a GPU."""
        return self.manifest.target

    @property
    def n(self) -> int:
        """Columns of y: pixels of all its images for a convolution."""
        return prod(self.manifest.signature.y_shape) // self.manifest.matrix["shape"][0]

    @property
    def schedule(self) -> Schedule | None:
        """What the kernel was built with."""
        return self.manifest.schedule

    def load(self) -> "SavedKernel":
        """Load it now. Raises NoDeviceError, ArchitectureError or another DeviceError."""
        _ = self._on_gpu if self.binary.is_gpu else self._on_cpu
        return self

    def __call__(
        self, x: object, residual: object = None, out: object = None, stream: object = None
    ) -> Any:
        """Compute y; see `sparsert_ir.Kernel`. Raises CallError for unfit arguments."""
        if self.binary.is_gpu:
            return self._on_gpu(x, residual, out, stream)
        if stream is not None:
            raise ArgumentError(f"kernel @{self.name}: stream: expected None on a CPU")
        return self._on_cpu(x, residual, out)

    @cached_property
    def _on_gpu(self) -> "GpuKernel":
        return self.binary.load_on_gpu()

    @cached_property
    def _on_cpu(self) -> "HostKernel":
        return self.binary.load_on_cpu()


def load_kernel_file(path: str | os.PathLike[str]) -> SavedKernel:
    """Read what `Kernel.save` wrote. Nothing is loaded on a GPU yet; the file may be removed.

    A kernel is a program: load only what you would run. Raises ArtefactError for a file that is
    damaged, malformed, or of another version.
    """
    members = unpack(path)
    try:
        return _saved_kernel(members)
    except ArtefactError as error:
        raise ArtefactError(f"{os.fspath(path)}: {error}") from error


def _saved_kernel(members: dict[str, bytes]) -> SavedKernel:
    manifest = read_manifest(members[MANIFEST])
    _check_members(manifest, members)
    on_gpu = manifest.target != "cpu"
    code = _text(PTX if on_gpu else LLVM_IR, members)
    cubin = members.get(CUBIN, b"")
    if bool(cubin) != bool(manifest.cubin_arch) or (cubin and not cubin.startswith(_ELF)):
        raise ArtefactError(f"{CUBIN}: expected machine code for cubin_arch, or neither")
    binary = KernelBinary(
        name=manifest.name,
        target=manifest.target,
        signature=manifest.signature,
        launch=manifest.launch,
        ptx=code if on_gpu else "",
        llvm_ir="" if on_gpu else code,
        has_loops=manifest.has_loops,
        parts=manifest.parts,
        threads=manifest.threads,
        copy_bytes=manifest.copy_bytes,
        cubin=cubin,
        cubin_arch=manifest.cubin_arch,
        constants=tuple(
            (name, from_npy(name, members[constant_member(name)])) for name in manifest.constants
        ),
    )
    return SavedKernel(manifest, binary)


def _check_members(manifest: Manifest, members: dict[str, bytes]) -> None:
    """Exactly the members that such a kernel has, each as its digest says."""
    code = PTX if manifest.target != "cpu" else LLVM_IR
    needed = {MANIFEST, code, *map(constant_member, manifest.constants)}
    allowed = needed | {CUBIN} if code == PTX else needed
    if not needed <= set(members) <= allowed:
        expected = ", ".join(sorted(needed))
        raise ArtefactError(f"expected members {expected}, got {', '.join(sorted(members))[:200]}")
    for name, content in members.items():
        if name != MANIFEST and manifest.digests.get(name) != sha256(content):
            raise ArtefactError(f"{name}: its digest is not the manifest's; the file is damaged")


def _text(name: str, members: dict[str, bytes]) -> str:
    content = members[name]
    if not content.isascii() or b"\0" in content:
        raise ArtefactError(f"{name}: expected ASCII text")
    return content.decode("ascii")
