"""What a schedule asks of a matrix that is code on a GPU: is it legal, does it fit."""

from dataclasses import replace

from sparsert_ir.dense import element_bytes
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu.shared_memory import (
    depthwise_bytes,
    inbox_bytes,
    inbox_signal_bytes,
    partial_sum_bytes,
)
from sparsert_ir.gpu_facts import BLOCK_THREADS, LARGEST_BLOCK_Z, STATIC_SHARED_MEMORY
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.schedule import Schedule

_PARTIAL_SUMS = "partial sums"
_CLUSTER_SUMS = "sums of the cluster"
_BETWEEN = "the depthwise result"
_SIZES = {
    _PARTIAL_SUMS: "k_groups * panels_per_block * rows_per_panel",
    _CLUSTER_SUMS: "cluster * panels_per_block * ceil(rows_per_panel / cluster)",
    _BETWEEN: "channels",
}
"""Buffers in workgroup memory -> their rows."""
_OF_A_ROW = " * threads * columns_per_thread * element size"


def check_schedule(product: ProductFunction) -> None:
    """Raise ScheduleError, which names the knob, for a schedule that no kernel can follow."""
    schedule = product.schedule
    if schedule.lowering != "code":
        raise ScheduleError(f"schedule: expected lowering = code here, got {schedule.lowering}")
    product.check_schedule("gpu")
    _check_staging(schedule)
    if schedule.block_threads > BLOCK_THREADS:
        raise ScheduleError(
            "schedule: threads * k_groups * panels_per_block must be at most"
            f" {BLOCK_THREADS}, got {schedule.block_threads}"
        )
    if schedule.panels_per_block > LARGEST_BLOCK_Z:
        raise ScheduleError(
            f"schedule: panels_per_block must be at most {LARGEST_BLOCK_Z}, got"
            f" {schedule.panels_per_block}"
        )
    _check_cluster(product)


def _check_staging(schedule: Schedule) -> None:
    if schedule.staging == "none":
        return
    if schedule.k_parts > 1:
        raise ScheduleError(
            "schedule: with staging, the threads of a block go through all of x together:"
            f" k_groups and cluster must be 1, got {schedule.k_groups} and {schedule.cluster}"
        )
    if schedule.stages < 2:
        raise ScheduleError(
            "schedule: with staging, stages must be 2 or more, one buffer that is read and others"
            f" that are filled, got {schedule.stages}"
        )
    if schedule.staging == "bulk" and schedule.column_tiles > 1:
        raise ScheduleError(
            "schedule: with staging = bulk, a block has one column tile, since the signals of its"
            f" buffers count once: column_tiles must be 1, got {schedule.column_tiles}"
        )


def _check_cluster(product: ProductFunction) -> None:
    """What blocks can send each other: once, and 32 bits at a time."""
    schedule = product.schedule
    if schedule.cluster == 1:
        return
    if schedule.column_tiles > 1:
        raise ScheduleError(
            f"schedule: cluster = {schedule.cluster} needs column_tiles = 1, got"
            f" {schedule.column_tiles}"
        )
    if schedule.columns_per_thread * product.sum_type.bitwidth % 32:
        raise ScheduleError(
            f"schedule: cluster = {schedule.cluster} with sums in {product.sum_type} needs an even"
            f" columns_per_thread, got {schedule.columns_per_thread}"
        )


def check_memory(product: ProductFunction, shared_memory: int) -> None:
    """A buffer of more than STATIC_SHARED_MEMORY bytes is asked for at the launch; one can be.

    Raises ScheduleError, which names the buffers, the largest first.
    """
    buffers, signals = _buffers(product), inbox_signal_bytes(product.schedule)
    total = sum(buffers.values()) + signals
    large = [size for size in buffers.values() if size > STATIC_SHARED_MEMORY]
    one_large = len(large) == 1 and total - large[0] <= STATIC_SHARED_MEMORY
    usable = shared_memory if one_large else STATIC_SHARED_MEMORY
    if total > usable:
        names = sorted((name for name in buffers if buffers[name]), key=lambda name: -buffers[name])
        sizes = [f"{name}: {_SIZES[name]}{_OF_A_ROW} = {buffers[name]}" for name in names]
        if signals:
            sizes.append(f"their signal: {signals}")
        raise ScheduleError(
            f"schedule: {' and '.join(names)} must fit in {usable} bytes of workgroup memory, got"
            f" {total} ({'; '.join(sizes)})"
        )


def _buffers(product: ProductFunction) -> dict[str, int]:
    """Bytes of each buffer of `_SIZES`, 0 for one that is not needed."""
    schedule = replace(product.schedule, rows_per_panel=product.panel_height)
    size, filters = element_bytes(product.sum_type), product.depthwise
    return {
        _PARTIAL_SUMS: partial_sum_bytes(schedule, size),
        _CLUSTER_SUMS: inbox_bytes(schedule, size),
        _BETWEEN: 0 if filters is None else depthwise_bytes(schedule, filters.shape[0], size),
    }
