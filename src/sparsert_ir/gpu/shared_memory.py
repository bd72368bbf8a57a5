"""Bytes of a block's shared memory that a schedule takes with the matrix as code, by buffer.

Every lane is as wide as the schedule says; `element_bytes` is an element's.
"""

from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.schedule import Schedule

_SIGNAL_BYTES = 8
"""Of an mbarrier (PTX ISA, "Size and alignment of mbarrier object")."""


def sum_bytes(schedule: Schedule, dtype: str) -> int:
    """Of a sum of products of elements of x."""
    return ELEMENT_BYTES[dtype if schedule.accumulation == "plain" else "f32"]


def partial_sum_bytes(schedule: Schedule, element_bytes: int) -> int:
    """Of the sums that the K groups of a block leave each other; 0 where there is one."""
    if schedule.k_groups == 1:
        return 0
    rows = schedule.panels_per_block * schedule.rows_per_panel
    return schedule.k_groups * rows * _row_bytes(schedule, element_bytes)


def inbox_bytes(schedule: Schedule, element_bytes: int) -> int:
    """Of the sums that a block gets from those of its cluster; 0 where it is the only one."""
    if schedule.cluster == 1:
        return 0
    rows = schedule.panels_per_block * -(-schedule.rows_per_panel // schedule.cluster)
    return schedule.cluster * rows * _row_bytes(schedule, element_bytes)


def inbox_signal_bytes(schedule: Schedule) -> int:
    """Of the signal that counts what comes to the inbox."""
    return _SIGNAL_BYTES if schedule.cluster > 1 else 0


def depthwise_bytes(schedule: Schedule, channels: int, element_bytes: int) -> int:
    """Of the result of a depthwise convolution before the product."""
    return channels * _row_bytes(schedule, element_bytes)


def staged_bytes(schedule: Schedule, element_bytes: int) -> int:
    """Of the rows of x that are staged, and the signals of their buffers; 0 where none are."""
    if schedule.staging == "none":
        return 0
    rows = schedule.rows_per_stage * _row_bytes(schedule, element_bytes)
    signal = _SIGNAL_BYTES if schedule.staging == "bulk" else 0
    return schedule.stages * (rows + signal)


def _row_bytes(schedule: Schedule, element_bytes: int) -> int:
    """Of a block's columns of a row."""
    return schedule.threads * schedule.columns_per_thread * element_bytes
