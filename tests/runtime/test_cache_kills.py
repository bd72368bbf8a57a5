"""Storing a kernel that is killed or fails: the old entry stays, or the new one is whole."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from killing import AT_EVERY_STEP, NEW, OLD, run_until_killed

from sparsert_ir.runtime.cache import BinaryCache

STORE = """
from pathlib import Path
from sparsert_ir.runtime.cache import BinaryCache
BinaryCache(Path(path)).store(b"key", b"new" * 40_000)
"""

STORE_TOO_MUCH = """
import resource, sys, warnings
from pathlib import Path
from sparsert_ir.runtime.cache import BinaryCache, CacheWarning

resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    BinaryCache(Path(sys.argv[1])).store(b"key", b"new" * 40_000)
assert [warning.category for warning in caught] == [CacheWarning]
"""

STORE_FOR_EVER = """
import sys
from pathlib import Path
from sparsert_ir.runtime.cache import BinaryCache
cache = BinaryCache(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    for text in (b"old", b"new"):
        cache.store(b"key", text * 40_000)
"""


def load(directory: Path) -> bytes | None:
    """What a new process would find; the cache has nothing to complain about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return BinaryCache(directory).load(b"key")


@AT_EVERY_STEP
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, function: str, when: str, found: bytes
) -> None:
    BinaryCache(tmp_path).store(b"key", OLD)
    run_until_killed(STORE, tmp_path, function, when)
    assert load(tmp_path) == found
    BinaryCache(tmp_path).store(b"key", b"later")
    assert load(tmp_path) == b"later"


def test_a_write_that_ends_in_the_middle_is_one_warning_and_leaves_the_old(tmp_path: Path) -> None:
    """A limit of the operating system on the size of files, which a full disk is like."""
    BinaryCache(tmp_path).store(b"key", OLD)
    subprocess.run([sys.executable, "-c", STORE_TOO_MUCH, str(tmp_path)], timeout=60, check=True)
    assert load(tmp_path) == OLD
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("milliseconds", [1, 2, 4, 7, 11])
def test_a_kill_at_any_time_leaves_the_old_or_the_new(tmp_path: Path, milliseconds: int) -> None:
    BinaryCache(tmp_path).store(b"key", OLD)
    command = [sys.executable, "-c", STORE_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(milliseconds / 1000)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert load(tmp_path) in (OLD, NEW)
