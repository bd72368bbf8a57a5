"""Fuzzing of `sparsert-opt`: whatever the text, it answers in time, with a result or a diagnostic.

    python tests/fuzz_driver.py --minutes 10

Prints how many inputs of which kind were tried, and what was found; exit status 1 with findings.
"""

import contextlib
import io
import re
import sys
from pathlib import Path

from fuzz_inputs import make_input
from fuzzing import Input, Outcome, command_line

from sparsert_ir.tools.sparsert_opt import main

_LONGEST_STDERR = 100_000
_CAUGHT = re.compile(r"malformed text: |cannot be verified \(")


def run_input(one: Input, directory: Path) -> Outcome:
    """Run the driver in this process on one input."""
    path = directory / "input.mlir"
    path.write_bytes(one.text)
    arguments = [str(path), *one.arguments]
    try:
        status, stderr = _call_driver(arguments)
        if _CAUGHT.search(stderr):
            return Outcome(status, caught=_raised_at(_call_driver([*arguments, "--debug"])[1]))
    except BaseException as error:
        return Outcome(-1, f"{type(error).__name__} left the driver: {error}")
    return judge(status, stderr)


def _call_driver(arguments: list[str]) -> tuple[int, str]:
    """Exit status and standard error."""
    stdout, stderr = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
    return status, stderr.getvalue()


def _raised_at(traceback: str) -> str:
    """File, function and exception of the first traceback in a text."""
    first = traceback.partition("\nThe above exception")[0]
    file, function = re.findall(r'File "[^"]*?([^"/]*/[^"/]*)", line \d+, in (\w+)', first)[-1]
    return f"{file} {function}: {first.strip().rpartition(chr(10))[2]}"


def judge(status: int, stderr: str) -> Outcome:
    """What is wrong with an answer."""
    problem = ""
    if status not in (0, 1):
        problem = f"status {status}: {stderr.partition('; please report')[0]}"
    elif status == 1 and ": error: " not in stderr:
        problem = "status 1 without a diagnostic"
    elif "out of memory" in stderr:
        problem = f"out of memory: {stderr}"
    elif "Traceback (most recent call last)" in stderr:
        problem = "a traceback"
    elif len(stderr) > _LONGEST_STDERR:
        problem = f"{len(stderr)} characters of diagnostics"
    return Outcome(status, problem)


if __name__ == "__main__":
    sys.exit(command_line(__doc__ or "", make_input, run_input))
