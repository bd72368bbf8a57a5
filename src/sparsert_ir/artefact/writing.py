"""From a kernel to a file."""

import os
from typing import Any

from sparsert_ir.artefact.arrays import to_npy
from sparsert_ir.artefact.container import MANIFEST, pack, sha256
from sparsert_ir.artefact.manifest import Manifest
from sparsert_ir.files import write_atomically
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.schedule import Schedule

PTX, LLVM_IR, CUBIN = "kernel.ptx", "kernel.ll", "kernel.cubin"


def constant_member(name: str) -> str:
    """Where a constant array is stored."""
    return f"constants/{name}.npy"


def save_binary(
    path: str | os.PathLike[str],
    binary: KernelBinary,
    *,
    schedule: Schedule | None,
    matrix: dict[str, Any],
    versions: dict[str, str],
) -> None:
    """Write a kernel, at once or not at all; the same arguments give the same bytes.

    Raises FileWriteError where the file cannot be written.
    """
    members = _code(binary) | {
        constant_member(name): to_npy(array) for name, array in binary.constants
    }
    manifest = Manifest(
        name=binary.name,
        target=binary.target,
        signature=binary.signature,
        launch=binary.launch,
        has_loops=binary.has_loops,
        cubin_arch=binary.cubin_arch,
        schedule=schedule,
        matrix=matrix,
        versions=versions,
        digests={name: sha256(content) for name, content in members.items()},
        constants=tuple(name for name, _ in binary.constants),
        parts=binary.parts,
        threads=binary.threads,
        copy_bytes=binary.copy_bytes,
    )
    write_atomically(path, pack({MANIFEST: manifest.to_json(), **members}))


def _code(binary: KernelBinary) -> dict[str, bytes]:
    if not binary.is_gpu:
        return {LLVM_IR: binary.llvm_ir.encode()}
    code = {PTX: binary.ptx.encode()}
    return code | {CUBIN: binary.cubin} if binary.cubin else code
