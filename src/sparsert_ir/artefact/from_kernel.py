"""Storing a kernel that was just compiled."""

import os
from typing import TYPE_CHECKING

from sparsert_ir.artefact.writing import save_binary
from sparsert_ir.runtime.device import find_gpu
from sparsert_ir.tuner.record import matrix_digest
from sparsert_ir.versions import versions

if TYPE_CHECKING:
    from sparsert_ir.kernel import Kernel


def save_kernel(
    kernel: "Kernel", path: str | os.PathLike[str], *, assembled: bool | None = None
) -> None:
    """Write `kernel` to a file that `sparsert_ir.load` runs.

    assembled: whether machine code for the GPU present goes beside the PTX; None: if there is one.
    Raises FileWriteError, and NoDeviceError where assembling was asked for.
    """
    binary = kernel.binary
    if assembled is None:
        assembled = binary.is_gpu and find_gpu() is not None
    if assembled:
        binary = binary.assembled()
    matrix = kernel.compilation.layer.matrix
    facts = {
        "digest": matrix_digest(matrix),
        "shape": list(matrix.shape),
        "nonzeros": matrix.nonzeros,
    }
    save_binary(
        path,
        binary,
        schedule=kernel.schedule,
        matrix=facts,
        versions=versions(driver=assembled and binary.is_gpu),
    )
