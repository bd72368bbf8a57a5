"""Fuzzing of files: a matrix, an artefact, a tuning record is read, or refused with what is wrong.

    python tests/fuzz_files.py --minutes 10

Files are samples of every format with bytes, numbers, members or headers changed; checksums are
made anew for most, so that they do not give the change away. What is read must keep the promises of
its type. Prints how many of which kind were tried, and what was found.
"""

import gzip
import io
import json
import random
import struct
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from compiling import pruned
from fuzzing import Input, Outcome, command_line
from sample_matrix_files import SEED, check_invariants, samples, zip_bytes

import sparsert_ir
from sparsert_ir import Schedule, compile_conv2d
from sparsert_ir.errors import SparsertError
from sparsert_ir.matrix_files import FileLimits, load_matrix
from sparsert_ir.tuner.record import CandidateReport, LayerKey, TuningRecord

_LIMITS = FileLimits(expanded_bytes=2**20, rows=2**12)
_NUMBERS = (0, 1, 2, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
# fmt: off
_WORDS = (
    b"0", b"-1", b"1", b"3", b"1e999", b"nan", b"-inf", b"2147483648", b"99999999999999999999999",
    b"[]", b"{}", b'""', b"null", b"true", b"(", b"9" * 5000, b"\n", b"\0", b"F64", b"<f8", b"|O",
)
# fmt: on


@cache
def _samples() -> dict[str, tuple[str, bytes]]:
    """What it is -> name and content."""
    return {**samples(), **_artefacts(), "tuning record": ("record.json", _record().encode())}


def _artefacts() -> dict[str, tuple[str, bytes]]:
    weight = pruned(24, 32, 0.2)
    schedule = Schedule(lowering="data", rows_per_panel=2)
    kernels = {
        "artefact, cpu": sparsert_ir.compile(weight, 20, target="cpu", threads=2),
        "artefact, gpu": sparsert_ir.compile(weight, 20, target="sm_90", schedule=schedule),
        "artefact, convolution": compile_conv2d(np.ones((2, 1, 3, 3)), (1, 1, 5, 5), target="cpu"),
    }
    found: dict[str, tuple[str, bytes]] = {}
    with TemporaryDirectory() as directory:
        for what, kernel in kernels.items():
            path = Path(directory) / "layer.sparsert"
            kernel.save(path)
            found[what] = path.name, path.read_bytes()
    return found


def _record() -> str:
    layer = sparsert_ir.compile(pruned(24, 32, 0.2), 20, target="cpu").compilation.layer
    candidate = CandidateReport(schedule=Schedule(), predicted_us=1.0, measured_us=2.0)
    return TuningRecord(
        layer=LayerKey.of(layer, "cpu"),
        device="none",
        versions={"sparsert_ir": "0"},
        schedule=Schedule(),
        us=2.0,
        complete=True,
        candidates=(candidate, candidate),
    ).to_json()


def make_file(seed: int, number: int) -> Input:
    """A changed file; its name is the argument."""
    choose = random.Random(f"{seed}:{number}")
    what = choose.choice(sorted(_samples()))
    name, content = _samples()[what]
    if content[:2] == b"PK" and choose.random() < 0.8:
        content = _with_changed_member(choose, content)
    elif name.endswith(".gz") and choose.random() < 0.8:
        content = gzip.compress(_changed(choose, gzip.decompress(content)), 1, mtime=0)
    else:
        content = _changed(choose, content)
    if choose.random() < 0.02:
        name = _samples()[choose.choice(sorted(_samples()))][0]
    return Input(what, content, (name,))


def _with_changed_member(choose: random.Random, content: bytes) -> bytes:
    """The archive with one member changed, renamed, left out or added."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    name = choose.choice(sorted(members))
    how = choose.random()
    if how < 0.8:
        members[name] = _changed(choose, members[name])
    elif how < 0.87:
        members[name[:-1] or "x"] = members.pop(name)
    elif how < 0.94:
        del members[name]
    else:
        members[choose.choice(["../x", "/x", "x" * 300, "constants/x.npy", "a\0b"])] = b"new"
    return zip_bytes(members, choose.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))


def _changed(choose: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(choose.choice([1, 1, 1, 2, 3, 8])):
        if data:
            choose.choice(_CHANGES)(choose, data)
    return bytes(data)


def _place(choose: random.Random, data: bytearray) -> int:
    """Headers are short and come first: half of the changes are there."""
    return choose.randrange(min(len(data), 128) if choose.random() < 0.5 else len(data))


def _flip(choose: random.Random, data: bytearray) -> None:
    data[_place(choose, data)] ^= 1 << choose.randrange(8)


def _set(choose: random.Random, data: bytearray) -> None:
    data[_place(choose, data)] = choose.randrange(256)


def _cut(choose: random.Random, data: bytearray) -> None:
    del data[choose.randrange(len(data)) :]


def _remove(choose: random.Random, data: bytearray) -> None:
    begin = _place(choose, data)
    del data[begin : begin + choose.choice([1, 2, 4, 8, 100])]


def _repeat(choose: random.Random, data: bytearray) -> None:
    begin = _place(choose, data)
    data[begin:begin] = data[begin : begin + choose.choice([1, 4, 100])] * choose.choice([1, 50])


def _number(choose: random.Random, data: bytearray) -> None:
    size = choose.choice([1, 2, 4, 8])
    number = choose.choice(_NUMBERS) % 2 ** (8 * size)
    begin = _place(choose, data)
    data[begin : begin + size] = struct.pack("<Q", number)[:size]


def _word(choose: random.Random, data: bytearray) -> None:
    """A number or a quoted word of a text becomes another one."""
    begin = end = _place(choose, data)
    inside = b"0123456789abcdefghijklmnopqrstuvwxyz.+-_"
    while begin > 0 and data[begin - 1] in inside:
        begin -= 1
    while end < len(data) and data[end] in inside:
        end += 1
    data[begin:end] = choose.choice(_WORDS)


def _splice(choose: random.Random, data: bytearray) -> None:
    _, other = _samples()[choose.choice(sorted(_samples()))]
    data[_place(choose, data) :] = other[choose.randrange(len(other)) :]


_CHANGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _set, _cut, _remove, _repeat, _number, _number, _word, _word, _splice,
)  # fmt: skip


def read_file(one: Input, directory: Path) -> Outcome:
    """Read the file as what its name says."""
    path = directory / f"input.{one.arguments[0]}"
    path.write_bytes(one.text)
    try:
        _read(path)
    except SparsertError as error:
        return Outcome(1, "" if str(error) else f"{type(error).__name__} without a message")
    except BaseException as error:
        return Outcome(-1, f"{type(error).__name__}: {error}")
    finally:
        path.unlink()
    return Outcome(0)


def _read(path: Path) -> None:
    """Raises AssertionError for what breaks a promise of its type."""
    if path.suffix == ".json":
        record = TuningRecord.load(path)
        if TuningRecord.from_json(record.to_json()) != record:
            raise AssertionError("a record is not read back as it was")
    elif path.suffix == ".sparsert":
        saved = sparsert_ir.load(path)
        json.dumps(repr(saved))
    else:
        check_invariants(load_matrix(path, seed=SEED, limits=_LIMITS))


if __name__ == "__main__":
    sys.exit(command_line(__doc__ or "", make_file, read_file))
