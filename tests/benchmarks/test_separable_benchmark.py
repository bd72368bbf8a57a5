"""benchmarks/separable.py: what it builds and times, and its tables."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import separable
from separable import BLOCKS, Block, build_jobs, cases, ours_to_time, parse, write_all
from sparsert_ir.tuner.build_job import build


def test_cases_are_the_blocks_of_mobilenet() -> None:
    found = list(cases(parse(["--batch", "1", "8", "--only", "512-512", "--dtype", "f32"])))
    assert [(block.label, dtype) for block, dtype in found] == [
        ("512-512@14 x1", "f32"),
        ("512-512@14 x8", "f32"),
    ]
    assert len(list(cases(parse([])))) == 2 * len(BLOCKS)


def test_one_kernel_two_kernels_and_candidates_are_built() -> None:
    layers = Block.of((4, 6, 40, 2), 1, 0.5).layers("f32")
    jobs = build_jobs(layers, "cpu", 1)
    assert [name for name, _ in jobs] == ["one", "depthwise", "pointwise", "tuned"]
    built = {name: [build(job)] for name, job in jobs}
    chains = ours_to_time(built)
    assert {name: [len(chain) for chain in ours] for name, ours in chains.items()} == {
        "one": [1],
        "tuned": [1, 1],
        "two": [2],
    }
    assert built["one"][0].binary.signature.y_shape == (1, 6, 20, 20)


def test_tables_name_what_failed(tmp_path: Path) -> None:
    row: dict[str, Any] = {"label": "a", "dtype": "f32", "us": {"one": 2.0}, "predicted": "p"}
    row["failures"] = ["two: it broke"]
    write_all(tmp_path / "deep" / "out", "t", [row])
    text = (tmp_path / "deep" / "out.md").read_text()
    assert "| a f32 | 2.00 | p |" in text
    assert "- a f32: two: it broke" in text
    assert (tmp_path / "deep" / "out.json").read_text().startswith("{")


@pytest.mark.torch
def test_a_block_is_checked_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra: torch); no peers")
    monkeypatch.setattr(separable, "BLOCKS", ((4, 6, 9, 2),))
    monkeypatch.setattr(separable, "_CPU_SECONDS", 0.01)
    torch: Any = import_module("torch")
    threads = torch.get_num_threads()
    try:
        arguments = ["--target", "cpu", "--candidates", "1", "--output", str(tmp_path / "out")]
        assert separable.main(arguments) == 0
    finally:
        torch.set_num_threads(threads)
    text = (tmp_path / "out.md").read_text()
    assert "4-6@9 stride 2 x1 f16" in text
    assert "\n- " not in text
