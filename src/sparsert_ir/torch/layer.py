"""Sparse layers apart from the shape of their input: what kernels are compiled from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from sparsert_ir.compiler import compile_spmm
from sparsert_ir.dense import Array
from sparsert_ir.element_types import Dtype, numpy_type
from sparsert_ir.errors import ArgumentError, CallError
from sparsert_ir.kernel import Kernel
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.torch.framework import Tensor, numpy_array

Activation: TypeAlias = Literal["relu"] | None
Residual: TypeAlias = Literal["none", "before", "after"]
"""Whether an array like y is added, before or after the activation."""


@dataclass(frozen=True)
class Epilogue:
    """What happens to a sum, and the bias with it, before it is stored. Raises ArgumentError."""

    activation: Activation = None
    residual: Residual = "none"

    def __post_init__(self) -> None:
        if self.activation not in (None, "relu"):
            raise ArgumentError(f'activation: expected None or "relu", got {self.activation!r}')

    @property
    def residual_option(self) -> Literal[False, "before", "after"]:
        """As the argument of `sparsert_ir.compile`."""
        return False if self.residual == "none" else self.residual


def residual_place(given: object) -> Residual:
    """Of an argument `residual`; ArgumentError for one that means nothing."""
    places: dict[object, Residual] = {
        False: "none",
        True: "before",
        "before": "before",
        "after": "after",
    }
    if not isinstance(given, bool | str) or given not in places:
        raise ArgumentError(
            f'residual: expected False, True, "before" or "after", got {given!r}; the tensor itself'
            " is an argument of the call"
        )
    return places[given]


def rounded_columns(n: int) -> int:
    """The next of 16, 32, 48, 64, 80, 96, 112, 128, 160, ...: four for each doubling, so at most a
    quarter of the columns is added beyond 64.
    """
    step = max(16, (1 << (n - 1).bit_length()) // 8)
    return -(-n // step) * step


def describe(matrix: SparseMatrix, bias: Array | None, epilogue: Epilogue, dtype: Dtype) -> str:
    """What `repr` of a module says of its layer."""
    words = [
        f"sparsity={1 - matrix.density:.3f}, bias={bias is not None}",
        f"activation={epilogue.activation!r}, dtype={dtype!r}",
    ]
    residual = epilogue.residual
    return ", ".join([*words, *([] if residual == "none" else [f"residual={residual!r}"])])


class Layer(Protocol):
    """What the kernels of a module are compiled from; the same whatever shape x has."""

    @property
    def dtype(self) -> Dtype:
        """Element type of x, y and the values."""
        ...

    @property
    def epilogue(self) -> Epilogue:
        """What happens to the sums; with a residual, a call takes an array like y."""
        ...

    @property
    def nonzeros(self) -> int:
        """Of the matrix."""
        ...

    @property
    def digest(self) -> str:
        """The same for the same layer, in every process."""
        ...

    def result_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Of y, for x of that shape; CallError for a shape that the layer does not take."""
        ...

    def rounded(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape with columns added for which a kernel serves x of many shapes; None: none."""
        ...

    def compile(self, shape: tuple[int, ...], target: str, threads: int | None = None) -> Kernel:
        """The kernel for x of that shape, on a CPU or the architecture of a GPU.

        threads: of a CPU; None: the cost model's choice.
        """
        ...


@dataclass(frozen=True, eq=False)
class SparseLayer:
    """`y[M, N] = activation(matrix @ x[K, N] + bias [+ residual]) [+ residual]`, for any N.

    bias: float32, M numbers, or None.
    """

    matrix: SparseMatrix
    bias: Array | None
    epilogue: Epilogue
    dtype: Dtype

    @classmethod
    def of(
        cls, weight: Tensor, bias: Tensor | None, epilogue: Epilogue, dtype: Dtype
    ) -> "SparseLayer":
        """Of a weight M x K and a bias, on any device. Raises MatrixError."""
        matrix = SparseMatrix.of(weight, numpy_type(dtype))
        return cls(matrix, None if bias is None else numpy_array(bias.float()), epilogue, dtype)

    def __str__(self) -> str:
        return describe(self.matrix, self.bias, self.epilogue, self.dtype)

    @property
    def digest(self) -> str:
        """The same for the same layer, in every process."""
        matrix = self.matrix
        head = repr((matrix.shape, self.dtype, self.epilogue, self.bias is None))
        hashed = hashlib.sha256(head.encode())
        for array in (matrix.row_offsets, matrix.column_indices, matrix.values, self.bias):
            if array is not None:
                hashed.update(array.tobytes())
        return hashed.hexdigest()[:32]

    @property
    def nonzeros(self) -> int:
        """Of the matrix."""
        return self.matrix.nonzeros

    @property
    def rows(self) -> int:
        """M."""
        return self.matrix.shape[0]

    def result_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Of y, for x of that shape: K x N or B x K x N. CallError for another one."""
        depth = self.matrix.shape[1]
        if len(shape) not in (2, 3) or shape[-2] != depth:
            raise CallError(
                f"spmm: x: expected shape ({depth}, N) or (B, {depth}, N), got {tuple(shape)}"
            )
        return (*shape[:-2], self.rows, shape[-1])

    def rounded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(K, N) with `rounded_columns`."""
        return (shape[0], rounded_columns(shape[1]))

    def compile(self, shape: tuple[int, ...], target: str, threads: int | None = None) -> Kernel:
        """The kernel for x of shape (K, N); errors as of `sparsert_ir.compile`."""
        return compile_spmm(
            self.matrix,
            shape[1],
            bias=self.bias,
            activation=self.epilogue.activation,
            residual=self.epilogue.residual_option,
            dtype=self.dtype,
            target=target,
            threads=threads,
        )
