"""The machine: runs blocks of operations for a group of threads in lockstep.

A value inside a function is a numpy array whose first axis is the thread: `(threads,)` for a
number, `(threads, width)` for a vector. Host code is the case of one thread. A tensor has no thread
axis: it lives in host code only. Threads that are switched off compute along, on poison; only
memory operations, barriers and merges look at the mask.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
from xdsl.dialects.builtin import StringAttr, SymbolRefAttr, UnregisteredOp
from xdsl.ir import Block, Operation, SSAValue

from sparsert_ir.dense import Array
from sparsert_ir.errors import InterpreterError
from sparsert_ir.interpreter.memory import Memory, poisoned
from sparsert_ir.interpreter.races import BoolArray, IndexArray, Visit
from sparsert_ir.matrix import SparseMatrix

Value: TypeAlias = Array | Memory | SparseMatrix
Operands: TypeAlias = Sequence[Any]
"""Operand values; which kind each is follows from the operation's declared types."""

Handler: TypeAlias = Callable[["Frame", Operation, Operands], Sequence[Value]]
Triple: TypeAlias = tuple[int, int, int]

_TERMINATORS = frozenset(
    ["func.return", "gpu.return", "scf.yield", "scf.condition", "linalg.yield", "tensor.yield"]
)
_SYMBOL_TABLES = frozenset(["builtin.module", "gpu.module"])


def op_name(op: Operation) -> str:
    """The operation's name, also where its dialect is not loaded."""
    return op.op_name.data if isinstance(op, UnregisteredOp) else op.name


@dataclass(frozen=True, eq=False)
class Launch:
    """Sizes of a launch, x first; two launches of the same sizes are different.

    cluster: blocks of a cluster.
    """

    grid: Triple
    block: Triple
    cluster: Triple = (1, 1, 1)


class Machine:
    """What all frames share: the module, the handlers, global memory and the clock."""

    def __init__(self, module: Operation, handlers: Mapping[str, Handler], order_seed: int | None):
        self.module = module
        self.handlers = handlers
        self.order_seed = order_seed
        self.globals: dict[Operation, Memory] = {}
        self.products: dict[tuple[Operation, int, int], Any] = {}
        self.clock = 0
        self._symbols: dict[Operation, dict[str, Operation]] = {}

    def find(self, user: Operation, symbol: SymbolRefAttr | StringAttr) -> Operation:
        """The operation that `symbol` means where `user` stands."""
        path = _symbol_path(symbol)
        scope: Operation | None = user
        while scope is not None:
            found = self._resolve(scope, path)
            if found is not None:
                return found
            scope = scope.parent_op()
        raise InterpreterError(f"{op_name(user)}: no symbol @{'::@'.join(path)} in the module")

    def _resolve(self, scope: Operation, path: Sequence[str]) -> Operation | None:
        found: Operation | None = scope
        for name in path:
            if found is None or op_name(found) not in _SYMBOL_TABLES:
                return None
            found = self._symbols_of(found).get(name)
        return found

    def _symbols_of(self, table: Operation) -> dict[str, Operation]:
        if table not in self._symbols:
            inside = (op for region in table.regions for block in region.blocks for op in block.ops)
            named = ((op.properties.get("sym_name"), op) for op in inside)
            self._symbols[table] = {
                name.data: op for name, op in named if isinstance(name, StringAttr)
            }
        return self._symbols[table]


class Frame:
    """A group of threads that run in lockstep: a block of a launch, or one host thread.

    `copies` are what ends the asynchronous copies that are on their way, group by group; the last
    group is not closed yet. `signals` are the states of those that count bytes.
    """

    def __init__(
        self,
        machine: Machine,
        threads: int,
        launch: Launch | None = None,
        blocks: Sequence[Triple] = ((0, 0, 0),),
    ):
        """blocks: those of a cluster by rank, or one; `threads` are those of all of them."""
        self.machine = machine
        self.threads = threads
        self.launch = launch
        self.blocks = blocks
        self.block_threads = threads // len(blocks)
        self.ranks: IndexArray = np.arange(threads) // self.block_threads
        self._block_times: IndexArray = np.full(len(blocks), machine.clock)
        self._cluster_time = machine.clock
        self.values: dict[SSAValue, Value] = {}
        self.workgroup: dict[Operation, Memory] = {}
        self.copies: list[list[Callable[[], None]]] = [[]]
        self.signals: dict[Memory, Any] = {}
        self.mask: BoolArray = np.ones(threads, np.bool_)
        self.lanes: IndexArray = np.arange(threads)

    @property
    def in_cluster(self) -> bool:
        """Whether the frame runs several blocks."""
        return len(self.blocks) > 1

    def visits(self, lanes: IndexArray) -> list[Visit]:
        """Who these threads are, at each level that has barriers."""
        number = self._first_block_number
        if not self.in_cluster:
            return [Visit(lanes, number, self._cluster_time)]
        ranks = self.ranks[lanes]
        of_threads = Visit(lanes, number, self._block_times[ranks])
        return [of_threads, Visit(ranks, number, self._cluster_time)]

    @property
    def _first_block_number(self) -> int:
        """The place in the grid, as one number."""
        assert self.launch is not None
        (x, y, z), (size_x, size_y, _) = self.blocks[0], self.launch.grid
        return (z * size_y + y) * size_x + x

    def pass_barrier(self, ranks: IndexArray) -> None:
        """What these blocks do from now on comes after what they did before, within each block."""
        self.machine.clock += 1
        self._block_times[ranks] = self.machine.clock
        if not self.in_cluster:
            self._cluster_time = self.machine.clock

    def pass_cluster_barrier(self) -> None:
        """What the cluster does from now on comes after what all of its blocks did before."""
        self.machine.clock += 1
        self._block_times[:] = self._cluster_time = self.machine.clock

    @contextmanager
    def only(self, mask: BoolArray) -> Generator[None]:
        """Switch off the threads outside `mask`."""
        saved = self.mask, self.lanes
        self.mask, self.lanes = mask, np.flatnonzero(mask)
        try:
            yield
        finally:
            self.mask, self.lanes = saved

    def run(self, block: Block, arguments: Sequence[Value]) -> list[Any]:
        """Run a block; returns the operands of its terminator."""
        values, handlers = self.values, self.machine.handlers
        values.update(zip(block.args, arguments, strict=True))
        for op in block.ops:
            operands = [values[operand] for operand in op.operands]
            handler = handlers.get(op.name)
            if handler is None:
                if op.name in _TERMINATORS:
                    return operands
                raise InterpreterError(
                    f"{op_name(op)}: the interpreter does not know this operation; it runs every"
                    " level before sparsert-convert-to-llvm"
                )
            values.update(zip(op.results, handler(self, op, operands), strict=True))
        return []

    def spread(self, active: Array) -> Array:
        """Values of the active threads (first axis) as values of all; poison for the others."""
        if self.lanes.size == self.threads:
            return active
        whole = poisoned((self.threads, *active.shape[1:]), active.dtype)
        whole[self.lanes] = active
        return whole

    def all_threads(self, number: Any) -> Array:
        """One number or vector as the value that every thread holds."""
        array = np.asarray(number)
        return np.broadcast_to(array, (self.threads, *array.shape))

    def fail(self, op: Operation, message: str, lane: int | None = None) -> NoReturn:
        """Raise an error that names the operation, the block and the thread."""
        raise InterpreterError(f"{op_name(op)}: {message}{self._place(lane)}")

    def _place(self, lane: int | None) -> str:
        if self.launch is None:
            return ""
        if lane is None:
            return f" (block {self.blocks[0]})"
        x, y, _ = self.launch.block
        rank, own = divmod(lane, self.block_threads)
        thread = (own % x, own // x % y, own // (x * y))
        return f" (block {self.blocks[rank]}, thread {thread})"


def _symbol_path(symbol: SymbolRefAttr | StringAttr) -> list[str]:
    """`@a::@b` as its parts."""
    if isinstance(symbol, StringAttr):
        return [symbol.data]
    return [symbol.root_reference.data, *(part.data for part in symbol.nested_references)]


def choose(mask: BoolArray, yes: Array, no: Array) -> Array:
    """`yes` where the thread is in `mask`, else `no`."""
    wide = max(yes.ndim, no.ndim)
    return np.where(mask.reshape(mask.shape + (1,) * (wide - mask.ndim)), yes, no)


def merge(frame: Frame, op: Operation, mask: BoolArray, new: Value, old: Value | None) -> Value:
    """The value after `mask` took `new` while the other threads kept `old` (None: nothing)."""
    if old is None or new is old or mask[frame.lanes].all():
        return new
    if isinstance(new, np.ndarray) and isinstance(old, np.ndarray):
        return choose(mask, new, old)
    return frame.fail(op, "threads of a block chose different memory")
