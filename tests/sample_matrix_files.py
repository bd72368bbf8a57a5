"""The same small matrix in every file format, and files changed by hand."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.matrix import SparseMatrix

scipy_io: Any = import_module("scipy.io")
sparse: Any = import_module("scipy.sparse")

SPARSE_FORMATS = ("csr", "csc", "bsr", "coo", "dia")
SEED = 5
"""Of values that a .smtx lacks."""


def sample_dense() -> Array:
    """12 x 18 with 30 nonzeros, an empty row and an empty column; exact in float16."""
    generator = np.random.default_rng(7)
    dense = np.zeros((12, 18), np.float32)
    places = generator.choice(10 * 17, 30, replace=False)
    dense[places // 17, places % 17] = generator.integers(1, 100, 30) / 8
    return dense


def npy_bytes(array: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npz_bytes(arrays: Mapping[str, Array], *, compressed: bool = True) -> bytes:
    stream = io.BytesIO()
    save = cast(Any, np.savez_compressed if compressed else np.savez)
    save(stream, **arrays)
    return stream.getvalue()


def zip_bytes(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of members that need not be arrays."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def scipy_bytes(dense: Array, kind: str) -> bytes:
    stream = io.BytesIO()
    sparse.save_npz(stream, sparse.coo_array(dense).asformat(kind))
    return stream.getvalue()


def mtx_bytes(matrix: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    scipy_io.mmwrite(stream, matrix, **options)
    return stream.getvalue()


def smtx_bytes(dense: Array) -> bytes:
    csr = sparse.csr_array(dense)
    lines = [
        f"{csr.shape[0]}, {csr.shape[1]}, {csr.nnz}",
        " ".join(map(str, csr.indptr)),
        " ".join(map(str, csr.indices)),
    ]
    return ("\n".join(lines) + "\n").encode()


def safetensors_bytes(header: Mapping[str, Any] | bytes, data: bytes) -> bytes:
    """A .safetensors written by hand, so that the header may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensor_of(array: Array, name: str = "weight", dtype: str = "F32") -> bytes:
    data = array.tobytes()
    tensor = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [0, len(data)]}
    return safetensors_bytes({name: tensor}, data)


def written(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def samples() -> dict[str, tuple[str, bytes]]:
    """What it is -> name and content of a file that holds `sample_dense`."""
    dense = sample_dense()
    coordinates = mtx_bytes(sparse.coo_array(dense))
    return {
        "npy": ("w.npy", npy_bytes(dense)),
        "npy, columns first": ("w.npy", npy_bytes(np.asfortranarray(dense))),
        "npy, big-endian": ("w.npy", npy_bytes(dense.astype(">f8"))),
        "npz": ("w.npz", npz_bytes({"weight": dense}, compressed=False)),
        "npz, compressed": ("w.npz", npz_bytes({"other": np.ones(3), "w": dense})),
        **{f"npz, scipy {kind}": ("w.npz", scipy_bytes(dense, kind)) for kind in SPARSE_FORMATS},
        "mtx, array": ("w.mtx", mtx_bytes(dense)),
        "mtx, coordinates": ("w.mtx", coordinates),
        "mtx.gz": ("w.mtx.gz", gzip.compress(coordinates, mtime=0)),
        "smtx": ("w.smtx", smtx_bytes(dense)),
        "safetensors": ("w.safetensors", safetensor_of(dense)),
    }


def rewrapped(what: str) -> Callable[[bytes], bytes]:
    """How changed content is put back, so that a checksum does not give the change away."""
    if what.startswith("npz"):
        return lambda content: zip_bytes({"weight.npy": content})
    if what == "mtx.gz":
        return gzip.compress
    return lambda content: content


def check_invariants(matrix: SparseMatrix) -> None:
    """What every SparseMatrix promises."""
    rows, columns = matrix.shape
    assert matrix.row_offsets.shape == (rows + 1,)
    assert matrix.row_offsets[0] == 0
    assert matrix.row_offsets[-1] == matrix.values.size == matrix.column_indices.size
    assert (np.diff(matrix.row_offsets) >= 0).all()
    places = matrix.row_indices.astype(np.int64) * columns + matrix.column_indices
    assert (np.diff(places) > 0).all()
    assert ((matrix.column_indices >= 0) & (matrix.column_indices < columns)).all()
    assert np.isfinite(matrix.values).all()
    assert (matrix.values != 0).all()
