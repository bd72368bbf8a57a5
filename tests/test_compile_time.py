"""benchmarks/compile_time.py: a table by stage, and limits that it reports."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "compile_time.py"


@pytest.mark.parametrize(("target", "code"), [("sm_90", "ptx"), ("cpu", "machine-code")])
def test_the_table_has_every_stage(target: str, code: str, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--nonzeros", "200", "1638", "--repeats", "1"]
    command += ["--target", target]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["ms", "200", "1,638"], done.stderr
    stages = [line[0] for line in lines[1:] if len(line) == 3]
    assert stages[0] == "import-linalg"
    assert stages[-3:] == ["llvm-text", code, "total"]
    assert "growth of the cost per nonzero" in done.stdout
