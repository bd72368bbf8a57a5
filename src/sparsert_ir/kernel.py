"""A compiled layer: callable, and open to inspection at every stage of its compilation."""

import os
import time
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.printer import Printer

from sparsert_ir.cpu.host_kernel import HostKernel
from sparsert_ir.cpu.tiled_layout import tiled_layout
from sparsert_ir.cpu.work_shares import part_name
from sparsert_ir.dense import to_numpy
from sparsert_ir.dialects.sparsert import PtrAccumulateOp
from sparsert_ir.element_types import numpy_type
from sparsert_ir.emit.host import HostCode, compile_for_host, host_assembly
from sparsert_ir.emit.llvm_text import emit_llvm
from sparsert_ir.emit.ptx import llvm_to_ptx
from sparsert_ir.errors import ArgumentError
from sparsert_ir.frontend import array_shapes
from sparsert_ir.gpu.launch_plan import LaunchPlan, launch_plan
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.matrix import MatrixLike, SparseMatrix
from sparsert_ir.pipeline import StageRecord, count_ops
from sparsert_ir.runtime.launch import KernelSignature, LaunchShape
from sparsert_ir.schedule import Schedule
from sparsert_ir.value_updates import ValueOrder, check_same_pattern

if TYPE_CHECKING:
    from sparsert_ir.compilation import Compilation
    from sparsert_ir.runtime.launch import GpuKernel

INPUT_STAGE = "input"
_ALIGNMENT = 16


@dataclass(frozen=True)
class KernelStats:
    """What a compilation made.

    nonzeros:      of the matrix; those of a depthwise filter in the same kernel besides.
    multiply_adds: of one call: nonzeros * N.
    loads:         of x in the unrolled code; 0 where the matrix is data.
    lowering:      "code" or "data", a colon and why.
    packed_bytes:  of the arrays that hold the matrix as data on a GPU; 0 elsewhere.
    code_bytes:    of machine code; for a GPU known once the kernel is assembled, else None.
    registers:     per thread, once the kernel is assembled for a GPU, else None.
    stages:        seconds and operations of each stage, in order.
    """

    nonzeros: int
    multiply_adds: int
    loads: int
    lowering: str
    packed_bytes: int
    code_bytes: int | None
    registers: int | None
    stages: tuple[StageRecord, ...]

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(stage.seconds for stage in self.stages)


class Kernel:
    """`y = kernel(x, residual=None, out=None)`, made by `sparsert_ir.compile` or `compile_conv2d`.

    A GPU kernel is assembled and loaded at its first call, or by `load()`; until then everything
    but a call works on a machine without a GPU.
    """

    def __init__(self, compilation: "Compilation") -> None:
        self.compilation = compilation
        self._plan: LaunchPlan | None = None
        self._host: HostCode | None = None
        self._ptx = ""
        self._value_order: ValueOrder | None = None
        module, records = compilation.run()
        self._loads = _count_loads(module)
        begin = time.perf_counter()
        if compilation.is_gpu:
            self._plan = launch_plan(module)
            self._llvm = emit_llvm(self._plan.kernels)
        else:
            self._llvm = emit_llvm(module)
        ops = count_ops(module)
        records.append(_record("llvm-text", begin, ops))
        begin = time.perf_counter()
        if compilation.is_gpu:
            self._ptx = llvm_to_ptx(self._llvm, compilation.target)
            records.append(_record("ptx", begin, ops))
        else:
            self._host = compile_for_host(self._llvm, loops=self._has_loops)
            records.append(_record("machine-code", begin, ops))
        self._records = tuple(records)

    def __repr__(self) -> str:
        rows, depth = self.compilation.layer.matrix.shape
        return f"Kernel(@{self.name}: {rows} x {depth}, N = {self.n}, for {self.target})"

    @property
    def name(self) -> str:
        return self.compilation.layer.name

    @property
    def target(self) -> str:
        """ "cpu" or the architecture of a GPU."""
        return self.compilation.target

    @property
    def n(self) -> int:
        """Columns of x and y."""
        return self.compilation.layer.columns

    @property
    def schedule(self) -> Schedule:
        schedule = self.compilation.layer.schedule
        assert schedule is not None
        return schedule

    @property
    def threads(self) -> int:
        """Threads that a call uses on a CPU; 1 on a GPU."""
        return self.compilation.threads

    @property
    def _has_loops(self) -> bool:
        return self.schedule.lowering == "data"

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks of the launch; (1, 1, 1) on a CPU."""
        return (1, 1, 1) if self._plan is None else self._plan.grid

    @property
    def block(self) -> tuple[int, int, int]:
        """Threads of a block; (1, 1, 1) on a CPU."""
        return (1, 1, 1) if self._plan is None else self._plan.block

    @property
    def llvm_ir(self) -> str:
        """LLVM IR text as it was handed to LLVM."""
        return self._llvm

    @property
    def ptx(self) -> str:
        """PTX; ArgumentError for a kernel of the CPU."""
        if self._plan is None:
            raise ArgumentError(f"kernel @{self.name}: expected a GPU target for PTX, got cpu")
        return self._ptx

    @property
    def assembly(self) -> str:
        """Assembly of the processor; ArgumentError for a kernel of a GPU."""
        if self._plan is not None:
            raise ArgumentError(f"kernel @{self.name}: expected target cpu, got {self.target}")
        return host_assembly(self._llvm, loops=self._has_loops)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names for `ir`: the input, then every pass."""
        return (INPUT_STAGE, *(one.name for one in self.compilation.passes()))

    def ir(self, stage: str) -> str:
        """The IR after a stage, made anew: the passes run again up to there.

        Raises ArgumentError for a name that is not in `stages`.
        """
        if stage not in self.stages:
            raise ArgumentError(f"stage: expected one of {', '.join(self.stages)}, got {stage!r}")
        module = self.compilation.build()
        if stage != INPUT_STAGE:
            module = self.compilation.run_until(stage)
        return _print(module)

    @property
    def stats(self) -> KernelStats:
        layer = self.compilation.layer
        nonzeros = layer.matrix.nonzeros
        if layer.depthwise is not None:
            nonzeros += layer.depthwise.matrix.nonzeros
        stats = KernelStats(
            nonzeros=nonzeros,
            multiply_adds=nonzeros * self.n,
            loads=self._loads,
            lowering=f"{self.schedule.lowering}: {self.compilation.lowering_reason}",
            packed_bytes=0 if self._plan is None else self._plan.constant_bytes,
            code_bytes=None if self._host is None else self._host.code_bytes,
            registers=None,
            stages=self._records,
        )
        loaded = self.__dict__.get("_gpu_kernel")
        if loaded is None:
            return stats
        binary = loaded.kernel
        return replace(stats, code_bytes=binary.code_bytes, registers=binary.registers)

    def load(self) -> "Kernel":
        """Assemble a GPU kernel and load it on the first GPU; nothing to do on a CPU.

        Raises NoDeviceError, ArchitectureError or another DeviceError.
        """
        if self._plan is not None:
            _ = self._gpu_kernel
        return self

    def __call__(
        self, x: object, residual: object = None, out: object = None, stream: object = None
    ) -> Any:
        """Compute y, M x N; x is K x N, `residual` like y where the layer has one. A convolution's
        x and y are images in its layout.

        On "cpu": numpy arrays, or what numpy reads without a copy; returns when y is computed.
        On a GPU: torch, cupy, or anything with DLPack or the CUDA array interface; launches on
        `stream`, or the stream on which the library of x works, and does not wait. With `out`
        nothing is allocated. See `sparsert_ir.runtime.launch.GpuKernel`.
        Raises CallError for arguments that the kernel cannot run on; nothing was launched then.
        """
        if self._plan is not None:
            return self._gpu_kernel(x, residual, out, stream)
        if stream is not None:
            raise ArgumentError(f"kernel @{self.name}: stream: expected None on a CPU")
        return self._host_kernel(x, residual, out)

    @cached_property
    def _host_kernel(self) -> HostKernel:
        assert self._host is not None
        return self.binary.on_host(self._host)

    @property
    def binary(self) -> KernelBinary:
        """The kernel without its compilation: small, and another process can load it."""
        layer = self.compilation.layer
        x_shape, y_shape = array_shapes(layer)
        signature = KernelSignature(
            x_shape=x_shape,
            y_shape=y_shape,
            dtype=layer.dtype,
            has_residual=layer.residual != "none",
            alignment=_ALIGNMENT,
        )
        plan = self._plan
        if plan is None:
            tiled = self._host is not None and self._host.has_function(part_name(self.name))
            layout = tiled_layout(layer, self.threads) if tiled else None
            return KernelBinary(
                name=self.name,
                target=self.target,
                signature=signature,
                launch=LaunchShape(grid=self.grid, block=self.block),
                llvm_ir=self._llvm,
                has_loops=self._has_loops,
                parts=() if layout is None else layout.parts,
                threads=self.threads,
                copy_bytes=0 if layout is None else layout.copy_bytes,
            )
        launch = LaunchShape(
            grid=plan.grid,
            block=plan.block,
            shared_bytes=plan.shared_bytes,
            overlapped=plan.overlapped,
        )
        return KernelBinary(
            name=self.name,
            target=self.target,
            signature=signature,
            launch=launch,
            ptx=self._ptx,
            constants=tuple(plan.constants.items()),
        )

    def update_values(self, weight: MatrixLike) -> None:
        """Compute with the values of `weight` from now on; nothing is compiled.

        weight: M x K as for `sparsert_ir.compile`; after rounding to the kernel's element type its
                nonzeros must be where the compiled weight's are.
        For GPU kernels with the matrix as data. Once the kernel is loaded, this waits for all work
        that the GPU has, calls in other streams included, and then overwrites the values there.
        The first update of a kernel packs the pattern again, later ones only copy.
        Raises ArgumentError for another pattern and for a kernel whose values are in its code,
        MatrixError, and DeviceError if the copy failed; the kernel keeps its values then.
        """
        plan = self._plan
        if plan is None or plan.layout is None:
            raise ArgumentError(
                f"kernel @{self.name}: expected a matrix that is data on a GPU, got lowering ="
                f" {self.schedule.lowering} for {self.target}; compile the new weight"
            )
        layer = self.compilation.layer
        matrix = SparseMatrix.of(weight, numpy_type(layer.dtype))
        check_same_pattern(layer.matrix, matrix)
        if self._value_order is None:
            self._value_order = ValueOrder.of(plan, plan.layout, matrix)
        order = self._value_order
        values = order.packed(matrix.values)
        if "_gpu_kernel" in self.__dict__:
            number = list(plan.constants).index(order.constant)
            self._gpu_kernel.replace_constant(number, values)
        self._plan = replace(plan, constants={**plan.constants, order.constant: values})
        self.compilation = replace(self.compilation, layer=replace(layer, matrix=matrix))

    def save(self, path: str | os.PathLike[str], *, assembled: bool | None = None) -> None:
        """Write the kernel to a file that `sparsert_ir.load` runs without the compiler.

        assembled: whether machine code for the GPU present goes beside the PTX; None: if there is
                   one.
        Raises FileWriteError, and what `load` raises if `assembled`.
        """
        from sparsert_ir.artefact.from_kernel import save_kernel

        save_kernel(self, path, assembled=assembled)

    @cached_property
    def _gpu_kernel(self) -> "GpuKernel":
        return self.binary.load_on_gpu()


def _record(name: str, begin: float, ops: int) -> StageRecord:
    return StageRecord(name, time.perf_counter() - begin, ops)


def _count_loads(module: ModuleOp) -> int:
    runs = [to_numpy(op.offsets) for op in module.walk() if isinstance(op, PtrAccumulateOp)]
    return sum(int(np.count_nonzero(np.diff(run))) + bool(run.size) for run in runs)


def _print(module: ModuleOp) -> str:
    stream = StringIO()
    Printer(stream).print_op(module)
    return stream.getvalue() + "\n"
