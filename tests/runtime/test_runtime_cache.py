"""The kernel cache: what is stored comes back intact, or not at all."""

import errno
import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from sparsert_ir.runtime.cache import (
    DIRECTORY_VARIABLE,
    BinaryCache,
    CacheWarning,
    cache_clear,
    cache_directory,
    cache_info,
    cache_key,
    default_cache,
)

KEY = cache_key("ptx", "sm_90", (), ("13.0",))
BINARY = bytes(range(256)) * 40


def only_entry(directory: Path) -> Path:
    (entry,) = (path for path in (directory / "entries").rglob("*") if path.is_file())
    return entry


def filled_cache(directory: Path) -> BinaryCache:
    cache = BinaryCache(directory)
    cache.store(KEY, BINARY)
    assert cache.load(KEY) == BINARY
    return cache


def warnings_of(*actions: Callable[[], object]) -> list[str]:
    """The warnings of the cache while `actions` ran, each of which must find nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [action() for action in actions] == [None] * len(actions)
    assert all(warning.category is CacheWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_what_is_stored_is_found_by_another_instance(tmp_path: Path) -> None:
    filled_cache(tmp_path)
    assert BinaryCache(tmp_path).load(KEY) == BINARY
    assert BinaryCache(tmp_path).load(b"another key") is None


def test_the_last_store_wins(tmp_path: Path) -> None:
    cache = filled_cache(tmp_path)
    cache.store(KEY, b"newer")
    assert cache.load(KEY) == b"newer"


def test_every_part_of_the_key_counts() -> None:
    keys = [
        cache_key("ptx", "sm_90", ("-O3",), ("driver 1",)),
        cache_key("PTX", "sm_90", ("-O3",), ("driver 1",)),
        cache_key("ptx", "sm_80", ("-O3",), ("driver 1",)),
        cache_key("ptx", "sm_90", ("-O2",), ("driver 1",)),
        cache_key("ptx", "sm_90", ("-O3",), ("driver 2",)),
        cache_key("ptx", "sm_90", ("-O3", "driver 1"), ()),
        cache_key("ptx", "sm_90", (), ("-O3", "driver 1")),
        cache_key("ptxs", "m_90", ("-O3",), ("driver 1",)),
    ]
    assert len(set(keys)) == len(keys)


def test_the_schema_version_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparsert_ir.runtime.cache.SCHEMA_VERSION", 999)
    assert cache_key("ptx", "sm_90", (), ("13.0",)) != KEY


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda entry: b"",
    "shorter than its digest": lambda entry: entry[:20],
    "digest only": lambda entry: entry[:32],
    "truncated": lambda entry: entry[:-1],
    "longer": lambda entry: entry + b"x",
    "garbage": lambda entry: b"garbage" * 100,
    "one byte changed": lambda entry: entry[:50] + b"\xff" + entry[51:],
    "nothing, with its digest": lambda entry: hashlib.sha256(b"").digest(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_a_miss_with_one_warning(tmp_path: Path, damage: str) -> None:
    filled_cache(tmp_path)
    entry = only_entry(tmp_path)
    entry.write_bytes(DAMAGES[damage](entry.read_bytes()))
    cache = BinaryCache(tmp_path)
    (warning,) = warnings_of(lambda: cache.load(KEY), lambda: cache.load(KEY))
    assert "damaged" in warning
    cache.store(KEY, BINARY)
    assert cache.load(KEY) == BINARY


def test_a_directory_that_cannot_be_made_is_a_miss_with_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = BinaryCache(tmp_path / "file" / "cache")
    (warning,) = warnings_of(lambda: cache.load(KEY), lambda: cache.store(KEY, BINARY))
    assert DIRECTORY_VARIABLE in warning


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_a_read_only_directory_is_a_miss_with_one_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    cache = BinaryCache(tmp_path)
    (warning,) = warnings_of(lambda: cache.load(KEY), lambda: cache.store(KEY, BINARY))
    tmp_path.chmod(0o700)
    assert "cannot read" in warning


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("fsync", errno.ENOSPC),
        ("replace", errno.EACCES),
        ("replace", errno.EBUSY),
        ("replace", errno.EROFS),
    ],
)
def test_a_failed_write_is_one_warning_and_leaves_the_old_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int
) -> None:
    cache = filled_cache(tmp_path)

    def fail(*arguments: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, function, fail)
    (warning,) = warnings_of(lambda: cache.store(KEY, b"new"), lambda: cache.store(KEY, b"newer"))
    assert "cannot write" in warning
    assert cache.load(KEY) == BINARY
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_directory_that_vanishes_is_made_again(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    cache = filled_cache(directory)
    only_entry(directory).unlink()
    assert cache.load(KEY) is None
    cache.store(KEY, BINARY)
    assert cache.load(KEY) == BINARY


RACER = """
import sys
from pathlib import Path
from sparsert_ir.runtime.cache import BinaryCache
cache = BinaryCache(Path(sys.argv[1]))
for turn in range(60):
    number = turn % 3
    binary = cache.load(b"key %d" % number)
    assert binary in (None, b"%d" % number * 50_000), "a mixed entry"
    cache.store(b"key %d" % number, b"%d" % number * 50_000)
"""


def test_processes_that_race_never_see_a_mixed_entry(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", RACER, str(tmp_path)]
    racers = [subprocess.Popen(command) for _ in range(2)]
    assert [racer.wait(timeout=60) for racer in racers] == [0, 0]
    assert all(BinaryCache(tmp_path).load(b"key %d" % i) is not None for i in range(3))


def test_off_keeps_nothing_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, "off")
    assert cache_directory() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        default_cache().store(KEY, BINARY)
        assert default_cache().load(KEY) is None
    assert cache_info().entries == 0
    assert cache_clear().directory is None


def test_the_directory_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"
    monkeypatch.delenv(DIRECTORY_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "sparsert_ir"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_directory() == tmp_path / "home" / ".cache" / "sparsert_ir"


def test_info_and_clear_count_what_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = tmp_path / "cache"
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(directory))
    assert cache_info().entries == 0
    assert not directory.exists()
    default_cache().store(KEY, BINARY)
    default_cache().store(b"another", BINARY)
    info = cache_info()
    assert (info.directory, info.entries) == (directory, 2)
    assert info.size_bytes == 2 * (32 + len(BINARY))
    assert cache_clear() == info
    assert cache_info().entries == 0
    assert default_cache().load(KEY) is None


def test_the_directory_is_private_to_the_user(tmp_path: Path) -> None:
    filled_cache(tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    assert only_entry(tmp_path / "cache").stat().st_mode & 0o077 == 0
