"""Fused multiply-add with one rounding, and runs of them in their stated order."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.element_types import is_bfloat16, rounded
from sparsert_ir.errors import InterpreterError


def fused_multiply_add(a: Array, b: Array, c: Array) -> Array:
    """`a * b + c` rounded once, in the element type of `c`: bf16, f16 or f32, exact for all.

    The product is exact in f64; the sum is rounded to odd in f64 and then to nearest, which equals
    one rounding (S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums: proved
    algorithms using rounding to odd", IEEE Transactions on Computers, 2008).
    """
    if not is_bfloat16(c.dtype) and (c.dtype.kind != "f" or c.dtype.itemsize > 4):
        raise InterpreterError(f"multiply-add: expected bf16, f16 or f32, got {c.dtype}")
    product: Array = a.astype(np.float64) * b.astype(np.float64)
    addend: Array = c.astype(np.float64)
    total: Array = product + addend
    nearest: Array = rounded(total, c.dtype)
    if (nearest == total).all():
        return nearest
    return rounded(_round_to_odd(product, addend, total), c.dtype)


def _round_to_odd(a: Array, b: Array, total: Array) -> Array:
    """`a + b`, which rounds to `total`: where inexact, the neighbour with an odd last bit."""
    part = total - a
    error = (a - (total - part)) + (b - part)
    inexact = (error != 0) & np.isfinite(error)
    bits = total.view(np.int64)
    direction = np.where((error > 0) == (total > 0), 1, -1)
    return np.where(inexact & (bits & 1 == 0), bits + direction, bits).view(np.float64)


@dataclass(frozen=True)
class Step:
    """Multiply-adds of different rows, one per row; `sources` index the run's `columns`."""

    rows: Array
    sources: Array
    values: Array


@dataclass(frozen=True)
class Run:
    """A run of multiply-adds: step i holds the i-th multiply-add of every row that has one.

    columns: the distinct rows of x that the run reads, ascending.
    lengths: multiply-adds of each row.
    """

    columns: Array
    steps: tuple[Step, ...]
    lengths: Array


def deal_run(columns: Array, rows: Array, values: Array, row_count: int) -> Run:
    """The run `for i in order: sums[rows[i]] += values[i] * x[columns[i]]`.

    Sums of different rows do not depend on each other, so only the order within a row counts.
    """
    lengths = np.bincount(rows, minlength=row_count)
    by_row = np.argsort(rows, kind="stable")
    starts = np.cumsum(lengths) - lengths
    ranks = np.empty(rows.size, np.int64)
    ranks[by_row] = np.arange(rows.size) - starts[rows[by_row]]
    by_rank = np.argsort(ranks, kind="stable")
    distinct, sources = np.unique(columns, return_inverse=True)
    cuts = np.cumsum(np.bincount(ranks))[:-1]
    chunks = np.split(by_rank, cuts) if rows.size else []
    steps = tuple(Step(rows[chunk], sources[chunk], values[chunk]) for chunk in chunks)
    return Run(distinct, steps, lengths)


def run_sums(
    run: Run, x: Array, dtype: np.dtype[Any], fold: int | None, initial: Array | None = None
) -> Array:
    """The sums of a run, shape (rows, N), from x of shape (distinct columns, N), from `initial` (0)
    on.

    Where x is narrower than the sums, `fold` products of a row at a time are first added in x's
    element type (1 or None: every product is added in the sums' element type).
    """
    sums = np.zeros((run.lengths.size, x.shape[1]), dtype) if initial is None else initial.copy()
    if fold is None or fold == 1 or x.dtype == dtype:
        _add_steps(run.steps, x.astype(dtype, copy=False), sums)
        return sums
    for begin in range(0, len(run.steps), fold):
        partial = np.zeros(sums.shape, x.dtype)
        _add_steps(run.steps[begin : begin + fold], x, partial)
        touched = run.lengths > begin
        sums[touched] += partial[touched].astype(dtype)
    return sums


def _add_steps(steps: tuple[Step, ...], x: Array, sums: Array) -> None:
    for step in steps:
        weights = step.values.astype(sums.dtype)[:, np.newaxis]
        sums[step.rows] = fused_multiply_add(weights, x[step.sources], sums[step.rows])
