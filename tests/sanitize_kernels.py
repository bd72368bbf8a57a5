"""Runs small kernels of every schedule's knob on a GPU, under compute-sanitizer.

    python tests/sanitize_kernels.py                # memcheck, racecheck, initcheck, synccheck
    python tests/sanitize_kernels.py --tool none    # the kernels alone, without compute-sanitizer

Each tool first has to find the fault of a kernel that was made for it, and then nothing in ours,
whose results must be exact. compute-sanitizer is the program that SPARSERT_COMPUTE_SANITIZER names,
that of the PATH, or that of the package nvidia-cuda-sanitizer-api. Arrays come from the driver
(`DeviceMemory`): under torch's allocator an access past their end would not be seen.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sanitizer_cases import KernelCase, all_cases
from sanitizer_faults import FAULTS, run_fault

from sparsert_ir import Kernel
from sparsert_ir.dense import Array
from sparsert_ir.gpu_facts import BULK_COPY_FROM, CLUSTERS_FROM, OVERLAP_FROM, architecture_number
from sparsert_ir.runtime.device import probe_gpus, require_gpu
from sparsert_ir.runtime.device_array import DeviceArray

VARIABLE = "SPARSERT_COMPUTE_SANITIZER"
_TIMEOUT = 280.0
_FOUND = 99
_SM_80 = 80
_LAUNCHES = 2
"""Of each kernel, one right after the other, so that launches that may overlap do."""
_SHARED_TOO = "--initcheck-address-space"
_OPTIONS = {"memcheck": ["--padding", "512"]}


def find_sanitizer() -> str | None:
    """The program, or None."""
    given = os.environ.get(VARIABLE) or shutil.which("compute-sanitizer")
    if given:
        return given
    spec = find_spec("nvidia")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    found = [one for place in places for one in sorted(Path(place).glob("*/bin/compute-sanitizer"))]
    return str(found[0]) if found else None


def tool_options(sanitizer: str, tool: str) -> list[str]:
    """What is checked beyond a tool's defaults; calls of the driver are checked by our runtime."""
    options = ["--tool", tool, "--error-exitcode", str(_FOUND), *_OPTIONS.get(tool, [])]
    if tool == "memcheck":
        options += ["--report-api-errors", "no"]
    if tool == "initcheck" and _SHARED_TOO in _output([sanitizer, "--help"])[1]:
        options += [_SHARED_TOO, "all"]
    return options


def _output(command: list[str]) -> tuple[int, str]:
    """Exit status and everything printed; -1 where it took too long."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    ended = ""
    try:
        text, _ = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the program and the kernels' process
        text, _ = process.communicate()
        ended = f"\nended after {_TIMEOUT} s"
    return -1 if ended else process.returncode, text.decode(errors="replace") + ended


def watch(sanitizer: str, tool: str) -> bool:
    """Run the tool on its fault and on all kernels; prints what came of it."""
    command = [sanitizer, *tool_options(sanitizer, tool), sys.executable, __file__]
    status, text = _output([*command, "--fault", tool])
    if status != _FOUND or FAULTS[tool].words not in text:
        print(f"{tool}: its fault was not found (status {status}):\n{text}")
        return False
    begin = time.monotonic()
    unpoisoned = ["--unpoisoned"] if tool == "initcheck" else []
    status, text = _output([*command, "--tool", "none", *unpoisoned])
    seconds = time.monotonic() - begin
    if status:
        print(f"{tool}: status {status} after {seconds:.0f} s:\n{text}")
        return False
    summary = [line.strip("= ") for line in text.splitlines() if "kernels" in line]
    print(f"{tool}: found its fault; nothing in {'; '.join(summary)}; {seconds:.0f} s")
    return True


@dataclass
class Count:
    """Of what was run; `wrong` names the kernels with a wrong result."""

    kernels: int = 0
    launches: int = 0
    results: int = 0
    skipped: int = 0
    wrong: list[str] | None = None

    def __str__(self) -> str:
        return (
            f"{self.kernels} kernels, {self.launches} launches, {self.results} exact results,"
            f" {len(self.wrong or [])} wrong, {self.skipped} skipped"
        )


def run_kernels(poisoned: bool) -> Count:
    """Every case on the first GPU.

    poisoned: whether y is NaN before; otherwise nothing is written to it before, so that a kernel
              that reads it is found out.
    """
    gpu = require_gpu()
    count = Count(wrong=[])
    for case in all_cases():
        if architecture_number(gpu.arch) < _needed(case):
            count.skipped += 1
            continue
        count.kernels += 1
        for result, expected in _results(case, poisoned):
            count.launches += 1
            exact = np.array_equal(result, expected)
            count.results += exact
            if not exact:
                count.wrong = [*(count.wrong or []), case.name]
                print(f"{case.name}: {np.count_nonzero(result != expected)} elements are wrong")
    return count


def _needed(case: KernelCase) -> int:
    """The oldest architecture that runs it: 90 for sm_90, 0 for any."""
    schedule = case.schedule
    if schedule is None:
        return 0
    overlapped = OVERLAP_FROM if schedule.launch == "overlapped" else 0
    staged = {"async": _SM_80, "bulk": BULK_COPY_FROM}.get(schedule.staging, 0)
    converted = _SM_80 if case.dtype == "bf16" else 0
    return max(overlapped, staged, converted, CLUSTERS_FROM if schedule.cluster > 1 else 0)


def _results(case: KernelCase, poisoned: bool) -> list[tuple[Array, Array]]:
    """Results with what they should be: of each launch, and again with other values."""
    kernel = case.compile(None)
    arguments = [DeviceArray.copy_of(array) for array in case.arguments]
    results = [(y, case.expected) for y in _launch(kernel, case, arguments, poisoned)]
    if case.update is not None:
        matrix, expected = case.update
        kernel.update_values(matrix)
        results += [(y, expected) for y in _launch(kernel, case, arguments, poisoned)]
    return results


def _launch(
    kernel: Kernel, case: KernelCase, arguments: list[DeviceArray], poisoned: bool
) -> list[Array]:
    shape, dtype = case.expected.shape, case.expected.dtype
    outputs = [
        DeviceArray.copy_of(np.full(shape, np.nan, dtype))
        if poisoned
        else DeviceArray.empty(shape, dtype.name)
        for _ in range(_LAUNCHES)
    ]
    for y in outputs:
        kernel(*arguments, out=y)
    return [y.numpy() for y in outputs]


def _main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    tools = [*FAULTS, "none"]
    parser.add_argument("--tool", action="append", choices=tools, help="all four unless given")
    parser.add_argument("--fault", choices=FAULTS, help="run this tool's faulty kernel and stop")
    parser.add_argument("--unpoisoned", action="store_true", help="do not write to y before")
    options = parser.parse_args()
    if options.fault:
        run_fault(options.fault)
        return 0
    if options.tool == ["none"]:
        begin = time.monotonic()
        count = run_kernels(not options.unpoisoned)
        print(f"{count}; {time.monotonic() - begin:.1f} s")
        return 1 if count.wrong else 0
    sanitizer = find_sanitizer()
    if sanitizer is None:
        sys.exit(f"no compute-sanitizer: install nvidia-cuda-sanitizer-api, or set {VARIABLE}")
    if not probe_gpus().gpus:
        sys.exit(f"no GPU: {probe_gpus().reason}")
    good = [watch(sanitizer, tool) for tool in options.tool or FAULTS if tool in FAULTS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(_main())
