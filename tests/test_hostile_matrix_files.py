"""A matrix file that lies is a MatrixError that says so: no crash, no hang, no large allocation.

Files are untrusted. Every load here is held to a time and to a peak of memory that is a small
multiple of the file's own size, whatever its header says.
"""

import gzip
import os
import pickle
import socket
import stat
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_matrix_files import (
    SEED,
    check_invariants,
    npy_bytes,
    npz_bytes,
    rewrapped,
    safetensor_of,
    safetensors_bytes,
    sample_dense,
    samples,
    written,
    zip_bytes,
)

from sparsert_ir.errors import MatrixError
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.matrix_files import FileLimits, load_matrix

SAMPLES = samples()
EXACT = [what for what in SAMPLES if not what.startswith(("mtx, ", "smtx"))]
"""Formats that notice any missing byte; a text may end in the middle of a number."""
SMALL = FileLimits(expanded_bytes=2**16, rows=2**10)
SECONDS = 5
PEAK_BYTES = 2**22


def load_bounded(path: Path, limits: FileLimits = SMALL) -> SparseMatrix:
    """Load within the time and memory that a file of a few kilobytes may cost."""
    begin = time.perf_counter()
    tracemalloc.start()
    try:
        return load_matrix(path, seed=SEED, limits=limits)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < PEAK_BYTES
        assert time.perf_counter() - begin < SECONDS


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for all examples; the readers' imports are done, which cost memory once."""
    path = tmp_path_factory.mktemp("hostile")
    for name, content in SAMPLES.values():
        load_matrix(written(path, name, content), seed=SEED)
    return path


def refused(directory: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(MatrixError, match=message) as caught:
        load_bounded(written(directory, name, content))
    assert str(caught.value).startswith(f"{directory / name}: ")
    assert "expected" in str(caught.value)


def npy_header(text: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    encoded = text.encode("latin-1")
    return b"\x93NUMPY" + version + struct.pack("<H", len(encoded)) + encoded + data


def described(descr: str = "'<f4'", order: str = "False", shape: str = "(1, 1)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


ONE = struct.pack("<f", 1)

HOSTILE_NPY = {
    "empty": (b"", "header of version"),
    "text": (b"1 2 3\n4 5 6\n", "header of version"),
    "unknown version": (npy_header(described(), ONE, b"\x09\x00"), "header of version"),
    "header longer than the file": (b"\x93NUMPY\x01\x00\xff\xff{}", "header of at most 12 bytes"),
    "huge header": (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 99, "header of at most 111"),
    "huge shape": (npy_header(described(shape="(1000000, 1000000)"), ONE), "bytes for shape"),
    "overflowing shape": (npy_header(described(shape="(4294967296, 4294967296)")), "for shape"),
    "huge and empty": (npy_header(described(shape="(9223372036854775807, 0)")), "expected"),
    "larger than any integer": (npy_header(described(shape=f"({'9' * 5000}, 1)")), "expected"),
    "negative shape": (npy_header(described(shape="(-1, -1)"), ONE), "plain 'descr'"),
    "shape is a number": (npy_header(described(shape="7"), ONE), "plain 'descr'"),
    "shape is a flag": (npy_header(described(shape="True"), ONE), "'shape' to be a tuple"),
    "order is a text": (npy_header(described(order="'C'"), ONE), "'fortran_order' to be True"),
    "rank 0": (npy_header(described(shape="()"), ONE), "rank 2"),
    "rank 100": (npy_header(described(shape="(1," * 1 + "1," * 99 + ")"), ONE), "got rank 100"),
    "expression": (npy_header(described(shape="(2**99,)"), ONE), "plain 'descr'"),
    "deep nesting": (npy_header("(" * 9000), "plain 'descr'"),
    "missing entry": (npy_header("{'descr': '<f4', 'shape': (1, 1)}", ONE), "plain 'descr'"),
    "structured": (npy_header(described(descr="[('a', '<f4')]"), ONE), "plain 'descr'"),
    "unknown type": (npy_header(described(descr="'<q9'"), ONE), "expected"),
    "no type": (npy_header(described(descr="''"), ONE), "element type such as"),
    "strings of no bytes": (npy_header(described(descr="'|S0'", shape="(9999999999,)")), "real"),
    "complex": (npy_bytes(np.ones((2, 2), complex)), "real numbers"),
    "text elements": (npy_bytes(np.array([["a"]])), "real numbers"),
    "dates": (npy_bytes(np.zeros((2, 2), "M8[s]")), "expected"),
    "objects": (npy_bytes(np.array([[{}]], object)), "unpickled"),
    "pickle": (pickle.dumps(np.ones((2, 2))), "header of version"),
    "short of one byte": (npy_bytes(np.ones((2, 2)))[:-1], "expected 32 bytes .* got 31"),
    "one byte too many": (npy_bytes(np.ones((2, 2))) + b"\0", "expected 32 bytes .* got 33"),
    "not a number": (npy_bytes(np.array([[1, np.nan]])), "expected finite values, got nan"),
    "infinite": (npy_bytes(np.array([[1, -np.inf]])), "expected finite values, got -inf"),
    "infinite in float32": (npy_bytes(np.array([[1e39]])), "once rounded to float32"),
}


@pytest.mark.parametrize("what", HOSTILE_NPY)
def test_hostile_npy(what: str, directory: Path) -> None:
    content, message = HOSTILE_NPY[what]
    refused(directory, "w.npy", content, message)


@pytest.mark.parametrize("what", HOSTILE_NPY)
def test_hostile_npy_in_an_archive(what: str, directory: Path) -> None:
    content, _ = HOSTILE_NPY[what]
    refused(directory, "w.npz", zip_bytes({"weight.npy": content}), "expected")


def patched(content: bytes, *, sizes: tuple[int, int]) -> bytes:
    """The only member's compressed and expanded size, in its header and in the directory."""
    result = bytearray(content)
    struct.pack_into("<II", result, 18, *sizes)
    struct.pack_into("<II", result, content.index(b"PK\x01\x02") + 20, *sizes)
    return bytes(result)


def with_flag(content: bytes, flag: int) -> bytes:
    result = bytearray(content)
    result[6] |= flag
    result[content.index(b"PK\x01\x02") + 8] |= flag
    return bytes(result)


def sparse_npz(**changes: object) -> bytes:
    """A 2 x 3 CSR matrix with two nonzeros as scipy stores it, with some arrays changed."""
    arrays = {
        "format": np.array(b"csr"),
        "shape": np.array([2, 3]),
        "data": np.ones(2),
        "indices": np.array([0, 2]),
        "indptr": np.array([0, 1, 2]),
    }
    return npz_bytes({**arrays, **{name: np.array(value) for name, value in changes.items()}})


STORED = zip_bytes({"weight.npy": npy_bytes(np.ones((2, 2)))}, zipfile.ZIP_STORED)
BOMB = zip_bytes({"weight.npy": npy_bytes(np.zeros((2**9, 2**9)))})

HOSTILE_NPZ = {
    "empty": (b"", "zip"),
    "no archive": (b"PK\x03\x04" + b"\0" * 99, "zip"),
    "no arrays": (zip_bytes({}), "got none"),
    "no .npy": (zip_bytes({"weight.txt": b"1"}), "got none"),
    "no header": (zip_bytes({"weight.npy": b""}), "header of version"),
    "bomb": (BOMB, r"at most 65536 bytes .*FileLimits\.expanded_bytes"),
    "declares more than deflate can": (patched(BOMB, sizes=(100, 10**9)), "at most 103200 bytes"),
    "stored, larger than the file": (patched(STORED, sizes=(10**9, 10**9)), "declared size"),
    "stored, two sizes": (patched(STORED, sizes=(160, 10**9)), "declared size of 1000000000"),
    "stored, shorter than declared": (patched(STORED, sizes=(150, 150)), "expected"),
    "bzip2": (zip_bytes({"weight.npy": npy_bytes(np.eye(2))}, zipfile.ZIP_BZIP2), "deflated"),
    "lzma": (zip_bytes({"weight.npy": npy_bytes(np.eye(2))}, zipfile.ZIP_LZMA), "deflated"),
    "encrypted": (with_flag(STORED, 1), "not encrypted"),
    "wrong checksum": (STORED.replace(np.ones(4).tobytes(), np.zeros(4).tobytes()), "CRC"),
    "objects": (npz_bytes({"weight": np.array([[None]], object)}), "unpickled"),
    "sparse, objects": (sparse_npz(data=np.array([None, 1], object)), "unpickled"),
    "sparse, unknown format": (sparse_npz(format=b"lil"), "csr, csc, bsr, coo or dia, got 'lil'"),
    "sparse, format is a number": (sparse_npz(format=7), "the name of a format"),
    "sparse, no shape": (sparse_npz(shape=[2]), "a shape of two whole numbers"),
    "sparse, negative shape": (sparse_npz(shape=[2, -3]), "rows and columns"),
    "sparse, huge shape": (sparse_npz(shape=[2**40, 2**40]), "rows and columns"),
    "sparse, many empty rows": (sparse_npz(format=b"coo", shape=[2**30, 3]), "at most 1024 rows"),
    "sparse, missing array": (sparse_npz(format=b"coo"), "an array named 'row'"),
    "sparse, column out of range": (sparse_npz(indices=[0, 9]), "numbers from 0 to|well-formed"),
    "sparse, column in rows": (sparse_npz(shape=[9, 2]), "expected"),
    "sparse, negative column": (sparse_npz(indices=[0, -1]), "numbers from 0 to"),
    "sparse, unsigned overflow": (sparse_npz(indices=np.array([0, 2**63], "u8")), "from 0 to"),
    "sparse, falling offsets": (sparse_npz(indptr=[0, 2, 1]), "expected"),
    **{
        f"{kind}, offsets fall to 0": (
            sparse_npz(format=kind, data=data, indptr=[0, 2, 0, 0][: 4 if kind == b"csc" else 3]),
            "offsets that do not fall",
        )
        for kind, data in [
            (b"csr", [1.0, 2.0]),
            (b"csc", [1.0, 2.0]),
            (b"bsr", np.ones((2, 1, 1))),
        ]
    },
    "sparse, offsets beyond": (sparse_npz(indptr=[0, 1, 9]), "numbers from 0 to 2"),
    "sparse, too few offsets": (sparse_npz(indptr=[0, 2]), "expected"),
    "sparse, fractional index": (sparse_npz(indices=[0.0, 2.0]), "expected whole numbers"),
    "sparse, too few values": (sparse_npz(data=[1.0]), "expected"),
    "sparse, complex": (sparse_npz(data=[1j, 1]), "real"),
    "sparse, not a number": (sparse_npz(data=[1, np.nan]), "expected finite values"),
    "bsr, blocks too large": (
        sparse_npz(format=b"bsr", data=np.ones((2, 4, 1)), indptr=[0, 2]),
        "blocks that divide",
    ),
    "bsr, empty blocks": (sparse_npz(format=b"bsr", data=np.ones((2, 0, 1))), "blocks that"),
    "bsr, no blocks": (sparse_npz(format=b"bsr"), "blocks that divide"),
    "bsr, column out of range": (
        sparse_npz(format=b"bsr", data=np.ones((2, 1, 3)), indices=[0, 1]),
        "well-formed|expected",
    ),
    "coo, two lengths": (sparse_npz(format=b"coo", row=[0], col=[0, 1]), "expected"),
    "coo, three coordinates": (sparse_npz(format=b"coo", coords=np.zeros((3, 2), int)), "2 x"),
    "dia, diagonal twice": (
        sparse_npz(format=b"dia", data=np.ones((2, 3)), offsets=[0, 0]),
        "different diagonals",
    ),
    "dia, diagonal outside": (
        sparse_npz(format=b"dia", data=np.ones((1, 3)), offsets=[2**40]),
        "numbers from -1 to 2",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE_NPZ)
def test_hostile_npz(what: str, directory: Path) -> None:
    content, message = HOSTILE_NPZ[what]
    refused(directory, "w.npz", content, message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(directory: Path) -> None:
    path = directory / "w.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weight.npy", npy_bytes(np.eye(2)))
        archive.writestr("weight.npy", npy_bytes(np.eye(3)))
    with pytest.raises(MatrixError, match="the same name twice"):
        load_bounded(path)


def test_the_limit_of_expansion_can_be_raised(directory: Path) -> None:
    path = written(directory, "w.npz", BOMB)
    assert load_matrix(path, limits=FileLimits(expanded_bytes=2**22)).nonzeros == 0


def test_data_that_grows_too_much(directory: Path) -> None:
    """64 MiB of zeros in 64 KiB: within the limit of bytes, beyond that of growth."""
    zeros = npy_bytes(np.zeros((1, 2**26), np.int8))
    path = written(directory, "w.npz", zip_bytes({"weight.npy": zeros}))
    with pytest.raises(MatrixError, match=r"FileLimits\.expansion"):
        load_bounded(path, FileLimits())
    path = written(directory, "w.mtx.gz", gzip.compress(b"%" * (2**26 + 1), 1))
    with pytest.raises(MatrixError, match=r"FileLimits\.expansion"):
        load_matrix(path)


def test_the_limit_holds_for_all_arrays_together(directory: Path) -> None:
    content = sparse_npz(data=np.ones(5000), indices=np.arange(5000), indptr=[0, 5000, 5000])
    refused(directory, "w.npz", content, "expanded_bytes")


def mtx(size: str, body: str = "", kind: str = "coordinate real general") -> bytes:
    return f"%%MatrixMarket matrix {kind}\n{size}\n{body}".encode()


HOSTILE_MTX = {
    "empty": (b"", r"\.mtx"),
    "no banner": (b"2 2 1\n1 1 1\n", r"\.mtx"),
    "banner only": (b"%%MatrixMarket matrix coordinate real general\n", r"\.mtx"),
    "comments without end": (
        b"%%MatrixMarket matrix coordinate real general\n" + b"%\n" * 999,
        "a line of rows",
    ),
    "unknown field": (mtx("1 1 1", "1 1 1", "coordinate quaternion general"), r"\.mtx"),
    "complex": (mtx("1 1 1", "1 1 1 0", "coordinate complex general"), "'complex'"),
    "hermitian": (mtx("1 1 1", "1 1 1 0", "coordinate complex hermitian"), "'complex'"),
    "no rows": (mtx("0 2 0"), "1 to 2147483647 rows"),
    "negative": (mtx("-2 2 1", "1 1 1\n"), "expected"),
    "huge count": (mtx("2 2 1000000000000", "1 1 1\n"), "entries as the header says"),
    "huge array": (
        mtx("1000000 1000000", "1\n", "array real general"),
        "entries as the header says",
    ),
    "huge symmetric array": (mtx("1000000 1000000", "1\n", "array real symmetric"), "entries as"),
    "overflowing count": (mtx("2 2 99999999999999999999", "1 1 1\n"), "expected"),
    "overflowing array": (
        mtx("4294967296 4294967296", "1\n", "array real general"),
        "rows and columns",
    ),
    "many empty rows": (mtx("1000000000 2 1", "1 1 1\n"), r"at most 1024 rows.*FileLimits\.rows"),
    "negative count": (mtx("2 2 -1"), "expected"),
    "symmetric, not square": (mtx("2 3 1", "1 1 1\n", "coordinate real symmetric"), "square"),
    "symmetric array, not square": (mtx("2 3", "1\n" * 6, "array real symmetric"), "square"),
    "too few entries": (mtx("2 2 3", "1 1 1.000000\n1 2 1.000000\n"), r"\.mtx"),
    "too many entries": (mtx("2 2 1", "1 1 1\n1 2 1\n"), r"\.mtx"),
    "too few numbers": (mtx("2 2", "1.00000\n1.0\n1\n", "array real general"), r"\.mtx"),
    "too many numbers": (mtx("1 1", "1\n1\n", "array real general"), r"\.mtx"),
    "row 0": (mtx("2 2 1", "0 1 1\n"), r"\.mtx"),
    "row out of range": (mtx("2 2 1", "3 1 1\n"), r"\.mtx"),
    "column out of range": (mtx("2 2 1", "1 3 1\n"), r"\.mtx"),
    "overflowing column": (mtx("2 2 1", "1 4294967297 1\n"), r"\.mtx"),
    "word": (mtx("2 2 1", "1 1 many\n"), r"\.mtx"),
    "fractional row": (mtx("2 2 1", "1.5 1 1\n"), r"\.mtx"),
    "not a number": (mtx("2 2 1", "1 1 nan\n"), "expected finite values"),
    "infinite": (mtx("2 2 1", "1 1 inf\n"), "expected finite values"),
    "overflowing value": (mtx("2 2 1", "1 1 1e999\n"), "expected"),
    "NUL": (mtx("2 2 1", "1 1 \x00\n"), r"\.mtx"),
}


@pytest.mark.parametrize("what", HOSTILE_MTX)
@pytest.mark.parametrize("compressed", [False, True])
def test_hostile_mtx(what: str, compressed: bool, directory: Path) -> None:
    content, message = HOSTILE_MTX[what]
    if compressed:
        refused(directory, "w.mtx.gz", gzip.compress(content), message)
    else:
        refused(directory, "w.mtx", content, message)


HOSTILE_GZ = {
    "empty": (b"", "expected"),
    "no gzip": (mtx("1 1 1", "1 1 1\n"), "gzip"),
    "bomb": (gzip.compress(b"%" * 2**24), r"at most 65536 bytes .*FileLimits\.expanded_bytes"),
    "bomb of many members": (gzip.compress(b"%" * 2**15) * 99, r"FileLimits\.expanded_bytes"),
    "wrong checksum": (gzip.compress(mtx("1 1 1", "1 1 1\n"))[:-8] + b"\0" * 8, "CRC"),
    "garbage behind": (gzip.compress(mtx("1 1 1", "1 1 1\n")) + b"garbage", "gzip"),
    "garbage inside": (gzip.compress(b"")[:10] + b"\xff" * 99, "expected"),
    "zlib": (zlib.compress(mtx("1 1 1", "1 1 1\n")), "gzip"),
}


@pytest.mark.parametrize("what", HOSTILE_GZ)
def test_hostile_gz(what: str, directory: Path) -> None:
    content, message = HOSTILE_GZ[what]
    refused(directory, "w.mtx.gz", content, message)


HOSTILE_SMTX = {
    "empty": (b"", "three lines"),
    "one line": (b"2, 2, 1\n", "three lines|row offsets"),
    "four lines": (b"2, 2, 1\n0 1 1\n0\n1.5\n", "three lines .* got more"),
    "no commas": (b"2 2 1\n0 1 1\n0\n", "line 1"),
    "negative": (b"-2, 2, 1\n0 1 1\n0\n", "line 1"),
    "no rows": (b"0, 2, 0\n0\n\n", "1 to 2147483647 rows"),
    "huge counts": (b"2147483647, 2, 2147483647\n0 1 1\n0\n", "2147483648 numbers as line 1 says"),
    "overflowing": (b"99999999999, 2, 1\n0 1 1\n0\n", "line 1"),
    "too few offsets": (b"2, 2, 1\n0 1\n0\n", "row offsets: expected 3 numbers"),
    "too few columns": (b"2, 2, 2\n0 1 2\n0\n", "column indices: expected 2 numbers"),
    "offsets fall": (b"2, 2, 1\n0 2 1\n0\n", "row offsets: expected them to rise"),
    "offsets start late": (b"2, 2, 1\n1 1 1\n0\n", "row offsets: expected them to rise"),
    "offsets end early": (b"2, 2, 1\n0 0 0\n0\n", "row offsets: expected them to rise"),
    "offset overflows": (b"2, 2, 1\n0 99999999999999999999 1\n0\n", "row offsets: expected them"),
    "column out of range": (b"2, 2, 1\n0 1 1\n2\n", "column indices: expected less than 2, got 2"),
    "column negative": (b"2, 2, 1\n0 1 1\n-1\n", "column indices: expected whole numbers"),
    "column twice": (b"2, 2, 2\n0 2 2\n1 1\n", "each once in a row"),
    "fraction": (b"2, 2, 1\n0 1 1\n0.5\n", "column indices: expected whole numbers"),
    "binary": (bytes(range(256)), "line"),
}


@pytest.mark.parametrize("what", HOSTILE_SMTX)
def test_hostile_smtx(what: str, directory: Path) -> None:
    content, message = HOSTILE_SMTX[what]
    refused(directory, "w.smtx", content, message)


def tensor(**changes: object) -> dict[str, dict[str, object]]:
    return {"w": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4], **changes}}


HOSTILE_SAFETENSORS = {
    "empty": (b"", "expected"),
    "short": (b"\x08\0\0\0\0\0\0", "expected"),
    "huge header": (struct.pack("<Q", 2**62) + b"{}", "expected"),
    "no JSON": (safetensors_bytes(b"nothing", b""), "expected"),
    "deep JSON": (safetensors_bytes(b'{"a":' * 9999, b""), "expected"),
    "no tensors": (safetensors_bytes({}, b""), "got none"),
    "no offsets": (safetensors_bytes({"w": {"dtype": "F32", "shape": [1, 1]}}, ONE), "expected"),
    "unknown type": (safetensors_bytes(tensor(dtype="Q32"), ONE), "expected"),
    "huge shape": (safetensors_bytes(tensor(shape=[2**40, 2**40]), ONE), "expected"),
    "negative shape": (safetensors_bytes(tensor(shape=[-1, -1]), ONE), "expected"),
    "shape and offsets differ": (safetensors_bytes(tensor(shape=[2, 1]), ONE), "expected"),
    "offsets beyond the file": (
        safetensors_bytes(tensor(shape=[9, 9], data_offsets=[0, 324]), ONE),
        "expected",
    ),
    "offsets fall": (safetensors_bytes(tensor(data_offsets=[4, 0]), ONE), "expected"),
    "bytes left over": (safetensors_bytes(tensor(), ONE + b"\0"), "expected"),
    "name twice": (
        safetensors_bytes(
            b'{"w":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},'
            b'"w":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4000000000000]}}',
            ONE,
        ),
        "expected",
    ),
    "8-bit floats": (
        safetensors_bytes(tensor(dtype="F8_E4M3", data_offsets=[0, 1]), b"\x01"),
        "real numbers, got element type F8_E4M3",
    ),
    "not a number": (safetensor_of(np.array([[np.nan]], np.float32)), "expected finite values"),
    "truncated": (safetensor_of(sample_dense())[:-1], "expected"),
    "pickle": (pickle.dumps({"weight": 1}), "expected"),
}


@pytest.mark.parametrize("what", HOSTILE_SAFETENSORS)
def test_hostile_safetensors(what: str, directory: Path) -> None:
    content, message = HOSTILE_SAFETENSORS[what]
    refused(directory, "w.safetensors", content, message)


@pytest.mark.parametrize("name", ["w.pt", "w.pkl", "w.bin", "w.csv", "w", "w.npz.bak"])
def test_unknown_endings_are_refused_before_the_file_is_opened(name: str, directory: Path) -> None:
    with pytest.raises(MatrixError, match=r"expected .*\.npy, \.npz.*\.safetensors"):
        load_matrix(directory / "not there" / name)


def test_what_is_no_regular_file(directory: Path) -> None:
    folder = directory / "folder.npy"
    folder.mkdir()
    with pytest.raises(MatrixError, match="expected a readable matrix file, got"):
        load_bounded(folder)
    with pytest.raises(MatrixError, match="expected a readable matrix file, got"):
        load_bounded(directory / "nul\0.npy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX pipes")
def test_a_pipe_does_not_wait(directory: Path) -> None:
    path = directory / "pipe.npy"
    os.mkfifo(path)
    with pytest.raises(MatrixError, match="expected a regular file"):
        load_bounded(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
def test_an_endless_device(directory: Path) -> None:
    path = directory / "zero.smtx"
    path.symlink_to("/dev/zero")
    assert stat.S_ISCHR(path.stat().st_mode)
    with pytest.raises(MatrixError, match="expected a regular file"):
        load_bounded(path)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs POSIX sockets")
def test_a_socket(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.npy")
        with pytest.raises(MatrixError, match="expected a readable matrix file"):
            load_bounded(directory / "s.npy")


def test_pickles_do_not_run(directory: Path) -> None:
    """A pickle that would leave a trace leaves none, whatever the file is called."""

    class Trace:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (directory / "trace",)

    pickled = pickle.dumps(Trace())
    array = npy_bytes(np.array([[Trace()]], object))
    for name, content in {
        **{name: pickled for name, _ in SAMPLES.values()},
        "o.npy": array,
        "o.npz": zip_bytes({"weight.npy": array}),
    }.items():
        with pytest.raises(MatrixError):
            load_bounded(written(directory, name, content))
    assert not (directory / "trace").exists()


@pytest.mark.parametrize("what", EXACT)
def test_truncated_anywhere(what: str, directory: Path) -> None:
    name, content = SAMPLES[what]
    step = max(1, len(content) // 31)
    for end in {*range(0, len(content), step), len(content) - 1}:
        with pytest.raises(MatrixError, match="expected"):
            load_bounded(written(directory, name, content[:end]))


@pytest.mark.parametrize("what", [what for what in SAMPLES if what not in EXACT])
def test_text_truncated_anywhere(what: str, directory: Path) -> None:
    """All but the last number must be there for the file to be taken."""
    name, content = SAMPLES[what]
    whole = load_bounded(written(directory, name, content))
    for end in range(0, len(content), 3):
        path = written(directory, name, content[:end])
        try:
            matrix = load_bounded(path)
        except MatrixError:
            continue
        assert end >= len(content.rstrip().rsplit(None, 1)[0])
        assert matrix.shape == whole.shape
        check_invariants(matrix)


TOKENS = [
    *(b"0", b"-1", b"1", b"2147483648", b"4294967297", b"99999999999999999999", b"1e400", b"nan"),
    *(b"\0", b"\xff" * 8, b"\n", b" ", b",", b"(", b"{", b'"', b"%", b"|O", b"'<f8'", b"[1, 1]"),
]


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` cut, overwritten, lengthened or repeated at one to three places."""
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.sampled_from([0, 1, 1, 2, 4, 8, 64])))
        piece = draw(
            st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8), st.just(content[:end]))
        )
        content = content[:begin] + piece + content[end:]
    return content


@pytest.mark.parametrize("what", SAMPLES)
@given(data=st.data())
@settings(max_examples=max(40, settings.default.max_examples if settings.default else 0))
def test_changed_anywhere(what: str, directory: Path, data: st.DataObject) -> None:
    """Whatever the change: a MatrixError, or a matrix that keeps what SparseMatrix promises."""
    name, content = SAMPLES[what]
    path = written(directory, name, data.draw(changed(content)))
    check_answer(path)


@pytest.mark.parametrize("what", ["npz", "npz, compressed", "mtx.gz"])
@given(data=st.data())
@settings(max_examples=max(40, settings.default.max_examples if settings.default else 0))
def test_changed_inside_a_container(what: str, directory: Path, data: st.DataObject) -> None:
    """The change is made before compression, so that checksums agree with it."""
    name, _ = SAMPLES[what]
    inner = SAMPLES["npy" if what.startswith("npz") else "mtx, coordinates"][1]
    path = written(directory, name, rewrapped(what)(data.draw(changed(inner))))
    check_answer(path)


def check_answer(path: Path) -> None:
    try:
        matrix = load_bounded(path)
    except MatrixError as error:
        assert "expected" in str(error)  # noqa: PT017
        return
    check_invariants(matrix)
