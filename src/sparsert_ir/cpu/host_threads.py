"""Threads of the CPU target: a few that stay, and never more than there are cores for."""

import ctypes
import functools
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sparsert_ir.native.library import Team, Worker, native_calls

Array: TypeAlias = npt.NDArray[Any]

SPIN_SECONDS = 100e-6
"""How long a worker waits for the next call before it sleeps: several times what waking takes."""

MOST_THREADS = 1024

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
    """Threads that help a call, and their structures in memory that compiled calls read.

    A worker waits for `SPIN_SECONDS` after a job, in compiled code and without Python's lock, then
    sleeps until it is woken. One call at a time has the workers; another one works alone, so that
    there are never more threads at work than callers and workers. A call does not wait for a worker
    that has not begun when all parts are taken.

    most: workers that there may be; None: one less than this process has cores.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = available_cores() - 1 if most is None else most
        size = ctypes.sizeof(Team) + MOST_THREADS * ctypes.sizeof(Worker)
        self._memory: Any = aligned_bytes(size)
        self._team = Team.from_buffer(self._memory)
        self._team.give_way = _address_of_yield()
        self._workers: list[_Sleeper] = []
        self._growing = threading.Lock()
        self._buffers: list[Array] = []

    @property
    def address(self) -> int:
        return ctypes.addressof(self._team)

    @property
    def size(self) -> int:
        """Workers that there are."""
        return len(self._workers)

    def state_of(self, number: int) -> int:
        """0: asleep, 1: awake, 2: at work; 4 more while a job waits."""
        return self._worker(number).state

    def jobs_of(self, number: int) -> int:
        """Jobs that a worker took."""
        return self._worker(number).jobs

    def buffer_of(self, number: int) -> int:
        """The address of a worker's buffer, 0 where it has none."""
        return self._worker(number).buffer

    @contextmanager
    def taken(self) -> Generator[None]:
        """Keep the workers from calls for a while; no call may have them now."""
        self._team.taken = 1
        try:
            yield
        finally:
            self._team.taken = 0

    def wake(self, count: int) -> None:
        """See that `count` workers, or all that may be, are there and awake soon; fewer where the
        system refuses.
        """
        with self._growing:
            while len(self._workers) < min(count, self.most):
                try:
                    self._workers.append(_Sleeper(self._memory, len(self._workers)))
                except RuntimeError:
                    break  # No more threads for this process.
                self._team.workers = len(self._workers)
            for number, worker in enumerate(self._workers[:count]):
                if self.state_of(number) == 0:
                    worker.wake()

    def reserve(self, count: int, size: int) -> None:
        """Give each of the first `count` workers that may be a buffer of at least `size` bytes.

        Older buffers stay: a worker may be using one.
        """
        with self._growing:
            for number in range(min(count, self.most)):
                worker = self._worker(number)
                if worker.size < size:
                    memory = aligned_bytes(max(size, 2 * worker.size))
                    self._buffers.append(memory)
                    worker.buffer = memory.ctypes.data
                    worker.size = memory.size

    def forget_workers(self) -> None:
        """In a forked child, where none of the threads lives on."""
        self._growing = threading.Lock()
        self._workers = []
        self._team.workers = self._team.taken = 0
        for number in range(MOST_THREADS):
            worker = self._worker(number)
            if not worker.size and not worker.state:
                break
            worker.state = 0

    def _worker(self, number: int) -> Worker:
        place = ctypes.sizeof(Team) + number * ctypes.sizeof(Worker)
        return Worker.from_buffer(self._memory, place)


class _Sleeper:
    """The thread of one worker."""

    def __init__(self, memory: Any, number: int) -> None:
        self._begin = threading.Lock()
        self._begin.acquire()
        # Kept: the thread may still look there when nobody else does.
        self._memory, self._number = memory, number
        threading.Thread(target=self._loop, name="sparsert-worker", daemon=True).start()

    def wake(self) -> None:
        if self._begin.locked():
            self._begin.release()

    def _loop(self) -> None:
        serve, spins = native_calls().serve, rounds_of_waiting()
        while True:
            self._begin.acquire()
            serve(self._memory.ctypes.data, self._number, spins)


@functools.cache
def rounds_of_waiting() -> int:
    """Rounds of a worker's loop in `SPIN_SECONDS`, timed once: the shortest of a few times, since
    the system may have run something else meanwhile.
    """
    memory = ctypes.create_string_buffer(ctypes.sizeof(Team) + ctypes.sizeof(Worker))
    rounds, took = 300, 1.0
    for _ in range(5):
        begin = time.perf_counter()
        native_calls().serve(ctypes.addressof(memory), 0, rounds)
        took = min(took, time.perf_counter() - begin)
    return max(1, round(rounds * SPIN_SECONDS / took))


def _address_of_yield() -> int:
    """Of POSIX's sched_yield; 0 where the C library has none."""
    try:
        function = ctypes.CDLL(None).sched_yield
    except (AttributeError, OSError, TypeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@functools.cache
def team() -> WorkerTeam:
    """The threads that all kernels of this process share."""
    made = WorkerTeam()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made.forget_workers)
    return made


def aligned_bytes(size: int) -> Array:
    """Zeros that begin on a cache line: whole pages, and no odd numbers to compute with."""
    memory = np.zeros(size + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    return memory[start : start + size]


class ThreadBuffers:
    """Memory of each thread, grown as needed, that lies on cache lines."""

    def __init__(self) -> None:
        self._local = threading.local()

    def address(self, size: int) -> int:
        """At least `size` bytes for the calling thread, valid until it asks again."""
        found: tuple[int, int, Array] | None = getattr(self._local, "found", None)
        if found is None or found[0] < size:
            memory = aligned_bytes(size)
            found = self._local.found = size, memory.ctypes.data, memory
        return found[1]


@functools.cache
def buffers() -> ThreadBuffers:
    """The buffers that all kernels of this process share: what one used is warm for the next."""
    return ThreadBuffers()
