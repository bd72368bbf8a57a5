"""The nonzeros of a matrix as arrays in the order in which loops on a CPU read them."""

from dataclasses import dataclass

import numpy as np

from sparsert_ir.cpu.column_tiles import vectors
from sparsert_ir.cpu.simd import Simd
from sparsert_ir.dense import Array

GROUP = 4
"""Nonzeros that are read together: one load for their values, one or two for their columns."""

LONG_ROW, _NARROW = 12, 6
"""Nonzeros of a long row on average; registers of a narrow lane (measured, docs/cpu.md)."""

_SHORT = 16
_WORD = 64


@dataclass(frozen=True, eq=False)
class PackedMatrix:
    """Panel by panel, row by row; each row as groups of `GROUP` nonzeros and up to three more.

    Row r of a panel of R rows has number p * R + r. It has the groups from offsets[number, 0] to
    offsets[number + 1, 0], and the single nonzeros from offsets[number, 1] to
    offsets[number + 1, 1].

    rows:           row numbers of the matrix, -1 where a panel is not full.
    index_bits:     of a column in `words`: 16, or 32 where the matrix has more columns.
    words:          G x (GROUP * index_bits / 64): the columns of a group, the first one lowest.
    group_values:   G x GROUP.
    columns, values: of the single nonzeros.
    """

    offsets: Array
    rows: Array
    index_bits: int
    words: Array
    group_values: Array
    columns: Array
    values: Array


def reads_groups(width: int, rows: int, nonzeros: int) -> bool:
    """Whether tiles of `width` columns read nonzeros in groups: where rows are long, and lanes so
    narrow that the loads of the matrix count beside those of x.
    """
    return nonzeros >= LONG_ROW * rows and vectors(width) <= _NARROW


def chains_for(width: int, rows: int, nonzeros: int, simd: Simd) -> int:
    """Sums that should share the nonzeros of one row, for a lane of `width` columns: one where they
    are not read in groups.

    A multiply-add takes about four clocks and two can start in each, so about eight must be
    independent; rows that follow each other overlap as well. The sums fill half of the registers at
    most: with more, some are kept in memory (docs/cpu.md has the measurements).
    """
    if not reads_groups(width, rows, nonzeros):
        return 1
    allowed = simd.registers // 2 // simd.filled(width)
    return max((chains for chains in (1, 2, GROUP) if chains <= allowed), default=1)


def pack(
    row_offsets: Array,
    indices: Array,
    values: Array,
    column_count: int,
    panels: Array,
    *,
    grouped: bool = True,
) -> PackedMatrix:
    """Pack a CSR matrix; `panels` are P x R row numbers. Linear in the nonzeros.

    Unless `grouped`, all nonzeros are single ones.
    """
    rows = panels.ravel()
    starts = np.where(rows >= 0, row_offsets[rows], 0)
    lengths = np.where(rows >= 0, row_offsets[rows + 1] - row_offsets[rows], 0)
    groups = lengths // GROUP if grouped else np.zeros_like(lengths)
    counts = np.stack([groups, lengths - groups * GROUP], axis=1)
    offsets = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(counts, axis=0)])
    in_groups = _spans(starts, counts[:, 0] * GROUP)
    single = _spans(starts + counts[:, 0] * GROUP, counts[:, 1])
    bits = _SHORT if column_count <= 1 << _SHORT else 2 * _SHORT
    return PackedMatrix(
        offsets=offsets.astype(np.int32),
        rows=rows.astype(np.int32),
        index_bits=bits,
        words=_words(indices[in_groups], bits),
        group_values=values[in_groups].reshape(-1, GROUP),
        columns=indices[single].astype(np.int32),
        values=values[single],
    )


def _spans(starts: Array, lengths: Array) -> Array:
    """The numbers from each start on, as many as its length."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)


def _words(columns: Array, bits: int) -> Array:
    """Columns side by side in words of 64 bits, the first one in the lowest bits."""
    per_word = _WORD // bits
    parts = columns.astype(np.uint64).reshape(-1, GROUP // per_word, per_word)
    shifts = np.arange(per_word, dtype=np.uint64) * np.uint64(bits)
    return np.bitwise_or.reduce(parts << shifts, axis=2).view(np.int64)
