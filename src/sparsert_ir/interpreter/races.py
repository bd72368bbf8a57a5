"""Data races: which threads touched an element, and whether a barrier lies between them."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

BoolArray: TypeAlias = npt.NDArray[np.bool_]
IndexArray: TypeAlias = npt.NDArray[np.int64]

NOBODY = -1
SEVERAL = -2


class Accesses:
    """The reads, or the writes, of each element of one memory during one launch.

    A time is a tick of the machine's clock, which moves at every barrier and at every new block:
    accesses of two threads of a block at the same tick have no barrier between them, and accesses
    of two blocks have no order at all.
    """

    def __init__(self, size: int):
        self._thread = np.full(size, NOBODY, np.int64)
        self._time = np.full(size, NOBODY, np.int64)
        self._block = np.full(size, NOBODY, np.int64)

    def touched(self, where: IndexArray) -> BoolArray:
        """Which of the elements any thread has accessed."""
        return self._block[where] != NOBODY

    def clash(self, where: IndexArray, threads: IndexArray, block: int, now: int) -> BoolArray:
        """Which of the elements another thread has accessed without a barrier since."""
        same_interval = (self._time[where] == now) & (self._thread[where] != threads)
        blocks = self._block[where]
        return same_interval | ((blocks != NOBODY) & (blocks != block))

    def note(self, where: IndexArray, threads: IndexArray, block: int, now: int) -> BoolArray:
        """Remember an access; returns which elements several threads have accessed since the last
        barrier, this access included.
        """
        earlier = np.where(self._time[where] == now, self._thread[where], threads)
        self._thread[where] = threads
        shared = (earlier != threads) | (self._thread[where] != threads)
        self._thread[where[shared]] = SEVERAL
        self._time[where] = now
        blocks = self._block[where]
        mine = (blocks == NOBODY) | (blocks == block)
        self._block[where] = np.where(mine, block, SEVERAL)
        return self._thread[where] == SEVERAL


class AccessLog:
    """Reads and writes of one memory during the launch `launch` (an object that stands for it)."""

    def __init__(self, size: int, launch: object):
        self.launch = launch
        self.reads = Accesses(size)
        self.writes = Accesses(size)
