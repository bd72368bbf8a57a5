"""The container: a zip of uncompressed members, so that every size is known before it is read."""

import hashlib
import io
import os
import struct
import zipfile

from sparsert_ir.errors import ArtefactError
from sparsert_ir.files import path_of

MANIFEST = "manifest.json"
LARGEST_FILE = 2**31
LARGEST_MANIFEST = 2**20
_MOST_MEMBERS = 64
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1


def pack(members: dict[str, bytes]) -> bytes:
    """The container of `members`; the same members give the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return stream.getvalue()


def unpack(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """The members of a container, by name.

    Raises ArtefactError for a file that cannot be read, is no such container, is larger than 2 GiB,
    or claims members beyond its own size.
    """
    file = path_of(path)
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > LARGEST_FILE:
                raise ArtefactError(f"{file}: expected at most {LARGEST_FILE} bytes, got {size}")
            with zipfile.ZipFile(stream) as archive:
                return _members(archive, size)
    except ArtefactError as error:
        raise ArtefactError(f"{file}: {error}") from error
    except OSError as error:
        raise ArtefactError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        IndexError,
        NotImplementedError,
        RuntimeError,
        UnicodeError,
        ValueError,
        struct.error,
    ) as error:
        raise ArtefactError(f"{file}: expected a kernel artefact, got {error}") from error


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > _MOST_MEMBERS or len(set(names)) < len(names):
        raise ArtefactError(f"expected at most {_MOST_MEMBERS} members of different names")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
            raise ArtefactError(f"expected plain members, got a compressed {entry.filename!r}")
        if entry.file_size != entry.compress_size:
            raise ArtefactError(f"the sizes of {entry.filename!r} disagree")
    if sum(entry.file_size for entry in entries) > size:
        raise ArtefactError("members are larger than the file")
    if MANIFEST not in names or archive.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
        raise ArtefactError(f"expected a {MANIFEST} of at most {LARGEST_MANIFEST} bytes")
    return {entry.filename: archive.read(entry) for entry in entries}
