"""Stored kernels: the same bytes, the same results, no compiler, and every bad file refused."""

import contextlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparsert_ir
from sparsert_ir.artefact.arrays import from_npy, to_npy
from sparsert_ir.artefact.container import MANIFEST, pack, sha256, unpack
from sparsert_ir.artefact.writing import save_binary
from sparsert_ir.element_types import DTYPES, numpy_type
from sparsert_ir.errors import ArgumentError, ArtefactError, CallError, FileWriteError


def weight() -> Any:
    random = np.random.default_rng(3)
    return random.integers(-3, 4, (12, 10)) * (random.random((12, 10)) < 0.4)


def compiled(target: str = "cpu", **more: Any) -> sparsert_ir.Kernel:
    return sparsert_ir.compile(weight(), n=9, bias=np.arange(12), target=target, **more)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("residual", [False, "before", "after"])
def test_a_stored_kernel_computes_the_same_bits(tmp_path: Path, dtype: Any, residual: Any) -> None:
    kernel = compiled(activation="relu", dtype=dtype, residual=residual)
    kernel.save(tmp_path / "k.sparsert")
    saved = sparsert_ir.load(tmp_path / "k.sparsert")
    random = np.random.default_rng(0)
    x = random.standard_normal((10, 9)).astype(numpy_type(dtype))
    added = random.standard_normal((12, 9)).astype(numpy_type(dtype)) if residual else None
    assert np.array_equal(saved(x, added), kernel(x, added))
    assert (saved.name, saved.target, saved.n) == (kernel.name, "cpu", 9)
    assert saved.schedule == kernel.schedule
    with pytest.raises(CallError, match="shape"):
        saved(x[:5])


@pytest.mark.parametrize("staging", ["none", "copy"])
def test_a_stored_kernel_keeps_its_threads(tmp_path: Path, staging: Any) -> None:
    random = np.random.default_rng(5)
    dense = random.integers(-3, 4, (40, 30)) * (random.random((40, 30)) < 0.4)
    schedule = sparsert_ir.Schedule(
        lowering="data", rows_per_panel=1, threads=1, columns_per_thread=32, staging=staging
    )
    kernel = sparsert_ir.compile(dense, n=200, target="cpu", schedule=schedule, threads=3)
    kernel.save(tmp_path / "k")
    saved = sparsert_ir.load(tmp_path / "k")
    assert saved.binary.threads == 3
    assert saved.binary.parts == kernel.binary.parts
    assert len(saved.binary.parts) > 3
    assert bool(saved.binary.copy_bytes) == (staging == "copy")
    x = random.integers(-4, 5, (30, 200)).astype(np.float32)
    assert np.array_equal(saved(x), dense @ x)


def test_a_stored_convolution_computes_the_same_bits(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    weight = random.standard_normal((4, 3, 3, 3)) * (random.random((4, 3, 3, 3)) < 0.5)
    x = random.standard_normal((2, 3, 6, 5)).astype(np.float32)
    kernel = sparsert_ir.compile_conv2d(weight, x.shape, padding=1, target="cpu", threads=2)
    kernel.save(tmp_path / "k")
    saved = sparsert_ir.load(tmp_path / "k")
    assert np.array_equal(saved(x), kernel(x))
    assert (saved.n, repr(saved)) == (kernel.n, "Saved" + repr(kernel))
    sparsert_ir.compile_conv2d(weight, x.shape, target="sm_80").save(
        tmp_path / "g", assembled=False
    )
    assert sparsert_ir.load(tmp_path / "g").binary.signature.y_shape == (2, 4, 4, 3)


def test_a_stored_gpu_kernel_is_the_kernel(tmp_path: Path) -> None:
    kernel = compiled("sm_90", name="layer_3")
    kernel.save(tmp_path / "k", assembled=False)
    binary = sparsert_ir.load(tmp_path / "k").binary
    assert (binary.ptx, binary.target, binary.name) == (kernel.ptx, "sm_90", "layer_3")
    assert (binary.launch.grid, binary.launch.block) == (kernel.grid, kernel.block)
    assert binary.signature.x_shape == (10, 9)
    assert not binary.cubin


def test_a_stored_kernel_keeps_its_clusters(tmp_path: Path) -> None:
    schedule = sparsert_ir.Schedule(rows_per_panel=4, threads=32, cluster=4)
    compiled("sm_90", schedule=schedule).save(tmp_path / "k", assembled=False)
    saved = sparsert_ir.load(tmp_path / "k")
    assert saved.schedule == schedule
    assert saved.binary.launch.grid == (1, 3, 4)
    assert ".reqnctapercluster 1, 1, 4" in saved.binary.ptx


def test_the_same_kernel_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        compiled("sm_80").save(tmp_path / name, assembled=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_machine_code_and_constants_are_kept(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float16).reshape(2, 3)
    narrow = values.astype(numpy_type("bf16"))
    arrays = {"values": values, "rows": np.arange(3), "narrow": narrow}
    binary = replace(
        compiled("sm_90").binary,
        cubin=b"\x7fELF code",
        cubin_arch="sm_90",
        constants=tuple(arrays.items()),
    )
    save_binary(tmp_path / "k", binary, schedule=None, matrix={"shape": [12, 10]}, versions={})
    found = sparsert_ir.load(tmp_path / "k").binary
    assert (found.cubin, found.cubin_arch) == (binary.cubin, "sm_90")
    assert [name for name, _ in found.constants] == list(arrays)
    for name, array in found.constants:
        assert np.array_equal(array, arrays[name])
        assert array.dtype == arrays[name].dtype
        assert array.dtype == arrays[name].dtype


def test_running_a_stored_kernel_needs_no_compiler(tmp_path: Path) -> None:
    compiled().save(tmp_path / "cpu")
    compiled("sm_90").save(tmp_path / "gpu", assembled=False)
    script = """
import sys
sys.modules["xdsl"] = None
import numpy as np
import sparsert_ir
sparsert_ir.load(sys.argv[2])
assert "llvmlite" not in sys.modules
print(sparsert_ir.load(sys.argv[1])(np.ones((10, 9), np.float32)).sum())
"""
    command = [sys.executable, "-c", script, str(tmp_path / "cpu"), str(tmp_path / "gpu")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert float(done.stdout) == 9 * (weight().sum() + np.arange(12).sum())


def change(content: dict[str, bytes], name: str, value: bytes) -> dict[str, bytes]:
    return content | {name: value}


def edited(members: dict[str, bytes], edit: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    document = json.loads(members[MANIFEST])
    edit(document)
    return members | {MANIFEST: json.dumps(document).encode()}


def bad_manifests() -> dict[str, Callable[[dict[str, Any]], None]]:
    def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
        def edit(document: dict[str, Any]) -> None:
            place = document
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value

        return edit

    return {
        "kind": put("kind", value="x"),
        "schema": put("schema", value=1),
        "name": put("name", value="a;b"),
        "target": put("target", value="sm_90; rm"),
        "huge shape": put("signature", "x_shape", value=[10, 2**40]),
        "negative shape": put("signature", "y_shape", value=[-1, 9]),
        "rank": put("signature", "x_shape", value=[10]),
        "float": put("signature", "alignment", value=16.0),
        "truth": put("signature", "has_residual", value=1),
        "dtype": put("signature", "dtype", value="f64"),
        "block": put("launch", "block", value=[1024, 1024, 1]),
        "shared": put("launch", "shared_bytes", value=2**40),
        "schedule": put("schedule", "threads", value=0),
        "knob": put("schedule", "nonsense", value=1),
        "constants": put("constants", value=["../x"]),
        "missing constant": put("constants", value=["x"]),
        "parts": put("parts", value=[{"first_tile": 0}]),
        "part": put("parts", value=[7]),
        "threads": put("threads", value=0),
        "copy": put("copy_bytes", value=-1),
        "matrix": put("matrix", "shape", value=[3]),
        "digest": put("digests", "kernel.ptx", value="0" * 64),
        "no digest": put("digests", value={}),
        "cubin": put("cubin_arch", value="sm_90"),
    }


@pytest.mark.parametrize("what", bad_manifests())
def test_a_bad_manifest_is_refused(what: str, tmp_path: Path) -> None:
    compiled("sm_90").save(tmp_path / "k", assembled=False)
    members = edited(unpack(tmp_path / "k"), bad_manifests()[what])
    (tmp_path / "bad").write_bytes(pack(members))
    with pytest.raises(ArtefactError, match="bad: "):
        sparsert_ir.load(tmp_path / "bad")


def zipped(members: list[tuple[str, bytes]], how: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_containers_that_are_none_of_ours_are_refused(tmp_path: Path) -> None:
    compiled("sm_90").save(tmp_path / "k", assembled=False)
    whole = (tmp_path / "k").read_bytes()
    members = unpack(tmp_path / "k")
    files = {
        "empty": b"",
        "text": b"hello",
        "cut": whole[: len(whole) // 2],
        "no manifest": pack({"kernel.ptx": b""}),
        "compressed bomb": zipped([(MANIFEST, b" " * 10**7)], zipfile.ZIP_DEFLATED),
        "duplicates": zipped([(MANIFEST, b"{}"), (MANIFEST, b"{}")]),
        "many": pack({str(number): b"" for number in range(100)}),
        "deep": pack(change(members, MANIFEST, b"[" * 10**5)),
        "binary text": pack(change(members, "kernel.ptx", b"\xff")),
        "path": pack(change(members, "../../x", b"")),
        "pickle": pack(change(members, "constants/x.pkl", b"")),
    }
    for name, content in files.items():
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ArtefactError):
            pytest.fail(f"{name}: {sparsert_ir.load(tmp_path / 'bad')}")
    with pytest.raises(ArtefactError, match="cannot be read"):
        sparsert_ir.load(tmp_path / "missing")
    with pytest.raises(ArtefactError, match="cannot be read"):
        sparsert_ir.load(tmp_path)


def test_any_flipped_byte_is_found_or_harmless(tmp_path: Path) -> None:
    kernel = compiled("sm_90")
    kernel.save(tmp_path / "k", assembled=False)
    whole = (tmp_path / "k").read_bytes()
    for position in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        (tmp_path / "bad").write_bytes(bytes(damaged))
        try:
            found = sparsert_ir.load(tmp_path / "bad")
        except ArtefactError:
            continue
        assert found.binary.ptx == kernel.ptx


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    compiled().save(tmp_path / "k")
    before = (tmp_path / "k").read_bytes()
    monkeypatch.setattr("sparsert_ir.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        compiled(activation="relu").save(tmp_path / "k")
    assert (tmp_path / "k").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "int16", "int32", "uint16"])
@pytest.mark.parametrize("shape", [(0,), (3,), (2, 5), (1, 2, 3)])
def test_arrays_are_numpys_own_format(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    content = to_npy(array)
    read = np.load(io.BytesIO(content), allow_pickle=False)
    again = from_npy("x", content)
    for found in (read, again):
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)


def npy(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x02\x00",
        npy("{}"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (0,)}"),
        npy("{'descr': '<f4', 'fortran_order': True, 'shape': (0,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b"1234"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}", b"1234"),
        npy("(" * 400),
        npy("__import__('os')"),
    ],
)
def test_malformed_arrays_are_refused(content: bytes) -> None:
    with pytest.raises(ArtefactError):
        from_npy("x", content)


@given(st.binary(max_size=300))
def test_no_bytes_make_an_array_reader_fail_otherwise(content: bytes) -> None:
    with contextlib.suppress(ArtefactError):
        assert from_npy("x", b"\x93NUMPY\x01\x00" + content).nbytes <= 300


def test_digests_are_of_the_members(tmp_path: Path) -> None:
    compiled("sm_90").save(tmp_path / "k", assembled=False)
    members = unpack(tmp_path / "k")
    digests = json.loads(members[MANIFEST])["digests"]
    assert digests == {"kernel.ptx": sha256(members["kernel.ptx"])}


def test_what_runs_a_stored_kernel_imports_no_compiler(tmp_path: Path) -> None:
    """That of a GPU is imported only: tests/test_tools_on_gpu.py runs one."""
    compiled("cpu").save(tmp_path / "k")
    script = """
import sys
sys.modules["xdsl"] = sys.modules["llvmlite"] = None
import numpy as np
import sparsert_ir.runtime.device_array
import sparsert_ir.runtime.launch
import sparsert_ir.runtime.streams
import sparsert_ir.runtime.timing
from sparsert_ir.cli.running import call
import sparsert_ir.progress
del sys.modules["llvmlite"]  # which a kernel of a CPU is loaded by
call(sparsert_ir.load(sys.argv[1]), np.ones((10, 9), np.float32), None, (12, 9))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "k")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("path", [None, 5, b"kernel"])
def test_what_is_no_path_is_refused(path: Any) -> None:
    kernel = sparsert_ir.compile(np.eye(4), 1, target="cpu")
    for call in (kernel.save, sparsert_ir.load, sparsert_ir.load_matrix):
        with pytest.raises(ArgumentError, match=f"path: expected a string or a path, got {path}"):
            call(path)


def test_a_path_with_a_null_byte_is_refused(tmp_path: Path) -> None:
    kernel = sparsert_ir.compile(np.eye(4), 1, target="cpu")
    with pytest.raises(FileWriteError, match="cannot write: embedded null byte"):
        kernel.save(tmp_path / "a\0b")
