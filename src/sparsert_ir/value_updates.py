"""Other values under the pattern of a matrix that is data on a GPU."""

from dataclasses import dataclass

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.errors import ArgumentError
from sparsert_ir.gpu.launch_plan import LaunchPlan
from sparsert_ir.layout.packing import StreamLayout, pack_stream
from sparsert_ir.matrix import SparseMatrix


@dataclass(frozen=True)
class ValueOrder:
    """Which nonzero lies where in the stream.

    constant: name of the stream's values among the constants.
    places:   of the shape of the values: the number of a nonzero in the CSR arrays, or -1.
    """

    constant: str
    places: Array

    @classmethod
    def of(cls, plan: LaunchPlan, layout: StreamLayout, matrix: SparseMatrix) -> "ValueOrder":
        """How `plan` dealt the nonzeros of `matrix`: the same packing, of numbers from 1."""
        by_role = {name.rpartition("_")[2]: name for name in plan.constants}
        rows = plan.constants[by_role["rows"]]
        numbers = np.arange(1, matrix.nonzeros + 1, dtype=np.int32)
        stream = pack_stream(matrix.row_offsets, matrix.column_indices, numbers, rows, layout)
        return cls(by_role["values"], stream.values - 1)

    def packed(self, values: Array) -> Array:
        """The values of the nonzeros, in CSR order, as they lie in the stream."""
        return np.append(values, values.dtype.type(0))[self.places]


def check_same_pattern(old: SparseMatrix, new: SparseMatrix) -> None:
    """Raise ArgumentError if the nonzeros of `new` are not where those of `old` are."""
    if old.shape != new.shape:
        raise ArgumentError(f"weight: expected shape {old.shape}, got {new.shape}")
    same = np.array_equal(old.row_offsets, new.row_offsets)
    if not same or not np.array_equal(old.column_indices, new.column_indices):
        raise ArgumentError(
            f"weight: expected the pattern of the compiled one, {old.nonzeros} nonzeros, got"
            f" another pattern, of {new.nonzeros} nonzeros; compile the new weight"
        )
