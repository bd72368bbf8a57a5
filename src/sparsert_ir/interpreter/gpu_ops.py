"""`gpu`: a launch runs its blocks one after another, the threads of a block in lockstep."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dialects import gpu
from sparsert_ir.gpu_facts import BLOCK_THREADS, WARP
from sparsert_ir.interpreter.machine import Frame, Handler, Launch, Operands, Triple, Value

_AXES = ("x", "y", "z")


def _launch_func(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(gpu.LaunchFuncOp, op)
    sizes = [int(size[0]) for size in operands[:6]]
    launch = Launch(_triple(sizes[:3]), _triple(sizes[3:]))
    kernel = frame.machine.find(op, op.kernel)
    if not isinstance(kernel, gpu.FuncOp):
        frame.fail(op, f"expected {op.kernel} to be a gpu.func, got {kernel.name}")
    _check_sizes(frame, op, kernel, launch)
    blocks = [_triple(block[::-1]) for block in np.ndindex(*launch.grid[::-1])]
    if frame.machine.order_seed is not None:
        np.random.default_rng(frame.machine.order_seed).shuffle(blocks)
    for block_id in blocks:
        frame.machine.clock += 1
        block = Frame(frame.machine, prod(launch.block), launch, _triple(block_id))
        block.run(kernel.body.block, operands[6:])
    return []


def _triple(numbers: list[int] | tuple[int, ...]) -> Triple:
    x, y, z = (int(number) for number in numbers)
    return x, y, z


def _check_sizes(frame: Frame, op: Operation, kernel: gpu.FuncOp, launch: Launch) -> None:
    threads = prod(launch.block)
    if min(launch.grid) < 1 or min(launch.block) < 1 or threads > BLOCK_THREADS:
        frame.fail(
            op,
            f"expected at least one block of 1 to {BLOCK_THREADS} threads, got a grid of"
            f" {launch.grid} and blocks of {launch.block}",
        )
    known = kernel.known_block_size
    if known is not None and tuple(known.get_values()) != launch.block:
        expected = tuple(known.get_values())
        frame.fail(op, f"expected blocks of {expected} threads, the kernel's, got {launch.block}")


def _launch_of(frame: Frame, op: Operation) -> Launch:
    if frame.launch is None:
        frame.fail(op, "expected to run in a kernel, not in host code")
    return frame.launch


def _block_id(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _launch_of(frame, op)
    axis = _AXES.index(cast(gpu.BlockIdOp, op).dimension.data.value)
    return [frame.all_threads(np.int64(frame.block_id[axis]))]


def _thread_id(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    x, y, _ = _launch_of(frame, op).block
    axis = _AXES.index(cast(gpu.ThreadIdOp, op).dimension.data.value)
    lane = np.arange(frame.threads)
    return [(lane % x, lane // x % y, lane // (x * y))[axis]]


def _barrier(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _launch_of(frame, op)
    if not frame.mask.all():
        missing = int(np.flatnonzero(~frame.mask)[0])
        frame.fail(
            op,
            f"divergent barrier: expected all {frame.threads} threads of the block, got"
            f" {frame.lanes.size}; the first that is missing",
            missing,
        )
    frame.machine.clock += 1
    return []


_SOURCE_LANES: Mapping[str, Callable[[Any, int], Any]] = {
    "xor": np.bitwise_xor,
    "down": np.add,
    "up": np.subtract,
    "idx": lambda lane, offset: np.full_like(lane, offset),
}


def _shuffle(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    """A lane that would read from outside its warp keeps its own value, as hardware does."""
    op = cast(gpu.ShuffleOp, op)
    value = operands[0]
    thread = np.arange(frame.threads)
    lane = thread % WARP
    source_lane = _SOURCE_LANES[op.mode.data.value](lane, op.offset.value.data)
    inside = (source_lane >= 0) & (source_lane < WARP)
    source = np.where(inside, thread - lane + source_lane, thread)
    missing = ~frame.mask[np.minimum(source[frame.lanes], frame.threads - 1)]
    missing |= source[frame.lanes] >= frame.threads
    if missing.any():
        frame.fail(
            op,
            "expected the lane that is read to take part",
            int(frame.lanes[np.flatnonzero(missing)[0]]),
        )
    return [value[np.minimum(source, frame.threads - 1)]]


def _grid_dependency(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    """Launches do not overlap here."""
    _launch_of(frame, op)
    return []


GPU_HANDLERS: Mapping[str, Handler] = {
    "gpu.launch_func": _launch_func,
    "gpu.block_id": _block_id,
    "gpu.thread_id": _thread_id,
    "gpu.barrier": _barrier,
    "gpu.shuffle": _shuffle,
    "nvvm.griddepcontrol.launch_dependents": _grid_dependency,
    "nvvm.griddepcontrol.wait": _grid_dependency,
}
