"""`sparsert`: every subcommand answers, in tables and in JSON, and mistakes are one line."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import pruned

from sparsert_ir.cli.main import main
from sparsert_ir.element_types import numpy_type, rounded
from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE
from sparsert_ir.runtime.device import find_gpu

Sparsert = Callable[..., Any]

IMAGES = ("--input-shape", "1", "4", "8", "8")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A layer's file in the current directory, and beside it filter.npy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    weight = random.standard_normal((24, 16)) * (random.random((24, 16)) < 0.3)
    np.savez("layer.npz", weight=weight.astype(np.float32), bias=np.arange(24.0), n=20)
    np.save("filter.npy", weight[:, :4].reshape(6, 4, 2, 2).astype(np.float32))
    return "layer.npz"


@pytest.fixture
def sparsert(capsys: pytest.CaptureFixture[str]) -> Sparsert:
    """Runs a command that must go well; the JSON document with --json, else the text."""

    def run(*arguments: str) -> Any:
        capsys.readouterr()
        status = main(list(arguments))
        captured = capsys.readouterr()
        assert (status, captured.err) == (0, "")
        return json.loads(captured.out) if "--json" in arguments else captured.out

    return run


@pytest.fixture
def mistake(capsys: pytest.CaptureFixture[str]) -> Sparsert:
    """Runs a command that must be refused; its one line."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("sparsert: error: ")
        assert captured.err.count("\n") == 1
        return captured.err

    return run


def test_a_layer_is_compiled_stored_inspected_and_run(weights: str, sparsert: Sparsert) -> None:
    document = sparsert("compile", weights, "--target", "cpu", "--activation", "relu", "--json")
    assert document["output"] == "layer.sparsert"
    assert document["n"] == 20
    assert document["nonzeros"] == np.count_nonzero(np.load(weights)["weight"])
    assert document["stages"][0]["name"] == "sparsert-import-linalg"
    facts = sparsert("inspect", "layer.sparsert", "--json")
    assert facts["kind"] == "artefact"
    assert facts["signature"]["x_shape"] == [16, 20]
    shown = sparsert("inspect", "layer.sparsert")
    assert "y[24, 20] from x[16, 20]" in shown
    assert "LLVM IR" in shown
    assert "PTX" not in shown
    x = np.random.default_rng(1).standard_normal((16, 20)).astype(np.float32)
    np.save("x.npy", x)
    sparsert("run", "layer.sparsert", "--x", "x.npy", "-o", "y.npy")
    file = np.load(weights)
    expected = np.maximum(file["weight"] @ x + file["bias"][:, None], 0)
    assert np.allclose(np.load("y.npy"), expected, atol=1e-5)


def test_bf16_is_stored_as_f32(weights: str, sparsert: Sparsert) -> None:
    x = np.random.default_rng(1).integers(-2, 3, (16, 20)).astype(np.float32)
    np.save("x.npy", x)
    sparsert("run", weights, "--dtype", "bf16", "--target", "cpu", "--x", "x.npy", "-o", "y.npy")
    y = np.load("y.npy")
    assert y.dtype == np.float32
    file = np.load(weights)
    weight, bias = (rounded(file[name], numpy_type("bf16")) for name in ("weight", "bias"))
    wide = weight.astype(np.float64) @ x + bias.astype(np.float64)[:, None]
    assert np.allclose(y, wide, rtol=2**-8, atol=1e-4)


def test_run_checks_a_matrix_against_float64(weights: str, sparsert: Sparsert) -> None:
    for more in (
        (),
        ("--dtype", "f16"),
        ("--dtype", "bf16"),
        ("--residual", "after"),
        ("--bias", "none"),
    ):
        document = sparsert("run", weights, "--target", "cpu", "--json", *more)
        assert document["checked"] is True
        assert document["us"] > 0


def test_a_bias_belongs_to_the_weight_whatever_its_name(weights: str, sparsert: Sparsert) -> None:
    stored = dict(np.load(weights))
    np.savez("other.npz", w=stored["weight"], bias=stored["bias"])
    x = np.ones((16, 3), np.float32)
    np.save("x.npy", x)
    sparsert("run", "other.npz", "-n", "3", "--target", "cpu", "--x", "x.npy", "-o", "y.npy")
    expected = stored["weight"] @ x + stored["bias"][:, np.newaxis]
    assert np.allclose(np.load("y.npy"), expected, atol=1e-4)


def test_nan_and_infinity_in_x_are_no_wrong_result(weights: str, sparsert: Sparsert) -> None:
    x = np.ones((16, 20), np.float32)
    x[3, 5], x[7, 9], x[7, 10] = np.nan, np.inf, -np.inf
    np.save("x.npy", x)
    facts = sparsert("run", weights, "--target", "cpu", "--x", "x.npy", "-o", "y.npy", "--json")
    assert facts["checked"]
    assert np.isnan(np.load("y.npy")[:, 5]).any()


def test_tables_are_as_wide_as_their_numbers(
    weights: str, sparsert: Sparsert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparsert_ir.cli.report._WIDTH_OF_NO_TERMINAL", 40)
    text = sparsert("advise", weights, "--target", "sm_90")
    assert re.search(r"│ +20 │ .* us │ .* us │ .*x (faster|slower) │", text)


@pytest.mark.parametrize(
    ("emit", "target", "expected"),
    [
        (("--emit", "ptx"), "sm_90", ".entry spmm"),
        (("--emit", "llvm"), "sm_80", "ptx_kernel"),
        (("--emit", "assembly"), "cpu", "spmm"),
        (("--stage", "sparsert-partition"), "sm_90", "sparsert.tiled_spmm"),
    ],
)
def test_text_goes_to_standard_output_or_a_file(
    emit: tuple[str, ...], target: str, expected: str, weights: str, sparsert: Sparsert
) -> None:
    command = ("compile", weights, "--target", target, *emit)
    text = sparsert(*command, "-o", "-")
    assert expected in text
    sparsert(*command, "-o", "out.txt")
    assert Path("out.txt").read_text() == text


def test_stages_are_listed(weights: str, sparsert: Sparsert) -> None:
    stages = sparsert("compile", weights, "--target", "sm_90", "--list-stages", "--json")["stages"]
    assert stages[0] == "input"
    assert "sparsert-partition" in stages
    assert not Path("layer.sparsert").exists()


def test_inspect_describes_a_pattern(weights: str, sparsert: Sparsert) -> None:
    facts = sparsert("inspect", weights, "-n", "196", "--json")
    weight = np.load(weights)["weight"]
    assert facts["nonzeros"] == np.count_nonzero(weight)
    assert facts["row_most"] == (weight != 0).sum(axis=1).max()
    assert facts["empty_columns"] == ((weight != 0).sum(axis=0) == 0).sum()
    kernel = facts["kernel"]
    assert kernel["panel_most"] - kernel["panel_least"] <= (
        kernel["unbalanced_most"] - kernel["unbalanced_least"]
    )
    assert 0 < kernel["floor_us"] <= kernel["predicted_us"]
    assert "nonzeros per panel" in sparsert("inspect", weights, "-n", "196")
    # The file says for how many columns.
    assert "N = 20, f32, sm_90" in sparsert("inspect", weights)
    on_cpu = sparsert("inspect", weights, "--target", "cpu", "--json")["kernel"]
    assert on_cpu["predicted_us"] > 0
    assert on_cpu["threads"] >= 1
    assert "on one thread" in sparsert("inspect", weights, "--target", "cpu")


def test_inspect_tells_how_many_panels_a_warp_takes_in_turn(
    tmp_path: Path, sparsert: Sparsert
) -> None:
    file = str(tmp_path / "tall.npy")
    np.save(file, np.ones((50_000, 16), np.float32))
    turns = sparsert("inspect", file, "-n", "8", "--json")["kernel"]["panels_per_warp"]
    assert turns > 1
    shown = sparsert("inspect", file, "-n", "8")
    assert f"up to {turns} one after another by each warp" in shown
    np.save(file, np.ones((50, 16), np.float32))
    assert "one after another" not in sparsert("inspect", file, "-n", "8")


def test_inspect_of_a_gpu_kernel_says_what_it_can_reach(weights: str, sparsert: Sparsert) -> None:
    sparsert("compile", weights, "--target", "sm_90")
    facts = sparsert("inspect", "layer.sparsert", "--json")
    assert facts["floor_us"] == pytest.approx(0.8, rel=0.1)
    assert (facts["code_bytes"], facts["registers"]) == (None, None)
    shown = sparsert("inspect", "layer.sparsert")
    assert "none: the driver makes it at the first call" in shown
    assert "us (H200)" in shown
    assert "rows_per_panel = " in shown


def test_advise_takes_the_columns_from_the_file(weights: str, sparsert: Sparsert) -> None:
    document = sparsert("advise", weights, "--target", "sm_90", "--json")
    assert [one["n"] for one in document["advice"]] == [20]


def test_advise_predicts_for_a_cpu(weights: str, sparsert: Sparsert) -> None:
    command = ("advise", weights, "-n", "1", "196", "--target", "cpu")
    document = sparsert(*command, "--json")
    assert [one["lowering"] for one in document["advice"]] == ["data", "data"]
    for one in document["advice"]:
        [mode] = one["modes"]
        assert mode["mode"] == "f32"
        assert 0 <= mode["density_limit"] <= 1
        assert mode["ratio"] == pytest.approx(mode["dense_us"] / one["sparse_us"])


@pytest.mark.parametrize("groups", [1, 4])
def test_advise_predicts_convolutions_for_a_cpu(
    groups: int, tmp_path: Path, sparsert: Sparsert
) -> None:
    weight = pruned(64, 576 // groups, 0.1).reshape(64, -1, 3, 3)
    np.save(tmp_path / "filter.npy", weight)
    command = ("advise", str(tmp_path / "filter.npy"), "--input-shape", "2", "64", "14", "14")
    command += ("--padding", "1", "--groups", str(groups), "--target", "cpu")
    [one] = sparsert(*command, "--json")["advice"]
    [mode] = one["modes"]
    assert one["n"] == 2 * 14 * 14
    assert mode["ratio"] == pytest.approx(mode["dense_us"] / one["sparse_us"])
    assert (mode["ratio"] > 1) == (mode["density_limit"] > 0.1)
    density = np.count_nonzero(weight) / weight.size
    assert f"64 filters of {576 // groups} taps, density {density:.1%}" in sparsert(*command)


def test_advise_compares_with_every_dense_mode(weights: str, sparsert: Sparsert) -> None:
    command = ("advise", weights, "-n", "1", "196", "--target", "sm_90")
    document = sparsert(*command, "--json")
    assert [one["n"] for one in document["advice"]] == [1, 196]
    for one in document["advice"]:
        assert [mode["mode"] for mode in one["modes"]] == ["f32", "tf32"]
        for mode in one["modes"]:
            assert mode["ratio"] == pytest.approx(mode["dense_us"] / one["sparse_us"])
            # The layer's density is 30%: below the limit exactly where sparse wins.
            assert (mode["ratio"] > 1) == (mode["density_limit"] > 0.3)
    assert "dense mode" in sparsert(*command)


def test_tune_stores_a_record_that_compile_takes(weights: str, sparsert: Sparsert) -> None:
    command = ("tune", weights, "--target", "cpu", "--candidates", "2", "--workers", "1")
    document = sparsert(*command, "--json")
    assert document["complete"]
    assert len(document["candidates"]) == 3
    compiled = sparsert("compile", weights, "--target", "cpu", "--schedule", "layer.json", "--json")
    assert compiled["schedule"] == document["schedule"]
    Path("knobs.json").write_text('{"lowering": "data", "threads": 1, "columns_per_thread": 4}')
    compiled = sparsert("compile", weights, "--target", "cpu", "--schedule", "knobs.json", "--json")
    assert compiled["schedule"]["columns_per_thread"] == 4


def test_bench_compares_with_libraries(weights: str, sparsert: Sparsert) -> None:
    document = sparsert("bench", weights, "--target", "cpu", "--json")
    assert set(document["peers"]) == {"numpy, dense", "scipy, CSR"}
    for name, us in document["peers"].items():
        assert document["ratios"][name] == pytest.approx(us / document["us"])
    assert "scipy, CSR" in sparsert("bench", weights, "--target", "cpu")


def test_a_convolution_is_tuned_compiled_inspected_run_and_timed(
    weights: str, sparsert: Sparsert, mistake: Sparsert
) -> None:
    random = np.random.default_rng(1)
    filters = random.standard_normal((6, 2, 3, 3)) * (random.random((6, 2, 3, 3)) < 0.5)
    np.savez("filter.npz", weight=filters.astype(np.float32))
    np.save("bias.npy", np.arange(6.0))
    layer = (
        *("filter.npz", "--input-shape", "2", "4", "9", "8", "--padding", "1", "--groups", "2"),
        *("--stride", "2", "1", "--bias", "bias.npy", "--target", "cpu"),
    )
    record = sparsert("tune", *layer, "--candidates", "2", "--json")
    assert record["output"] == "filter.json"
    assert "image=(9, 8)" in record["layer"]["window"]
    made = sparsert("compile", *layer, "--schedule", "filter.json", "--json")
    assert made["schedule"] == record["schedule"]
    assert made["n"] == 2 * 5 * 8
    facts = sparsert("inspect", "filter.sparsert", "--json")
    assert facts["signature"]["y_shape"] == [2, 6, 5, 8]
    assert sparsert("run", *layer, "--json")["checked"] is True
    assert sparsert("run", "filter.sparsert", "--json")["shape"] == [2, 6, 5, 8]
    assert sparsert("bench", *layer, "--json")["us"] > 0
    nothing = mistake("run", *layer, "-n", "3")
    assert "-n: expected nothing with --input-shape" in nothing
    assert "expected a filter of rank 4" in mistake("run", "layer.npz", *layer[1:])


def test_cache_says_what_is_kept_and_removes_it(
    weights: str, sparsert: Sparsert, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sparsert_ir

    sparsert_ir.compile(np.load(weights)["weight"], n=4, target="cpu", schedule="tune")
    assert sparsert("cache", "info", "--json")["tuning_records"] == 1
    assert sparsert("cache", "clear", "--json")["tuning_records"] == 1
    assert sparsert("cache", "info", "--json")["tuning_records"] == 0
    monkeypatch.setenv(DIRECTORY_VARIABLE, "off")
    assert sparsert("cache", "info", "--json")["directory"] is None
    assert "switched off" in sparsert("cache", "info")


def test_doctor_runs_a_kernel(weights: str, sparsert: Sparsert) -> None:
    document = sparsert("doctor", "--json")
    assert document["ok"]
    states = {one["what"]: one["state"] for one in document["findings"]}
    assert states["target cpu"] == "ok"
    assert states["target GPU"] == ("missing" if find_gpu() is None else "ok")
    assert "target cpu" in sparsert("doctor")


@pytest.mark.parametrize("place", ["/dev/null", "/proc/cache"])
def test_doctor_says_where_no_cache_can_be(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, place)
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    (cache,) = (one for one in findings if one["what"] == "cache")
    assert cache["state"] == "broken"
    assert DIRECTORY_VARIABLE in cache["detail"]


def test_mistakes_are_one_line(weights: str, mistake: Sparsert) -> None:
    assert "missing.npz" in mistake("inspect", "missing.npz")
    assert "columns of x" in mistake("compile", weights.replace("layer", "plain"), "--bias", "none")


@pytest.fixture(autouse=True)
def _a_file_without_n(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", weight=np.eye(3))
    np.savez(tmp_path / "short_bias.npz", weight=np.eye(3), bias=np.ones(2), n=2)
    np.savez(tmp_path / "no_n.npz", weight=np.eye(3), n=0)
    (tmp_path / "x\x1b[31m.npy").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("compile", "layer.npz", "--target", "sm_35"), "sm_90"),
        (("compile", "layer.npz", "--target", "cpu", "--emit", "ptx"), "GPU target"),
        (("compile", "layer.npz", "--target", "cpu", "-o", "-"), "standard output"),
        (("compile", "layer.npz", "--target", "cpu", "-o", "no/where"), "no/where"),
        (("compile", "layer.npz", "--target", "cpu", "--stage", "x"), "sparsert-partition"),
        (("compile", "layer.npz", "--target", "cpu", "--schedule", "x.json"), "x.json"),
        (("compile", "layer.npz", "--target", "cpu", "--schedule", "layer.npz"), "layer.npz"),
        (("compile", "layer.npz", "--target", "sm_90", "--lowering", "code", "--code-budget", "9"),
         "code_budget"),
        (("compile", "layer.npz", "--bias", "plain.npz", "--target", "cpu"), "--bias"),
        (("run", "x.sparsert"), "x.sparsert"),
        (("run", "layer.npz", "--target", "cpu", "--x", "absent.npy"), "--x"),
        (("run", "layer.npz", "--target", "cpu", "--r", "absent.npy"), "--r"),
        (("advise", "layer.npz", *IMAGES, "--target", "cpu"), "filter"),
        (("advise", "layer.npz", *IMAGES, "-n", "3", "--target", "cpu"), "with --input-shape"),
        (("advise", "filter.npy", *IMAGES, "--target", "sm_90"), "expected cpu for a convolution"),
        (("advise", "layer.npz", "-n", "0", "--target", "sm_90"), "from 1 to"),
        (("advise", "layer.npz", "-n", str(2**31 - 1), "--target", "sm_90"), "at most 2147483647"),
        (("inspect", "layer.npz", "-n", str(10**20)), "from 1 to"),
        (("plot", "layer.npz", "-n", str(10**9), "-o", "p.svg"), "at most 2147483647"),
        (("run", "short_bias.npz", "--target", "cpu"), "bias: expected shape (3,), got (2,)"),
        (("compile", "no_n.npz", "--target", "cpu"), "n: expected 1 to"),
        (("compile", "layer.npz", "--target", "cpu", "-o", "layer.npz"), "than the input"),
        (("compile", "layer.npz", "--target", "cpu", "-o", "x.npz"), "which is a matrix's"),
        (("run", "layer.npz", "--target", "cpu", "-o", "-"), "got standard output"),
        (("compile", "layer.npz", "--emit", "llvm", "--stage", "input"), "with --stage"),
        (("compile", "layer.npz", "--target", "cpu", "--stride", "2"), "without --input-shape"),
        (("run", "x.sparsert", "-n", "4"), "-n: expected nothing with a stored kernel"),
        (("inspect", "x.sparsert", "--dtype", "f16"), "--dtype: expected nothing"),
        (("tune", "layer.npz", "--target", "cpu", "-o", "no/where.json"), "no/where.json"),
        (("tune", "layer.npz", "--target", "cpu", "--workers", "0"), "worker"),
        (("inspect", "x\x1b[31m.npy"), "\\x1b"),
    ],
)  # fmt: skip
def test_mistakes_name_what_was_expected(
    arguments: tuple[str, ...], expected: str, weights: str, mistake: Sparsert
) -> None:
    line = mistake(*arguments)
    assert expected in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("compile",), ("cache", "fill"), ("inspect", "a", "--kye")]
)
def test_a_wrong_command_line_is_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_warnings_are_one_line(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pattern.smtx").write_text("2, 2, 2\n0 1 2\n0 1\n")
    assert main(["inspect", "pattern.smtx"]) == 0
    error = capsys.readouterr().err
    assert error.startswith("sparsert: warning: ")
    assert error.count("\n") == 1


def test_the_command_starts_fast_and_knows_its_version() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "sparsert_ir.cli.main", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("sparsert ")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"numpy", "scipy", "xdsl", "llvmlite", "rich", "cuda", "torch"}
    assert not imported & {*heavy, "xdsl.ir", "rich.console", "llvmlite.binding"}


def test_an_interrupt_has_its_own_exit_status(weights: str) -> None:
    command = [sys.executable, "-m", "sparsert_ir.cli.main", "tune", weights, "--target", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        time.sleep(0.7)
        os.killpg(process.pid, 2)
        _, error = process.communicate(timeout=60)
    if process.returncode == 130:
        assert error.endswith(b"sparsert: interrupted\n")
    else:
        # The signal came before Python or after the first result: that result is kept.
        assert process.returncode in (0, -2, 1)


@pytest.mark.parametrize("arguments", ["inspect layer.npz", "--version"])
@pytest.mark.parametrize("nowhere", ["| true", ">&-", ">/dev/full"])
def test_output_that_nobody_reads_is_no_traceback(
    weights: str, arguments: str, nowhere: str
) -> None:
    line = f"{sys.executable} -m sparsert_ir.cli.main {arguments} {nowhere}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
