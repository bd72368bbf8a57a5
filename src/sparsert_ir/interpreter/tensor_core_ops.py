"""`nvgpu`: what the lanes of a warp hold of matrices, and how these are multiplied."""

from collections.abc import Mapping

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dense import Array
from sparsert_ir.gpu_facts import MMA_TILE, WARP
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import Memory
from sparsert_ir.interpreter.memory_ops import locate, read
from sparsert_ir.interpreter.races import IndexArray

_GROUPS, _IN_GROUP = 8, 4
"""Lane 4g + t is number t of group g."""


def _whole_warps(frame: Frame, op: Operation) -> IndexArray:
    """The warps that are here, all of whose lanes must be: their lanes, warps x 32."""
    if frame.launch is None or frame.block_threads % WARP:
        frame.fail(op, f"expected blocks of whole warps of {WARP} threads")
    here = frame.mask.reshape(-1, WARP)
    partly = here.any(axis=1) & ~here.all(axis=1)
    if partly.any():
        first = int(np.flatnonzero(partly)[0])
        missing = int(np.flatnonzero(~here[first])[0])
        frame.fail(op, "expected all lanes of the warp to take part", first * WARP + missing)
    return np.arange(frame.threads).reshape(-1, WARP)[here.all(axis=1)]


def _ldmatrix(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    memory: Memory = operands[0]
    warps = _whole_warps(frame, op)
    starts = [index[frame.lanes] for index in operands[1:]]
    if (starts[-1] % MMA_TILE).any():
        lane = int(frame.lanes[np.flatnonzero(starts[-1] % MMA_TILE)[0]])
        frame.fail(op, f"expected a first column that is a multiple of {MMA_TILE}", lane)
    rows = read(locate(frame, op, memory, starts, MMA_TILE))
    # Of each warp: tile, pair of rows, row of the pair, column.
    tiles = rows.reshape(warps.shape[0], -1, _IN_GROUP, 2, MMA_TILE)
    fragments = tiles.transpose(0, 4, 2, 1, 3)
    return [frame.spread(fragments.reshape(frame.lanes.size, -1))]


def _mma_sync(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    """Added in f64 and rounded once to f32: closer than hardware, and the same where sums are
    exact.
    """
    warps = _whole_warps(frame, op)
    a, b, c = (operand[warps].astype(np.float64) for operand in operands)
    product = _matrix_a(a) @ _matrix_b(b)
    fragments = product.reshape(-1, 2, _GROUPS, _IN_GROUP, 2).transpose(0, 2, 3, 1, 4)
    sums = (fragments.reshape(c.shape) + c).astype(np.float32)
    return [frame.spread(sums.reshape(frame.lanes.size, -1))]


def _matrix_a(fragments: Array) -> Array:
    """Warps x 16 x 16 from warps x 32 x 8: column half, row half, column of the pair."""
    parts = fragments.reshape(-1, _GROUPS, _IN_GROUP, 2, 2, 2)
    return parts.transpose(0, 4, 1, 3, 2, 5).reshape(-1, 16, 16)


def _matrix_b(fragments: Array) -> Array:
    """Warps x 16 x 8 from warps x 32 x 4: row half, row of the pair."""
    parts = fragments.reshape(-1, _GROUPS, _IN_GROUP, 2, 2)
    return parts.transpose(0, 3, 2, 4, 1).reshape(-1, 16, 8)


TENSOR_CORE_HANDLERS: Mapping[str, Handler] = {
    "nvgpu.ldmatrix": _ldmatrix,
    "nvgpu.mma.sync": _mma_sync,
}
