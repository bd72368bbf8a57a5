"""Calling a kernel of the CPU target on numpy arrays, with everything checked before the call."""

import ctypes
import math
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from sparsert_ir.cpu.host_threads import buffers, team
from sparsert_ir.cpu.work_shares import Part, part_name
from sparsert_ir.emit.host import HostCode
from sparsert_ir.errors import CallError
from sparsert_ir.native.library import (
    ASLEEP,
    DONE,
    UNFIT,
    Plan,
    Wanted,
    kind_of,
    native_calls,
)
from sparsert_ir.native.numpy_layout import (
    ALIGNED,
    C_CONTIGUOUS,
    WRITEABLE,
    data_address,
    head_bytes,
)
from sparsert_ir.torch_matrices import host_array, is_torch

Array: TypeAlias = npt.NDArray[Any]

_SMALL_RESULT = 4096
_COPY_ON_STACK = 32 * 1024


def aligned_empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """An uninitialised array that begins on a cache line: vectors then do not straddle two."""
    kind = np.dtype(dtype)
    size, line = math.prod(shape) * kind.itemsize, 64
    memory = np.empty(size + line, np.uint8)
    start = -data_address(memory) % line
    return memory[start : start + size].view(kind).reshape(shape)


@dataclass(frozen=True)
class CallShape:
    """What a kernel computes with.

    name:       of the kernel.
    x_shape, y_shape, element: of the arrays; a residual is like y.
    parts:      what threads take one by one, together the whole product; () for a kernel that is
                one loop.
    threads:    that share the parts, as far as there are cores for them.
    copy_bytes: of a thread's copy of a tile of x; 0: it makes none.
    """

    name: str
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    element: np.dtype[Any]
    has_residual: bool
    parts: tuple[Part, ...] = ()
    threads: int = 1
    copy_bytes: int = 0


class HostKernel:
    """`y = kernel(x[, residual])` in this process.

    Compiled code looks at the arrays and runs the parts (`native/calls.ll`). What it does not take,
    Python looks at more closely: it finds a way, or says what is wrong.
    """

    def __init__(self, code: HostCode, shape: CallShape) -> None:
        self._code, self._shape = code, shape
        self._native = native_calls()
        self._bounds = (ctypes.c_int64 * (4 * max(len(shape.parts), 1)))(
            *(bound for part in shape.parts for bound in part.bounds)
        )
        self._plan = _plan(code, shape, self._bounds)
        # Attributes that every call reads.
        self._call, self._address = self._native.call, ctypes.addressof(self._plan)
        self._takes_residual = shape.has_residual
        self._buffer_bytes = shape.copy_bytes if shape.copy_bytes > _COPY_ON_STACK else 0
        self._result_is_small = math.prod(shape.y_shape) * shape.element.itemsize < _SMALL_RESULT
        if self._buffer_bytes:
            team().reserve(shape.threads - 1, self._buffer_bytes)

    def __call__(self, x: object, residual: object = None, out: object = None) -> Array:
        """Arrays are numpy's, or anything that numpy reads without a copy (torch on the CPU).

        Raises CallError for an argument that the kernel cannot run on.
        """
        y = self._empty() if out is None else out
        buffer = buffers().address(self._buffer_bytes) if self._buffer_bytes else 0
        if (residual is None) is self._takes_residual:
            return self._closer_look(x, residual, y, buffer)
        status = self._call(self._address, id(x), id(residual), id(y), buffer, 1)
        if status == UNFIT:
            return self._closer_look(x, residual, y, buffer)
        if status == ASLEEP:
            team().wake(self._plan.threads - 1)
            self._call(self._address, id(x), id(residual), id(y), buffer, 0)
        return cast(Array, y)

    def _closer_look(self, x: object, residual: object, out: object, buffer: int) -> Array:
        inputs = [self._input("x", x, self._shape.x_shape)]
        if (residual is None) is self._takes_residual:
            expected = "an array, which the kernel adds" if self._takes_residual else "None"
            raise self._refusal("residual", expected, "None" if residual is None else "an array")
        if residual is not None:
            inputs.append(self._input("residual", residual, self._shape.y_shape))
        y = self._output(out, inputs)
        first, *others = map(data_address, (*inputs, y))
        between = others[0] if residual is not None else 0
        arguments = self._address, first, between, others[-1], buffer
        if self._native.run(*arguments, 1) != DONE:
            team().wake(self._plan.threads - 1)
            self._native.run(*arguments, 0)
        return y

    def _empty(self) -> Array:
        shape = self._shape
        if self._result_is_small:
            return np.empty(shape.y_shape, shape.element)
        return aligned_empty(shape.y_shape, shape.element)

    def _input(self, role: str, array: object, shape: tuple[int, ...]) -> Array:
        if isinstance(array, np.ndarray):
            return self._checked(role, cast(Array, array), shape)
        if hasattr(array, "__cuda_array_interface__") and not hasattr(array, "__array__"):
            raise self._refusal(role, "memory of the host", "memory of a GPU")
        try:
            numbers = host_array(array) if is_torch(array) else np.asarray(array)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._refusal(role, "an array in memory of the host", str(error)) from error
        return self._checked(role, numbers, shape)

    def _checked(self, role: str, array: Array, shape: tuple[int, ...]) -> Array:
        if array.dtype != self._shape.element:
            raise self._refusal(role, f"element type {self._shape.element}", str(array.dtype))
        if array.shape != shape:
            raise self._refusal(role, f"shape {shape}", str(array.shape))
        if not array.flags.c_contiguous:
            raise self._refusal(role, "row-major elements without gaps", "other strides; copy it")
        if not array.flags.aligned:
            raise self._refusal(role, "aligned elements", "an unaligned address; copy it")
        return array

    def _output(self, out: object, inputs: list[Array]) -> Array:
        if not isinstance(out, np.ndarray):
            raise self._refusal("out", "a numpy array", type(out).__name__)
        y = self._checked("out", cast(Array, out), self._shape.y_shape)
        if not y.flags.writeable:
            raise self._refusal("out", "an array that may be written", "a read-only one")
        if any(np.may_share_memory(y, array) for array in inputs):
            raise self._refusal("out", "memory of its own", "memory that overlaps an input")
        return y

    def _refusal(self, role: str, expected: str, got: Any) -> CallError:
        return CallError(f"kernel @{self._shape.name}: {role}: expected {expected}, got {got}")


def _plan(code: HostCode, shape: CallShape, bounds: Any) -> Plan:
    has_parts = bool(shape.parts)
    y = _wanted(shape.y_shape, shape.element, C_CONTIGUOUS | ALIGNED | WRITEABLE)
    inputs = C_CONTIGUOUS | ALIGNED
    residual = Wanted()
    if shape.has_residual:
        residual = _wanted(shape.y_shape, shape.element, inputs)
    kind = kind_of(
        has_residual=shape.has_residual, has_bounds=has_parts, has_copy=bool(shape.copy_bytes)
    )
    return Plan(
        function=code.address(part_name(shape.name) if has_parts else shape.name),
        kind=kind,
        copy_bytes=shape.copy_bytes,
        parts=len(shape.parts) or 1,
        threads=min(shape.threads, len(shape.parts) or 1, team().most + 1),
        head=head_bytes(),
        bounds=ctypes.addressof(bounds),
        team=team().address,
        array_type=id(np.ndarray),
        arrays=(Wanted * 3)(_wanted(shape.x_shape, shape.element, inputs), residual, y),
    )


def _wanted(shape: tuple[int, ...], element: np.dtype[Any], flags: int) -> Wanted:
    size = math.prod(shape) * element.itemsize
    wanted = Wanted(element=id(element), rank=len(shape), flags=flags, size=size)
    wanted.extents[: len(shape)] = shape
    return wanted
