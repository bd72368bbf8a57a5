"""Threads of the CPU target: a few that stay, and never more than there are cores for."""

import functools
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Job: TypeAlias = Callable[[], None]

_CACHE_LINE = 64
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


@functools.cache
def available_cores() -> int:
    """Cores that this process may use: by its affinity and by the limit of its container.

    The limit is read from https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = _CGROUP_LIMIT.read_text().split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # No limit: "max" instead of a number, or no such file.
    return max(cores, 1)


class WorkerTeam:
    """Threads that wait for jobs. One caller at a time has them; another one works alone, so that
    there are never more threads at work than callers and workers.
    """

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._taken = threading.Lock()

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs, the first one in this thread; returns, or raises, when all have ended."""
        if len(jobs) == 1 or not self._taken.acquire(blocking=False):
            for job in jobs:
                job()
            return
        try:
            self._run_together(jobs)
        finally:
            self._taken.release()

    def _run_together(self, jobs: Sequence[Job]) -> None:
        while len(self._workers) < len(jobs) - 1:
            self._workers.append(_Worker())
        started: list[_Worker] = []
        errors: list[BaseException] = []
        try:
            for worker, job in zip(self._workers, jobs[1:], strict=False):
                worker.start(job)
                started.append(worker)
            jobs[0]()
        finally:
            for worker in started:
                errors += worker.wait()
        if errors:
            raise errors[0]


class _Worker:
    """A thread that runs one job at a time."""

    def __init__(self) -> None:
        self._job: Job = _do_nothing
        self._errors: list[BaseException] = []
        self._begin, self._end = threading.Lock(), threading.Lock()
        self._begin.acquire()
        self._end.acquire()
        threading.Thread(target=self._loop, name="sparsert-worker", daemon=True).start()

    def start(self, job: Job) -> None:
        self._job = job
        self._begin.release()

    def wait(self) -> list[BaseException]:
        """Wait for the job; returns what it raised, and an interrupt that came meanwhile.

        The job writes to memory of the caller, so nothing ends the wait before the job has ended.
        """
        interrupts: list[BaseException] = []
        while True:
            try:
                self._end.acquire()
                break
            except KeyboardInterrupt as interrupt:
                interrupts.append(interrupt)
        errors, self._errors = [*self._errors, *interrupts], []
        return errors

    def _loop(self) -> None:
        while True:
            self._begin.acquire()
            try:
                self._job()
            except BaseException as error:
                self._errors.append(error)
            self._job = _do_nothing
            self._end.release()


def _do_nothing() -> None:
    pass


@functools.cache
def team() -> WorkerTeam:
    """The threads that all kernels of this process share."""
    if hasattr(os, "register_at_fork"):
        # Threads do not live on in a child process.
        os.register_at_fork(after_in_child=team.cache_clear)
    return WorkerTeam()


class ThreadBuffers:
    """Memory of each thread, grown as needed, that lies on cache lines."""

    def __init__(self) -> None:
        self._local = threading.local()

    def address(self, size: int) -> int:
        """At least `size` bytes for the calling thread, valid until it asks again."""
        found: tuple[int, int, Array] | None = getattr(self._local, "found", None)
        if found is None or found[0] < size:
            # Zeros: whole pages that no other array lies in, and no odd numbers to compute with.
            memory = np.zeros(size + _CACHE_LINE, np.uint8)
            start = -(-memory.ctypes.data // _CACHE_LINE) * _CACHE_LINE
            found = self._local.found = size, start, memory
        return found[1]


@functools.cache
def buffers() -> ThreadBuffers:
    """The buffers that all kernels of this process share: what one used is warm for the next."""
    return ThreadBuffers()
