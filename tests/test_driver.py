"""`sparsert-opt` as a program: it always answers, and its exit status says how it went."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from malformed_texts import MALFORMED

from sparsert_ir.passes import PASSES
from sparsert_ir.tools.sparsert_opt import main

SECONDS = 20
PRODUCT = """
func.func @product(%x: tensor<4x8xf32>) -> tensor<2x8xf32> {
  %w = sparsert.constant row_offsets dense<[0, 1, 3]> : tensor<3xi32>
    column_indices dense<[1, 0, 3]> : tensor<3xi32>
    values dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<2x4xf32, #sparsert.csr>
  %y = sparsert.spmm %w, %x : tensor<2x4xf32, #sparsert.csr>, tensor<4x8xf32> -> tensor<2x8xf32>
  func.return %y : tensor<2x8xf32>
}
"""


def _run(
    *arguments: str, text: bytes = b"", seconds: float = SECONDS
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "sparsert_ir.tools.sparsert_opt", *arguments]
    return subprocess.run(command, input=text, capture_output=True, timeout=seconds, check=False)


@pytest.fixture
def product(tmp_path: Path) -> str:
    """A file with one valid function."""
    path = tmp_path / "product.mlir"
    path.write_text(PRODUCT)
    return str(path)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_text_gives_a_diagnostic_and_status_1(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.mlir"
    path.write_bytes(MALFORMED[name])
    begin = time.monotonic()
    status = main([str(path)])
    stderr = capsys.readouterr().err
    assert status == 1
    assert stderr.startswith(f"{path}:")
    assert ": error: " in stderr
    assert "Traceback" not in stderr
    assert len(stderr) < 3000
    assert time.monotonic() - begin < SECONDS


@pytest.mark.parametrize("piece", [b"a", b"%a,", b'"', b" ", b"//", b"[]", b"a\n"])
def test_a_hundred_megabytes_are_refused_in_seconds(
    piece: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.mlir"
    path.write_bytes(piece * (100_000_000 // len(piece)))
    begin = time.monotonic()
    assert main([str(path)]) == 1
    assert time.monotonic() - begin < SECONDS
    assert len(capsys.readouterr().err) < 3000


def test_mutations_of_a_valid_text_always_get_an_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mutated.mlir"
    places = range(1, len(PRODUCT), 9)
    mutations = [PRODUCT[:i] + PRODUCT[i + 1 :] for i in places]
    mutations += [PRODUCT[:i] + '"' + PRODUCT[i:] for i in places]
    mutations += [PRODUCT[:i] for i in places]
    for text in mutations:
        path.write_text(text)
        status = main([str(path), "-p", "sparsert-partition"])
        captured = capsys.readouterr()
        assert status in (0, 1), captured.err
        assert (": error: " in captured.err) == (status == 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "sparsert-partitoin"], "did you mean sparsert-partition?"),
        (["-p", "sparsert-partition{rows=1}"], "has no option 'rows'; its options are rows-per-"),
        (["-p", "sparsert-partition{rows-per-panel=many}"], "rows-per-panel has a value of the"),
        (["-p", "sparsert-partition{rows-per-panel=0}"], "rows_per_panel must be a whole number"),
        (["-p", "sparsert-partition{"], "column 20: Expected argument name here"),
        (["-p", "sparsert-gpu-pipeline{a=1}"], "takes no options"),
        (["-t", "wasm"], "expected one of mlir, llvm, ptx, report"),
        (["-t", "ptx{arch=gfx90a}"], "expected an architecture such as sm_90"),
        (["-t", "ptx"], "expected a gpu.module"),
        (["--no-such-option"], "unrecognized arguments"),
        (["--print-ir-after", "dce"], "the pipeline has no pass 'dce'"),
        (["-o", os.path.join("no", "such", "folder")], "cannot write"),
    ],
)
def test_a_mistake_on_the_command_line_gives_status_1(
    arguments: list[str], message: str, product: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main([product, *arguments])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 1
    assert message in captured.err
    assert "error: " in captured.err


@pytest.mark.parametrize("path", ["no such file.mlir", os.curdir])
def test_an_unreadable_input_gives_status_1(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([path]) == 1
    assert f"{path}: error: cannot read: " in capsys.readouterr().err


def test_the_result_is_read_back_as_it_was_printed(
    product: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([product]) == 0
    first = capsys.readouterr().out
    again = tmp_path / "again.mlir"
    again.write_text(first)
    assert main([str(again), "-o", str(again)]) == 0
    assert again.read_text() == first


def test_nothing_is_written_to_a_file_after_a_mistake(tmp_path: Path) -> None:
    source, output = tmp_path / "bad.mlir", tmp_path / "out.mlir"
    source.write_text('"nope.op"() : () -> ()')
    assert main([str(source), "-o", str(output)]) == 1
    assert not output.exists()


def test_a_defect_of_a_pass_gives_status_70_and_asks_for_a_report(
    product: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sparsert_ir.passes.partition import Partition

    def crash(*_: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(Partition, "apply", crash)
    assert main([product, "-p", "sparsert-partition"]) == 70
    stderr = capsys.readouterr().err
    assert "internal error: " in stderr
    assert "pass sparsert-partition: KeyError: 'a defect'" in stderr
    assert stderr.count("\n") == 1
    assert main([product, "-p", "sparsert-partition", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_invalid_ir_made_by_a_pass_is_a_defect_unless_not_verified(
    product: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from xdsl.dialects.builtin import ModuleOp
    from xdsl.rewriter import Rewriter

    from sparsert_ir.dialects.sparsert import SpmmOp
    from sparsert_ir.passes.partition import Partition

    def break_types(_: Partition, __: object, module: ModuleOp) -> None:
        for op in module.walk():
            if isinstance(op, SpmmOp):
                Rewriter.replace_value_with_new_type(op.result, op.x.type)

    monkeypatch.setattr(Partition, "apply", break_types)
    assert main([product, "-p", "sparsert-partition"]) == 70
    message = "pass sparsert-partition left invalid IR: 'sparsert.spmm': "
    assert message in capsys.readouterr().err
    assert main([product, "-p", "sparsert-partition", "--no-verify-each"]) == 0
    assert main([product, "-p", "sparsert-partition", "--no-verify"]) == 0


def test_a_diagnostic_cannot_send_control_characters_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "escape.mlir"
    path.write_text("func.func @f() \x1b[31m { func.return }")
    assert main([str(path)]) == 1
    stderr = capsys.readouterr().err
    assert "\x1b" not in stderr
    assert "\\x1b[31m" in stderr


def test_standard_input_is_read_and_named() -> None:
    result = _run(text=b'"')
    assert result.returncode == 1
    assert result.stderr.startswith(b"<stdin>:1:1: error: ")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_a_closed_output_pipe_gives_status_1_without_a_traceback(product: str) -> None:
    command = [sys.executable, "-m", "sparsert_ir.tools.sparsert_opt", product]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        stderr = process.stderr.read()
        assert process.wait(SECONDS) == 1
    assert stderr == b""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupt_gives_status_130(tmp_path: Path) -> None:
    path = tmp_path / "slow.mlir"
    path.write_text(PRODUCT * 3000)
    command = [sys.executable, "-m", "sparsert_ir.tools.sparsert_opt", str(path), "--no-limits"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        stderr = process.stderr.read()
        assert process.wait(SECONDS) == 130
    assert stderr == b"sparsert-opt: interrupted\n"


def test_help_and_version_do_not_import_what_they_do_not_need() -> None:
    program = (
        "import sys\n"
        "from sparsert_ir.tools.arguments import parse_arguments\n"
        "try: parse_arguments(['--version'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'scipy', 'llvmlite', 'cuda', 'torch'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True, text=True)
    assert result.stdout.startswith("sparsert-opt ")
    assert result.stdout.endswith("\n[]\n")


def test_list_passes_describes_every_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-passes"]) == 0
    text = capsys.readouterr().out
    for name in PASSES:
        assert f"\n  {name}\n      " in text
    assert "rows-per-panel: int|None (default: none)" in text


def _xdsl_opt(*arguments: str) -> str:
    """What plain `xdsl-opt`, which finds the package by its entry point, prints for PRODUCT."""
    program = Path(sys.executable).with_name("xdsl-opt")
    installed = [one.name for one in entry_points(group="xdsl.universe")]
    if "sparsert" not in installed or shutil.which(str(program)) is None:
        pytest.skip("the package is not installed beside xdsl-opt")
    result = subprocess.run(
        [str(program), *arguments],
        input=PRODUCT.encode(),
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    return result.stdout.decode()


def test_xdsl_opt_lists_the_passes() -> None:
    text = "".join(_xdsl_opt("--help").split())
    for name in PASSES:
        assert f"{name}," in text


@pytest.mark.parametrize(
    ("passes", "operation"),
    [
        ("sparsert-partition{rows-per-panel=1}", "sparsert.tiled_spmm"),
        ("sparsert-partition,sparsert-map-to-cpu,sparsert-pack-pattern", "memref.get_global"),
        ("sparsert-partition,sparsert-map-to-cpu,sparsert-unroll-pattern", "sparsert.accumulate"),
        (
            "sparsert-partition,sparsert-map-to-cpu,sparsert-unroll-pattern,sparsert-expand",
            "math.fma",
        ),
    ],
)
def test_xdsl_opt_runs_the_passes(passes: str, operation: str) -> None:
    assert operation in _xdsl_opt("-p", passes)
