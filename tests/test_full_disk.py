"""Files are replaced as a whole or not at all: no room, no permission, kills at every step."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from killing import AT_EVERY_STEP, NEW, OLD, run_until_killed

from sparsert_ir.errors import FileWriteError, SparsertError
from sparsert_ir.files import write_atomically

HERE = Path(__file__).parent
KINDS = 10
MOUNT = 'mount -t tmpfs -o size=512k none "$1" && exec "$2" "$3" "$1" "$4"'

WRITE = """
from sparsert_ir.files import write_atomically
write_atomically(path, b"new" * 40_000)
"""

WRITE_FOR_EVER = """
import sys
from sparsert_ir.files import write_atomically
while True:
    write_atomically(sys.argv[1], sys.argv[2].encode() * 40_000)
"""


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EBUSY", "EIO"])
@pytest.mark.parametrize("step", ["open", "fdopen", "fsync", "chmod", "replace"])
def test_a_failure_at_any_step_is_typed_and_leaves_the_old_file(
    step: str, number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    code = getattr(errno, number)

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(f"sparsert_ir.files.os.{step}", fail)
        with pytest.raises(
            FileWriteError, match=f"file: cannot write: {os.strerror(code)}"
        ) as info:
            write_atomically(path, NEW)
    assert isinstance(info.value, SparsertError)
    assert isinstance(info.value, OSError)
    assert isinstance(info.value.__cause__, OSError)
    assert info.value.__cause__.errno == code
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


@AT_EVERY_STEP
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, function: str, when: str, found: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    run_until_killed(WRITE, path, function, when)
    assert path.read_bytes() == found
    write_atomically(path, b"later")
    assert path.read_bytes() == b"later"


def test_every_kind_of_file_beyond_the_limit_of_the_system(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "full_disk.py"), str(tmp_path), "limit"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == KINDS


@pytest.mark.parametrize("how", ["fill", "read-only"])
def test_every_kind_of_file_on_a_file_system_that_takes_none(how: str, tmp_path: Path) -> None:
    """512 KiB in memory, in a mount namespace of its own, which ends with its process."""
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*words, "mount -t tmpfs none /mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    command = [*words, MOUNT, "sh", str(tmp_path), sys.executable, str(HERE / "full_disk.py"), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == KINDS
    assert list(tmp_path.iterdir()) == []


def test_processes_that_race_never_leave_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path), text])
        for text in ("old", "new")
    ]
    try:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            assert path.read_bytes() in (OLD, NEW)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert path.read_bytes() in (OLD, NEW)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "command",
    [
        ["tools.sparsert_opt", str(HERE / "filecheck/emit/f32.mlir")],
        ["tools.sparsert_opt", "--list-passes"],
        ["cli.main", "doctor"],
        ["cli.main", "doctor", "--json"],
    ],
)
def test_standard_output_without_room_is_told_in_one_line(command: list[str]) -> None:
    module, *arguments = command
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", f"sparsert_ir.{module}", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert "standard output: cannot write: No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_links_stay_and_pipes_are_written_to(tmp_path: Path) -> None:
    file, link, pipe = (tmp_path / name for name in ("file", "link", "pipe"))
    link.symlink_to(file)
    write_atomically(link, b"through the link")
    assert link.is_symlink()
    assert file.read_bytes() == b"through the link"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"through the pipe")
    reader.join()
    assert read == [b"through the pipe"]
    assert pipe.is_fifo()


def test_who_may_read_a_file_is_kept(tmp_path: Path) -> None:
    secret, new = tmp_path / "secret", tmp_path / "new"
    secret.write_bytes(OLD)
    secret.chmod(0o600)
    before = os.umask(0o027)
    try:
        for path in (secret, new):
            write_atomically(path, NEW)
    finally:
        os.umask(before)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert new.stat().st_mode & 0o777 == 0o640


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileWriteError, match="cannot write"):
        write_atomically(tmp_path, NEW)
    with pytest.raises(FileWriteError, match="cannot write: No such file"):
        write_atomically(tmp_path / "no" / "file", NEW)


def test_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    write_atomically(path, NEW)
    assert path.read_bytes() == NEW
