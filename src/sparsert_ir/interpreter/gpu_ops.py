"""`gpu`: a launch runs its blocks one after another, the threads of a block, and of all blocks of a
cluster, in lockstep.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dialects import gpu
from sparsert_ir.gpu_facts import BLOCK_THREADS, WARP
from sparsert_ir.interpreter.machine import Frame, Handler, Launch, Operands, Triple, Value
from sparsert_ir.interpreter.races import IndexArray

_AXES = ("x", "y", "z")


def _launch_func(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(gpu.LaunchFuncOp, op)
    sizes = [int(size[0]) for size in operands[:6]]
    kernel = frame.machine.find(op, op.kernel)
    if not isinstance(kernel, gpu.FuncOp):
        frame.fail(op, f"expected {op.kernel} to be a gpu.func, got {kernel.name}")
    launch = Launch(_triple(sizes[:3]), _triple(sizes[3:]), _cluster_size(kernel))
    _check_sizes(frame, op, kernel, launch)
    clusters = tuple(
        size // blocks for size, blocks in zip(launch.grid, launch.cluster, strict=True)
    )
    places = [_triple(place) for place in _places(clusters)]
    if frame.machine.order_seed is not None:
        np.random.default_rng(frame.machine.order_seed).shuffle(places)
    for place in places:
        frame.machine.clock += 1
        blocks = _blocks_of_cluster(_triple(place), launch)
        threads = prod(launch.block) * len(blocks)
        Frame(frame.machine, threads, launch, blocks).run(kernel.body.block, operands[6:])
    return []


def _places(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All places of a grid, the first index fastest."""
    return (place[::-1] for place in np.ndindex(*sizes[::-1]))


def _blocks_of_cluster(place: Triple, launch: Launch) -> list[Triple]:
    """The blocks of the cluster at `place` of the grid of clusters, by their rank."""
    return [
        _triple(
            [at * size + own for at, size, own in zip(place, launch.cluster, inner, strict=True)]
        )
        for inner in _places(launch.cluster)
    ]


def _cluster_size(kernel: gpu.FuncOp) -> Triple:
    known = kernel.known_cluster_size
    return (1, 1, 1) if known is None else _triple(known.get_values())


def _triple(numbers: Sequence[int]) -> Triple:
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
    if any(size % blocks for size, blocks in zip(launch.grid, launch.cluster, strict=True)):
        frame.fail(
            op,
            f"expected a grid of whole clusters of {launch.cluster} blocks, the kernel's, got"
            f" {launch.grid}",
        )


def _launch_of(frame: Frame, op: Operation) -> Launch:
    if frame.launch is None:
        frame.fail(op, "expected to run in a kernel, not in host code")
    return frame.launch


def _block_id(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _launch_of(frame, op)
    axis = _AXES.index(cast(gpu.BlockIdOp, op).dimension.data.value)
    numbers = np.array([block[axis] for block in frame.blocks], np.int64)
    return [numbers[frame.ranks]]


def _thread_id(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    x, y, _ = _launch_of(frame, op).block
    axis = _AXES.index(cast(gpu.ThreadIdOp, op).dimension.data.value)
    lane = np.arange(frame.threads) % frame.block_threads
    return [(lane % x, lane // x % y, lane // (x * y))[axis]]


def _barrier(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    frame.pass_barrier(whole_blocks(frame, op))
    return []


def whole_blocks(frame: Frame, op: Operation) -> IndexArray:
    """The ranks of the blocks that are here, with all of their threads."""
    _launch_of(frame, op)
    active = frame.mask.reshape(len(frame.blocks), -1)
    partly = active.any(axis=1) & ~active.all(axis=1)
    if partly.any():
        rank = int(np.flatnonzero(partly)[0])
        missing = int(np.flatnonzero(~active[rank])[0])
        frame.fail(
            op,
            f"divergent barrier: expected all {frame.block_threads} threads of the block, got"
            f" {int(active[rank].sum())}; the first that is missing",
            rank * frame.block_threads + missing,
        )
    return np.flatnonzero(active.all(axis=1))


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
    own = thread % frame.block_threads
    lane = own % WARP
    source_lane = _SOURCE_LANES[op.mode.data.value](lane, op.offset.value.data)
    inside = (source_lane >= 0) & (source_lane < WARP)
    source = np.where(inside, thread - lane + source_lane, thread)
    missing = ~frame.mask[np.minimum(source[frame.lanes], frame.threads - 1)]
    missing |= (source - thread + own)[frame.lanes] >= frame.block_threads
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
