"""The disk cache of assembled kernels.

An entry is the SHA-256 of a binary followed by the binary. What cannot be read, written or
verified is a miss: the cache can make a build slower, never wrong. Anybody who may write to the
directory decides what runs; it belongs to the user alone.
"""

import contextlib
import functools
import hashlib
import importlib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

SCHEMA_VERSION = 1
"""Raised when the meaning of an entry or of a key changes."""

SIZE_LIMIT = 2**30
"""Bytes; beyond it, the entries read longest ago are removed."""

DIRECTORY_VARIABLE = "SPARSERT_CACHE_DIR"

_DIGEST_BYTES = 32

_Result = TypeVar("_Result")


class CacheWarning(UserWarning):
    """The cache could not be used; kernels are assembled again instead."""


@dataclass(frozen=True)
class CacheInfo:
    """The state of the cache: its directory (None: switched off), entries, and their bytes."""

    directory: Path | None
    entries: int
    size_bytes: int


def cache_directory() -> Path | None:
    """Where kernels are kept: SPARSERT_CACHE_DIR ("off": nowhere), or the user's cache directory.

    The user's cache directory is XDG_CACHE_HOME, or ~/.cache; a user without a home has none.
    """
    chosen = os.environ.get(DIRECTORY_VARIABLE, "")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "sparsert_ir"
    except RuntimeError:
        return None


def cache_key(ptx: str, arch: str, options: Sequence[str], versions: Sequence[str]) -> bytes:
    """The key of the binary made of `ptx`: a digest of all that decides its bytes.

    versions: of the driver and of every tool on the way from PTX to the binary.
    """
    parts = [str(SCHEMA_VERSION), ptx, arch, "options", *options, "versions", *versions]
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        # The length in front keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()


class BinaryCache:
    """Binaries under keys in a directory; None keeps nothing. Safe for many processes at once."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self._warned = False

    def load(self, key: bytes) -> bytes | None:
        """The binary stored under `key`; None if there is none, or none that is intact."""
        entry = self._attempt("read", lambda files: files.get(key))
        if entry is None:
            return None
        digest, binary = entry[:_DIGEST_BYTES], entry[_DIGEST_BYTES:]
        if not binary or hashlib.sha256(binary).digest() != digest:
            self._warn(f"a damaged entry in {self.directory} is ignored and will be replaced")
            return None
        return binary

    def store(self, key: bytes, binary: bytes) -> None:
        """Keep `binary` under `key`, at once or not at all."""
        entry = hashlib.sha256(binary).digest() + binary
        self._attempt("write", lambda files: files.update({key: entry}))

    @functools.cached_property
    def _files(self) -> Any:
        assert self.directory is not None
        return _open_files(self.directory)

    def _attempt(self, what: str, action: Callable[[Any], _Result]) -> _Result | None:
        if self.directory is None:
            return None
        try:
            return action(self._files)
        except OSError as error:
            self._warn(
                f"cannot {what} the kernel cache in {self.directory} ({error}); set"
                f" {DIRECTORY_VARIABLE} to a directory that can be written, or to 'off'"
            )
            return None

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, CacheWarning, stacklevel=4)


@functools.cache
def open_cache(directory: Path | None) -> BinaryCache:
    """The process's cache for a directory: one, so that it warns once."""
    return BinaryCache(directory)


def default_cache() -> BinaryCache:
    """The cache in `cache_directory()`."""
    return open_cache(cache_directory())


def cache_info() -> CacheInfo:
    """The state of the cache; reads the directory only, needs no GPU.

    Raises OSError where the directory cannot be read.
    """
    directory = cache_directory()
    if directory is None or not directory.exists():
        return CacheInfo(directory, 0, 0)
    sizes: list[int] = []
    for path in (directory / "entries").glob("*/*"):
        # Another process may remove an entry at any time.
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return CacheInfo(directory, len(sizes), sum(sizes))


def cache_clear() -> CacheInfo:
    """Remove all entries; says what was removed. Needs no GPU.

    Raises OSError where the directory cannot be changed.
    """
    before = cache_info()
    if before.directory is not None and before.entries:
        _open_files(before.directory).clear()
    return before


def _open_files(directory: Path) -> Any:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    utils = importlib.import_module("cuda.core.utils")
    return utils.FileStreamProgramCache(directory, max_size_bytes=SIZE_LIMIT)
