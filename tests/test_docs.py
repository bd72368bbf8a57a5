"""The pages of docs/: what they show runs, the site builds, and it loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, prepare, read_blocks, run_block, shows

from sparsert_ir.runtime.device import find_gpu

DOCS = ROOT / "docs"
RUN_BY_ANOTHER_TEST = {"command-line.md"}
"""tests/test_cli_docs.py runs these in one process, which is faster."""
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
RUN_HERE = [name for name in PAGES if read_blocks(DOCS / name) and name not in RUN_BY_ANOTHER_TEST]
TASKS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def _parameter(name: str) -> object:
    needs_torch = any("torch" in block.text for block in read_blocks(DOCS / name))
    return pytest.param(name, marks=[pytest.mark.torch] if needs_torch else [])


@pytest.mark.parametrize("name", [_parameter(name) for name in RUN_HERE])
def test_what_a_page_shows_runs(name: str, tmp_path: Path) -> None:
    """Its blocks, one after another in one directory, as a reader runs them."""
    prepare(tmp_path)
    for block in read_blocks(DOCS / name):
        if "import torch" in block.text:
            torch = pytest.importorskip("torch", reason="the rest of the page needs torch")
            if "cuda" in block.text and (find_gpu() is None or not torch.cuda.is_available()):
                pytest.skip("the rest of the page needs a GPU")
        run_block(block, tmp_path)


@pytest.mark.parametrize("name", PAGES)
def test_named_tasks_files_and_tests_exist(name: str) -> None:
    text = (DOCS / name).read_text()
    tasks = set(re.findall(r"^ *make ([a-z-]+)", text, re.MULTILINE)) | set(
        re.findall(r"`make ([a-z-]+)", text)
    )
    assert tasks <= set(TASKS)
    named = re.findall(r"(?<![\w/.])((?:src|passes|tests|examples|docs|benchmarks)/[\w./-]*)", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    tests = re.findall(r"`(tests/[\w/.]+)::(\w+)`", text)
    assert [test for test in tests if f"def {test[1]}(" not in (ROOT / test[0]).read_text()] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; strict: a broken link ends the build."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    done = subprocess.run(
        [*command, "--config-file", str(ROOT / "mkdocs.yml"), "--site-dir", str(directory)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    loaded = re.compile(r"<(?:script|img|iframe)[^>]*\bsrc=\"?(?:https?:)?//|<link[^>]*//")
    assert len(pages) > len(PAGES)
    assert [page.name for page in pages if loaded.search(page.read_text())] == []


def test_the_reference_has_every_pass_and_operation(site: Path) -> None:
    passes = (site / "reference" / "passes.html").read_text()
    assert all(
        f'id="{name}"' in passes for name in ("sparsert-partition", "sparsert-unroll-pattern")
    )
    dialects = (site / "reference" / "dialects.html").read_text()
    assert "sparsert.tiled_spmm" in dialects
    assert "nvvm.barrier0" in dialects
    knobs = (site / "reference" / "schedules.html").read_text()
    assert "rows_per_panel" in knobs
    assert "usage: sparsert tune" in (site / "reference" / "commands.html").read_text()
    assert "ArchitectureError" in (site / "reference" / "errors.html").read_text()


def test_every_promise_names_its_tests() -> None:
    """Each row of the tables of promises, and there are some."""
    text = (DOCS / "guarantees.md").read_text().split("\n## What overlapped")[0]
    promises = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [line for line in promises if line != "| promise | guarded by |"]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row] == []


def test_output_is_compared_line_by_line() -> None:
    assert shows("a\n...\nb (1)\n", "a\nx\ny\nb (1)\n")
    assert not shows("a\nb\n", "a\nb\nc\n")
    assert not shows("a.\n", "ab\n")
