"""Paths as given, and writing files at once or not at all."""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from sparsert_ir.errors import ArgumentError, FileWriteError

_LONGEST_PREFIX = 100


def path_of(given: Any) -> Path:
    """A string or an `os.PathLike` of one as a path; ArgumentError for anything else."""
    try:
        return Path(given)
    except TypeError as error:
        raise ArgumentError(f"path: expected a string or a path, got {given!r}") from error


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace a file by `content`; readers, kills and full disks never leave half of it.

    A symbolic link stays one: the file that it names is replaced. A device or a pipe is written to
    as it is.
    Raises FileWriteError where the directory is missing, full or not writable; the old file stays
    then.
    """
    target = path_of(path)
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(content)
        else:
            _replace(Path(os.path.realpath(target)), content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileWriteError(
            f"{target}: cannot write: {reason}; what was there is unchanged"
        ) from error


def _replace(target: Path, content: bytes) -> None:
    name = f".{target.name[:_LONGEST_PREFIX]}.{secrets.token_hex(8)}"
    beside = target.with_name(name)
    # Not mkstemp, whose files only their owner may read.
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            os.chmod(beside, stat.S_IMODE(target.stat().st_mode))
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
