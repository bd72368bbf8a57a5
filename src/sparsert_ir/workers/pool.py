"""Work in parallel processes that may fail, hang, be killed or be interrupted.

LLVM holds one lock per process, and compiling one kernel can crash or take very long, so candidates
are compiled in processes of their own. They are plain interpreters that read tasks from a pipe (see
`sparsert_ir.workers.process`): unlike with `multiprocessing`, the caller's script is not run again
in them.
"""

import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar, cast

from sparsert_ir.errors import ArgumentError

Task = TypeVar("Task")
Result = TypeVar("Result")

_COMMAND = ("-m", "sparsert_ir.workers.process")
_LENGTH_BYTES = 8
_ERROR_TAIL_BYTES = 2000


@dataclass(frozen=True)
class Finished(Generic[Task, Result]):
    """What became of a task: its `value`, or why there is none (`kind`: class of the error)."""

    task: Task
    value: Result | None
    failure: str = ""
    kind: str = ""


class WorkerPool(Generic[Task, Result]):
    """Applies `function` to tasks in `workers` processes; use it in a `with` statement.

    function: importable by its name (not from `__main__`), as are the classes of its arguments.
    seconds:  the longest that one task may take; its process is then killed and replaced.

    At the end of the `with`, however it is reached, all processes have ended. If this process dies
    without reaching it, they end by themselves.
    """

    def __init__(self, function: Callable[[Task], Result], workers: int, seconds: float) -> None:
        if function.__module__ == "__main__":
            raise ArgumentError(
                "expected a function that worker processes can import, got"
                f" {function.__qualname__} of __main__; move it to a module"
            )
        self._call = (function.__module__, function.__qualname__)
        self._seconds = seconds
        self._tasks: queue.SimpleQueue[Task | _Stop] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Finished[Task, Result]] = queue.SimpleQueue()
        self._workers = [_Worker(self._call) for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True)
            for worker in self._workers
        ]

    def __enter__(self) -> "WorkerPool[Task, Result]":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.close()
        for _ in self._threads:
            self._tasks.put(_Stop())
        for thread in self._threads:
            thread.join()

    @property
    def process_ids(self) -> list[int]:
        """Of the processes that are running."""
        return [worker.process_id for worker in self._workers if worker.process_id]

    def run(
        self, tasks: Iterable[Task], deadline: float | None = None
    ) -> Generator[Finished[Task, Result]]:
        """Yield every task's end, in the order in which they end.

        Tasks are taken as they are needed, at most two per process ahead of what was yielded.
        deadline: of `time.monotonic()`; nothing is waited for after it. The pool is of no further
                  use then: what was under way would answer a later run.
        """
        pending = 0
        for task in tasks:
            if pending >= 2 * len(self._workers):
                end = self._next(deadline)
                if end is None:
                    return
                yield end
                pending -= 1
            self._tasks.put(task)
            pending += 1
        while pending and (end := self._next(deadline)) is not None:
            yield end
            pending -= 1

    def _next(self, deadline: float | None) -> Finished[Task, Result] | None:
        if deadline is None:
            return self._finished.get()
        left = deadline - time.monotonic()
        try:
            return self._finished.get(timeout=left) if left > 0 else None
        except queue.Empty:
            return None

    def _serve(self, worker: "_Worker") -> None:
        while not isinstance(task := self._tasks.get(), _Stop):
            self._finished.put(Finished(task, *worker.apply(task, self._seconds)))


class _Stop:
    """Tells a thread of the pool to end."""


class _Worker:
    """One process at a time, started when it is needed."""

    def __init__(self, call: tuple[str, str]) -> None:
        self._call = call
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def process_id(self) -> int:
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def close(self) -> None:
        """End the process; none is started afterwards."""
        with self._lock:
            self._closed = True
            self._end()

    def apply(self, task: object, seconds: float) -> tuple[Any, str, str]:
        """The value, the failure and its kind."""
        try:
            content = pickle.dumps(task)
        except Exception as error:
            return None, f"expected a task that can be pickled: {error}", type(error).__name__
        try:
            return self._exchange(content, seconds)
        except Exception as error:
            # Besides a dead process: `close`, which takes the pipes away from a task under way.
            return None, self._explain(error, seconds), "WorkerDied"

    def _exchange(self, content: bytes, seconds: float) -> tuple[Any, str, str]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            write_content(process.stdin, content)
            return cast(tuple[Any, str, str], read_message(process.stdout))
        finally:
            timer.cancel()

    def _running(self) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._closed:
                raise EOFError("the pool was closed")
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._errors = tempfile.TemporaryFile()  # noqa: SIM115
                self._process = _start(self._errors)
                assert self._process.stdin is not None
                write_content(self._process.stdin, pickle.dumps((sys.path, *self._call)))
            return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, self._errors):
            assert stream is not None
            try:
                stream.close()
            except OSError:
                # A task that the dead process never read is still in the buffer.
                continue

    def _explain(self, error: BaseException, seconds: float) -> str:
        process = self._process
        if self._closed or process is None:
            return f"interrupted ({error})"
        process.kill()
        status = process.wait()
        said = self._last_words()
        return f"the process ended with status {status} (limit {seconds:g} s){said}"

    def _last_words(self) -> str:
        if self._errors is None or self._errors.closed:
            return ""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _ERROR_TAIL_BYTES))
        text = self._errors.read().decode(errors="replace").strip()
        return f": {text}" if text else ""


def _start(errors: IO[bytes]) -> "subprocess.Popen[bytes]":
    # In a session of its own the process is not reached by the terminal's Ctrl-C.
    return subprocess.Popen(
        [sys.executable, *_COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )


def write_message(stream: IO[bytes], message: object) -> None:
    """One object down a pipe between processes of one program."""
    write_content(stream, pickle.dumps(message))


def write_content(stream: IO[bytes], content: bytes) -> None:
    """An object that is already pickled."""
    stream.write(len(content).to_bytes(_LENGTH_BYTES, "little"))
    stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> object:
    """The object that `write_message` sent; EOFError where the other end is gone."""
    length = int.from_bytes(_read_all(stream, _LENGTH_BYTES), "little")
    return pickle.loads(_read_all(stream, length))


def _read_all(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise EOFError("the other process has ended")
    return content
