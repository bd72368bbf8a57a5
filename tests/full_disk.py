"""Writes every kind of file where that cannot be; run in a process of its own.

    python tests/full_disk.py DIRECTORY limit      # the system refuses files beyond a few bytes
    python tests/full_disk.py DIRECTORY fill       # DIRECTORY is a small file system: it is filled
    python tests/full_disk.py DIRECTORY read-only  # DIRECTORY is a file system: mounted read-only

Each kind is written once while it can be, and then again. Prints the kinds that were tried;
exit status 1 where an error is not FileWriteError, or anything but the old file is there after it.
"""

import contextlib
import io
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from compiling import pruned

import sparsert_ir
from sparsert_ir import Schedule
from sparsert_ir.cli import main as sparsert
from sparsert_ir.errors import FileWriteError
from sparsert_ir.files import write_atomically
from sparsert_ir.runtime.cache import BinaryCache, CacheWarning
from sparsert_ir.tools.sparsert_opt import main as sparsert_opt
from sparsert_ir.tuner.record import LayerKey, TuningRecord

Writer: TypeAlias = Callable[[Path], None]
_FEW_BYTES = 100
_MODULE = Path(__file__).parent / "filecheck/emit/f32.mlir"


class RefusedError(Exception):
    """What a command line program told."""


def writers(scratch: Path) -> dict[str, Writer]:
    """Kind of file -> what writes one to a path; `scratch` has room for inputs."""
    weight = pruned(24, 32, 0.3)
    weights = scratch / "weights.npy"
    np.save(weights, weight)
    kernel = sparsert_ir.compile(weight, 20, target="cpu")
    artefact = scratch / "layer.sparsert"
    kernel.save(artefact)
    record = TuningRecord(
        layer=LayerKey.of(kernel.compilation.layer, "cpu"),
        device="none",
        versions={},
        schedule=Schedule(),
        us=1.0,
        complete=True,
        candidates=(),
    )

    def command(*words: str) -> Writer:
        return lambda path: _run(sparsert.main, [*words, "-o", str(path)])

    return {
        "bytes": lambda path: write_atomically(path, b"new" * 4000),
        "artefact": kernel.save,
        "tuning record": record.save,
        "sparsert compile": command("compile", str(weights), "-n", "20", "--target", "cpu"),
        "sparsert compile --emit ptx": command(
            "compile", str(weights), "-n", "20", "--target", "sm_90", "--emit", "ptx"
        ),
        "sparsert run": command("run", str(artefact)),
        "sparsert plot": lambda path: command("plot", str(weights))(path.with_suffix(".svg")),
        "sparsert report": command("report", str(weights), "-n", "20", "--target", "sm_90"),
        "sparsert-opt": lambda path: _run(sparsert_opt, [str(_MODULE), "-o", str(path)]),
    }


def _run(program: Callable[[list[str]], int], arguments: list[str]) -> None:
    """Raise RefusedError with what a program told, unless it went well."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        status = program(arguments)
    if status == 1 and told.getvalue().count("\n") == 1:
        raise RefusedError(told.getvalue())
    if status:
        raise RuntimeError(f"status {status}: {told.getvalue()}")


def _limit(_: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FEW_BYTES, _FEW_BYTES))


def _fill(directory: Path) -> None:
    """Leave no room for another byte."""
    size = 65536
    with (directory / "ballast").open("wb", buffering=0) as ballast:
        while size:
            try:
                ballast.write(b"\0" * size)
            except OSError:
                size //= 2


def _read_only(directory: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(directory)], check=True)


_OBSTACLES: dict[str, Callable[[Path], None]] = {
    "limit": _limit,
    "fill": _fill,
    "read-only": _read_only,
}


def check(kind: str, write: Writer, directory: Path) -> None:
    """Write what cannot be written; AssertionError unless the old files are all there is."""
    before = _contents(directory)
    try:
        write(directory / kind)
    except (FileWriteError, RefusedError) as error:
        if "cannot write" not in str(error):
            raise
    else:
        raise AssertionError(f"{kind}: there was room")
    if _contents(directory) != before:
        raise AssertionError(f"{kind}: the old file is not all there is")


def _contents(directory: Path) -> dict[str, bytes]:
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {str(path): path.read_bytes() for path in files if path.name != "ballast"}


def _check_cache(directory: Path) -> None:
    """A cache that cannot store warns once and keeps what it has."""
    before = _contents(directory)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        BinaryCache(directory / "cache").store(b"key", b"new" * 40_000)
    if [warning.category for warning in caught] != [CacheWarning]:
        raise AssertionError(f"cache: expected one warning, got {caught}")
    if _contents(directory) != before:
        raise AssertionError("cache: the old entry is not all there is")


def _main(directory: Path, how: str) -> None:
    scratch = directory / "inputs"
    scratch.mkdir()
    every = writers(scratch)
    for kind, write in every.items():
        write(directory / kind)
    BinaryCache(directory / "cache").store(b"key", b"old" * 40)
    _OBSTACLES[how](directory)
    for kind, write in every.items():
        check(kind, write, directory)
        print(kind)
    _check_cache(directory)
    print("cache")


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
