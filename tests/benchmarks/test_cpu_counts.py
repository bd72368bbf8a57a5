"""Counting instructions and cache misses, with a valgrind that only runs the process."""

import json
from pathlib import Path

import pytest

import cpu_counts

VALGRIND = """#!/bin/sh
# As many instructions as 1000 and 100 for each call, the last argument.
while [ "${1#--}" != "$1" ]; do shift; done
"$@" || exit
for calls; do :; done
echo "==1== I   refs:      $((1000 + 100 * calls))" >&2
echo "==1== D   refs:      1,0$((10 + calls))  (900 rd + 110 wr)" >&2
echo "==1== D1  misses:    7  (4 rd + 3 wr)" >&2
echo "==1== LLd misses:    3  (2 rd + 1 wr)" >&2
"""
COUNTS = {"instructions": 100, "loads and stores": 1, "L1 misses": 0, "L2 misses": 0}


def test_the_counts_are_those_of_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    valgrind = tmp_path / "valgrind"
    valgrind.write_text(VALGRIND)
    valgrind.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    contenders = ["ours", "numpy"]
    arguments = ["--only", "tiny/0.9/16x16/4", "--contenders", *contenders, "--calls", "3"]
    assert cpu_counts.main([*arguments, "--output", str(tmp_path / "counts")]) == 0
    found = json.loads((tmp_path / "counts.json").read_text())
    assert [row["contender"] for row in found["rows"]] == contenders
    assert all(row["counts"] == COUNTS for row in found["rows"])
    assert str(tmp_path) not in found["command"]
    text = (tmp_path / "counts.md").read_text()
    assert "| tiny/0.9/16x16/4 | numpy | 100 | 1 | 0 | 0 |" in text


def test_a_summary_without_a_counter_is_an_error() -> None:
    with pytest.raises(SystemExit, match="expected a line like"):
        cpu_counts.counters_of("==1== I   refs:      12")


def test_no_valgrind_and_no_case_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="expected a case, got none"):
        cpu_counts.main(["--only", "no such case", "--output", str(tmp_path / "counts")])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="expected valgrind on the path"):
        cpu_counts.main(["--only", "tiny", "--output", str(tmp_path / "counts")])
