"""Fuzzing of `sparsert-opt`: whatever the text, it answers in time, with a result or a diagnostic.

    python tests/fuzz_driver.py --minutes 10

The driver runs inside a worker process, which is replaced when it dies or exceeds the time limit.
Prints how many inputs of which kind were tried, and what was found; exit status 1 with findings.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, cast

from fuzz_inputs import Input, make_input

from sparsert_ir.tools.sparsert_opt import main

_MEMORY = 4 * 2**30
_INPUTS_PER_WORKER = 20_000
_LONGEST_STDERR = 100_000
_START_SECONDS = 60.0
_CAUGHT = re.compile(r"malformed text: |cannot be verified \(")


@dataclass(frozen=True)
class Outcome:
    """What the driver did with one input. problem: "" where the answer was proper.

    caught: where a parser or verifier raised a bare Python exception that the driver turned into a
    diagnostic, and which ("" for none).
    """

    status: int
    problem: str = ""
    caught: str = ""


Answer: TypeAlias = Callable[[Input, Path], Outcome]


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


def _work(
    pipe: Connection, answer: Answer, directory: str, seed: int, begin: int, end: int
) -> None:
    """Run inputs begin ... end - 1; sends the number of each before it, and its outcome after."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    except ImportError:
        pass  # no such limits on this platform
    for number in range(begin, end):
        one = make_input(seed, number)
        pipe.send(number)
        pipe.send((one.kind, answer(one, Path(directory))))
    pipe.close()


def _fast_directory() -> str | None:
    """A place in memory, where there is one: a file is written for each input."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None


@dataclass
class Tally:
    """What was tried and found; findings that differ only in numbers and names count as one."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    findings: Counter[str] = field(default_factory=Counter[str])
    caught: Counter[str] = field(default_factory=Counter[str])
    first: dict[str, int] = field(default_factory=dict[str, int])
    slowest: tuple[float, int] = (0.0, -1)

    def add(self, number: int, kind: str, outcome: Outcome, seconds: float) -> None:
        self.answers[kind, outcome.status] += 1
        self.slowest = max(self.slowest, (seconds, number))
        for text, counter in ((outcome.problem, self.findings), (outcome.caught, self.caught)):
            if text:
                counter[key := _without_details(text)] += 1
                self.first.setdefault(key, number)

    def table(self) -> str:
        lines = [f"{'inputs':>9}  {'result':>9}  {'diagnostic':>10}  kind"]
        kinds = sorted({kind for kind, _ in self.answers})
        for kind in kinds:
            total = sum(count for (one, _), count in self.answers.items() if one == kind)
            good, bad = self.answers[kind, 0], self.answers[kind, 1]
            lines.append(f"{total:>9}  {good:>9}  {bad:>10}  {kind}")
        lines.append(f"{self.answers.total():>9} in all; the slowest took {self.slowest[0]:.2f} s")
        for title, counter in (
            ("exceptions of parsers and verifiers, answered with a diagnostic", self.caught),
            ("findings", self.findings),
        ):
            lines.append(f"{len(counter)} {title}")
            for text, count in counter.most_common():
                lines.append(f"{count:>9}  first: input {self.first[text]}  {text}")
        return "\n".join(lines)


def _without_details(text: str) -> str:
    """The message without numbers, names and types, to count alike ones together."""
    text = re.sub(r"/\S*/input\.mlir", "FILE", text.replace("\n", " "))
    text = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "'...'", text)
    return re.sub(r"\d+", "N", text)[:160]


def _nothing(number: int, outcome: Outcome) -> None:
    pass


@dataclass
class Fuzzer:
    """Feeds inputs to a worker and watches it.

    limit:  seconds for one input.
    answer: what the worker does with one; a function of a module.
    watch:  called with the number of each input and its outcome.
    """

    seed: int
    limit: float
    answer: Answer = run_input
    tally: Tally = field(default_factory=Tally)
    watch: Callable[[int, Outcome], None] = _nothing

    def run(self, begin: int, end: int, deadline: float) -> int:
        """Inputs begin ... end - 1, until the deadline; returns the number of the next."""
        number = begin
        with TemporaryDirectory(dir=_fast_directory()) as directory:
            while number < end and time.monotonic() < deadline:
                last = min(end, number + _INPUTS_PER_WORKER)
                number = self._run_worker(directory, number, last, deadline)
        return number

    def _run_worker(self, directory: str, begin: int, end: int, deadline: float) -> int:
        context = multiprocessing.get_context("spawn")
        pipe, their_end = cast(tuple[Connection, Connection], context.Pipe(duplex=False))
        task = (their_end, self.answer, directory, self.seed, begin, end)
        worker = context.Process(target=_work, args=task, daemon=True)
        worker.start()
        their_end.close()
        number, limit = begin, _START_SECONDS
        try:
            while number < end and time.monotonic() < deadline:
                started = self._receive(pipe, limit)
                if not isinstance(started, int):
                    raise RuntimeError(f"the worker does not start: {started}")
                clock = time.monotonic()
                received = self._receive(pipe, self.limit)
                number += 1
                if isinstance(received, str):
                    kind = make_input(self.seed, started).kind
                    self._count(started, kind, Outcome(-1, received), clock)
                    return number
                kind, outcome = cast(tuple[str, Outcome], received)
                self._count(started, kind, outcome, clock)
                limit = self.limit
            return number
        finally:
            worker.kill()
            worker.join()
            pipe.close()

    def _count(self, number: int, kind: str, outcome: Outcome, begin: float) -> None:
        self.tally.add(number, kind, outcome, time.monotonic() - begin)
        self.watch(number, outcome)

    def _receive(self, pipe: Connection, limit: float) -> object:
        """What the worker sent, or how it failed."""
        if not pipe.poll(limit):
            return f"no answer within {limit} s"
        try:
            return pipe.recv()
        except EOFError:
            return "the process died"


def _show(seed: int, number: int) -> None:
    one = make_input(seed, number)
    print(f"{one.kind}: sparsert-opt input.mlir", *(repr(word) for word in one.arguments))
    sys.stdout.flush()
    sys.stdout.buffer.write(one.text)


@dataclass
class Progress:
    """Prints findings at once, and every minute how far a run is."""

    begin: int
    next_line: float = field(default_factory=time.monotonic)

    def __call__(self, number: int, outcome: Outcome) -> None:
        if outcome.problem:
            print(f"finding, input {number}: {outcome.problem}", file=sys.stderr, flush=True)
        if time.monotonic() >= self.next_line:
            self.next_line = time.monotonic() + 60
            print(f"{number - self.begin + 1} inputs", file=sys.stderr, flush=True)


def _main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--begin", type=int, default=0, help="number of the first input")
    parser.add_argument("--inputs", type=int, help="how many at most (default: as time allows)")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one input")
    parser.add_argument("--show", type=int, metavar="N", help="print input N and stop")
    options = parser.parse_args()
    if options.show is not None:
        _show(options.seed, options.show)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    fuzzer = Fuzzer(options.seed, options.limit, watch=Progress(options.begin))
    deadline = time.monotonic() + 60 * options.minutes
    end = sys.maxsize if options.inputs is None else options.begin + options.inputs
    with contextlib.suppress(KeyboardInterrupt):
        fuzzer.run(options.begin, end, deadline)
    print(f"seed {options.seed}, from input {options.begin}")
    print(fuzzer.tally.table())
    return 1 if fuzzer.tally.findings else 0


if __name__ == "__main__":
    sys.exit(_main())
