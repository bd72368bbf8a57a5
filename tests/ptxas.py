"""NVIDIA's assembler, from the package nvidia-cuda-nvcc: it judges PTX without a GPU."""

import re
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Assembled:
    """What ptxas says of one kernel.

    spill_bytes: of registers that were stored and loaded because there were too few.
    """

    registers: int
    spill_bytes: int


def find_ptxas() -> Path | None:
    """The program in the installed packages, or None."""
    spec = find_spec("nvidia")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    found = [path for place in places for path in sorted(Path(place).glob("*/bin/ptxas"))]
    return found[0] if found else None


def assemble(ptx: str, architecture: str, directory: Path) -> Assembled:
    """Assemble to kernel.cubin for one architecture; the test fails with ptxas' words if it cannot.

    Skips the test where ptxas is not installed.
    """
    ptxas = find_ptxas()
    if ptxas is None:
        pytest.skip("no ptxas: install the test extra (nvidia-cuda-nvcc)")
    source = directory / "kernel.ptx"
    source.write_text(ptx)
    target = str(directory / "kernel.cubin")
    command = [str(ptxas), "-v", "-arch", architecture, "-o", target, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"ptxas -arch {architecture}: {done.stderr}")
    registers = [int(count) for count in re.findall(r"Used (\d+) registers", done.stderr)]
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", done.stderr)
    assert len(registers) == 1, done.stderr
    assert len(spills) == 2, done.stderr
    return Assembled(registers[0], sum(map(int, spills)))
