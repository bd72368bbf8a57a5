"""Feeding a program any number of made inputs: the part that does not know the program.

The program runs inside a worker process, which is replaced when it dies or exceeds the time limit.
"""

import argparse
import contextlib
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

_MEMORY = 4 * 2**30
_INPUTS_PER_WORKER = 20_000
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Input:
    """What a program is given, and a command line for it; `kind` says how it was made."""

    kind: str
    text: bytes
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a program did with one input: 0 for a result, 1 for a refusal.

    problem: "" where the answer was proper.
    caught:  where a library raised a bare Python exception that the program turned into a refusal,
             and which ("" for none).
    """

    status: int
    problem: str = ""
    caught: str = ""


Maker: TypeAlias = Callable[[int, int], Input]
"""Input number n of seed s, the same in every process; a function of a module."""
Answer: TypeAlias = Callable[[Input, Path], Outcome]
"""Runs the program in this process, with a directory for files; a function of a module."""


def _work(
    pipe: Connection,
    make: Maker,
    answer: Answer,
    directory: str,
    seed: int,
    begin: int,
    end: int,
) -> None:
    """Run inputs begin ... end - 1; sends the number of each before it, and its outcome after."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    except ImportError:
        pass  # no such limits on this platform
    for number in range(begin, end):
        one = make(seed, number)
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
    text = re.sub(r"/\S*/input\.\w+", "FILE", text.replace("\n", " "))
    text = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "'...'", text)
    return re.sub(r"\d+", "N", text)[:160]


def _nothing(number: int, outcome: Outcome) -> None:
    pass


@dataclass
class Fuzzer:
    """Feeds inputs to a worker and watches it.

    limit:  seconds for one input.
    watch:  called with the number of each input and its outcome.
    """

    make: Maker
    answer: Answer
    seed: int
    limit: float
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
        task = (their_end, self.make, self.answer, directory, self.seed, begin, end)
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
                    kind = self.make(self.seed, started).kind
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


def _show(one: Input) -> None:
    print(f"{one.kind}:", *(repr(word) for word in one.arguments))
    sys.stdout.flush()
    sys.stdout.buffer.write(one.text)


def command_line(description: str, make: Maker, answer: Answer) -> int:
    """The command line of a fuzzer; exit status 1 with findings."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--begin", type=int, default=0, help="number of the first input")
    parser.add_argument("--inputs", type=int, help="how many at most (default: as time allows)")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one input")
    parser.add_argument("--show", type=int, metavar="N", help="print input N and stop")
    options = parser.parse_args()
    if options.show is not None:
        _show(make(options.seed, options.show))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    fuzzer = Fuzzer(make, answer, options.seed, options.limit, watch=Progress(options.begin))
    deadline = time.monotonic() + 60 * options.minutes
    end = sys.maxsize if options.inputs is None else options.begin + options.inputs
    with contextlib.suppress(KeyboardInterrupt):
        fuzzer.run(options.begin, end, deadline)
    print(f"seed {options.seed}, from input {options.begin}")
    print(fuzzer.tally.table())
    return 1 if fuzzer.tally.findings else 0
