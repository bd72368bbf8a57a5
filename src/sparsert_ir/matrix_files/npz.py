"""numpy's .npz: a zip archive of .npy members; scipy.sparse.save_npz writes sparse matrices so."""

import contextlib
import zipfile
from collections.abc import Generator
from typing import IO, Any

from sparsert_ir.dense import Array
from sparsert_ir.errors import MatrixError
from sparsert_ir.matrix_files.npy import read_header, read_npy
from sparsert_ir.matrix_files.scipy_npz import ARRAYS, SCIPY_NAMES, assemble
from sparsert_ir.matrix_files.source import (
    DEFLATE_RATIO,
    MatrixFile,
    check_expanded,
    choose_name,
    listed,
    refusing,
    shortened,
)

_SUFFIX = ".npy"
_ENCRYPTED = 1


def read(file: MatrixFile) -> Any:
    """The array named by the key, the obvious one, or scipy's sparse matrix."""
    with open_npz(file) as archive:
        if file.key is None and SCIPY_NAMES.issubset(archive.names):
            names = ARRAYS.intersection(archive.names)
            stored = {name: archive.read(name, "fiubSU") for name in sorted(names)}
            return assemble(stored, file.limits)
        name = "weight" if file.key is None else file.key
        if name in archive.names:
            return archive.read(name)
        return archive.read(choose_name(archive.shapes(), file.key))


class NpzArchive:
    """The arrays of an open archive, each read only after its sizes are found plausible."""

    def __init__(self, archive: zipfile.ZipFile, file: MatrixFile) -> None:
        self._archive = archive
        self._file_size = file.size
        self._limits = file.limits
        self._expanded = 0
        members = [info for info in archive.infolist() if info.filename.endswith(_SUFFIX)]
        self._members = {info.filename.removesuffix(_SUFFIX): info for info in members}
        if len(self._members) != len(members):
            raise MatrixError("expected members of different names, got the same name twice")

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array; members that are no plain array are left out."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name in self._members:
            with contextlib.suppress(MatrixError), self._open(name) as (stream, size):
                shapes[name] = read_header(stream, size).shape
        return shapes

    def read(self, name: str, kinds: str = "fiub") -> Array:
        """An array; `kinds` as in `read_npy`. What has been read counts towards the limit."""
        with self._open(name) as (stream, size):
            if self._members[name].compress_type != zipfile.ZIP_STORED:
                self._expanded += size
                check_expanded(self._expanded, self._file_size, self._limits)
            return read_npy(stream, size, kinds)

    def require(self, name: str) -> None:
        """MatrixError if there is no such array."""
        if name not in self._members:
            raise MatrixError(f"expected an array named {name!r}, got {listed(self.shapes())}")

    @contextlib.contextmanager
    def _open(self, name: str) -> Generator[tuple[IO[bytes], int]]:
        member = self._members[name]
        try:
            with refusing("a readable member"):
                self._check_sizes(member)
                with self._archive.open(member) as stream:
                    yield stream, member.file_size
        except MatrixError as error:
            raise MatrixError(f"{shortened(name)!r}: {error}") from error

    def _check_sizes(self, member: zipfile.ZipInfo) -> None:
        """What the directory declares must fit the archive, and what its compression can do."""
        ratios = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: DEFLATE_RATIO}
        if member.compress_type not in ratios or member.flag_bits & _ENCRYPTED:
            raise MatrixError(
                "expected members that are stored or deflated and not encrypted,"
                f" got compression type {member.compress_type}, flags {member.flag_bits:#x}"
            )
        most = min(member.compress_size, self._file_size) * ratios[member.compress_type]
        if member.file_size > most:
            raise MatrixError(
                f"expected at most {most} bytes from {member.compress_size} compressed ones in a"
                f" file of {self._file_size}, got a declared size of {member.file_size}"
            )


@contextlib.contextmanager
def open_npz(file: MatrixFile) -> Generator[NpzArchive]:
    """The archive; MatrixError for what is no zip."""
    with zipfile.ZipFile(file.stream) as archive:
        yield NpzArchive(archive, file)
