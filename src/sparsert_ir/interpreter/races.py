"""Data races: which threads touched an element, and whether a barrier lies between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

BoolArray: TypeAlias = npt.NDArray[np.bool_]
IndexArray: TypeAlias = npt.NDArray[np.int64]

NOBODY = -1
SEVERAL = -2


@dataclass(frozen=True)
class Visit:
    """Who accesses, and when: members of one group, which barriers order.

    times: ticks of the machine's clock at the last barrier; accesses of two members of a group at
           the same tick have none between them. Members of two groups have no order at all.
    """

    members: IndexArray
    group: int
    times: IndexArray | int


class Accesses:
    """The reads, or the writes, of each element of one memory during one launch.

    Members are the threads of a block, or the blocks of a cluster.
    """

    def __init__(self, size: int):
        self._member = np.full(size, NOBODY, np.int64)
        self._time = np.full(size, NOBODY, np.int64)
        self._group = np.full(size, NOBODY, np.int64)

    def touched(self, where: IndexArray) -> BoolArray:
        """Which of the elements anybody has accessed."""
        return self._group[where] != NOBODY

    def clash(self, where: IndexArray, visit: Visit) -> BoolArray:
        """Which of the elements another member has accessed without a barrier since."""
        same_interval = (self._time[where] == visit.times) & (self._member[where] != visit.members)
        groups = self._group[where]
        return same_interval | ((groups != NOBODY) & (groups != visit.group))

    def note(self, where: IndexArray, visit: Visit) -> BoolArray:
        """Remember an access; returns which elements several members have accessed since the last
        barrier, this access included.
        """
        members = visit.members
        earlier = np.where(self._time[where] == visit.times, self._member[where], members)
        self._member[where] = members
        shared = (earlier != members) | (self._member[where] != members)
        self._member[where[shared]] = SEVERAL
        self._time[where] = visit.times
        groups = self._group[where]
        mine = (groups == NOBODY) | (groups == visit.group)
        self._group[where] = np.where(mine, visit.group, SEVERAL)
        return self._member[where] == SEVERAL

    def settle(self, where: IndexArray) -> None:
        """A barrier lies between what was done so far and whatever the group does next."""
        self._time[where] = NOBODY


class History:
    """`Accesses` at each level that has barriers: the threads of a block; where there are clusters,
    the threads and the blocks of a cluster.
    """

    def __init__(self, size: int, levels: int):
        self._levels = [Accesses(size) for _ in range(levels)]

    def touched(self, where: IndexArray) -> BoolArray:
        """Which of the elements anybody has accessed."""
        return self._levels[0].touched(where)

    def clash(self, where: IndexArray, visits: Sequence[Visit]) -> BoolArray:
        """Which of the elements somebody else has accessed with no barrier since at some level."""
        first, *others = (
            level.clash(where, visit) for level, visit in zip(self._levels, visits, strict=True)
        )
        for other in others:
            first = first | other
        return first

    def note(self, where: IndexArray, visits: Sequence[Visit]) -> BoolArray:
        """Remember an access; returns which elements several threads have accessed since the last
        barrier, this access included.
        """
        several = [
            level.note(where, visit) for level, visit in zip(self._levels, visits, strict=True)
        ]
        return several[0]

    def settle(self, where: IndexArray) -> None:
        """What was done so far is done for all that may access the elements."""
        for level in self._levels:
            level.settle(where)


class AccessLog:
    """Reads and writes of one memory during the launch `launch` (an object that stands for it)."""

    def __init__(self, size: int, launch: object, levels: int):
        self.launch = launch
        self.reads = History(size, levels)
        self.writes = History(size, levels)
