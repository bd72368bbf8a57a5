"""Compile a pruned layer of real size, show each stage, run it, check it and time it.

    python examples/demo.py

The matrix is made up: 512 x 512, 90% zeros, rows as uneven as in a pruned MobileNet (the number of
nonzeros per row has a coefficient of variation of 0.42).
"""

import sys
from pathlib import Path

import numpy as np
from layer_report import FloatArray, PrunedLayer, report

from sparsert_ir import SparseMatrix

ROWS, DEPTH, COLUMNS = 512, 512, 196
DENSITY = 0.1
VARIATION = 0.42


def pruned_weight(random: np.random.Generator) -> FloatArray:
    """Normally distributed values at random places; row lengths are gamma distributed, scaled so
    that mean and coefficient of variation are met.
    """
    shape = 1 / VARIATION**2
    drawn = random.gamma(shape, 1 / shape, ROWS)
    drawn = 1 + VARIATION * (drawn - drawn.mean()) / drawn.std()
    lengths = np.clip(np.rint(drawn * DENSITY * DEPTH), 0, DEPTH).astype(np.int64)
    weight = np.zeros((ROWS, DEPTH), np.float32)
    for row, length in enumerate(lengths):
        columns = random.permutation(DEPTH)[:length]
        weight[row, columns] = random.standard_normal(length)
    return weight


def main() -> int:
    random = np.random.default_rng(0)
    weight = SparseMatrix.of(pruned_weight(random))
    bias = random.standard_normal(ROWS).astype(np.float32)
    is_right = report(PrunedLayer(weight, bias, COLUMNS), Path("out") / "demo")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
