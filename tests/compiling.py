"""From a random layer to a kernel, and a pruned layer of realistic size."""

import numpy as np

import sparsert_ir
from sparsert_ir import Kernel, Schedule
from sparsert_ir.dense import Array
from sparsert_ir.frontend import Layer
from sparsert_ir.schedule import Lowering


def compile_layer(
    layer: Layer,
    target: str | None,
    schedule: Schedule | None = None,
    lowering: Lowering | None = None,
) -> Kernel:
    """`sparsert_ir.compile` on a layer; `schedule` instead of the layer's own where given."""
    return sparsert_ir.compile(
        layer.matrix,
        layer.columns,
        bias=layer.bias,
        activation=layer.activation,
        residual=False if layer.residual == "none" else layer.residual,
        dtype=layer.dtype,
        target=target,
        lowering=lowering,
        schedule=layer.schedule if schedule is None else schedule,
    )


def pruned(rows: int, depth: int, density: float, seed: int = 0) -> Array:
    """A matrix of small whole numbers whose rows are as uneven as in a pruned network: the number
    of nonzeros per row has a coefficient of variation of about 0.42 (gamma distributed).
    """
    random = np.random.default_rng(seed)
    shape = 1 / 0.42**2
    wanted = random.gamma(shape, depth * density / shape, rows)
    lengths = np.clip(np.rint(wanted), 0, depth).astype(np.int64)
    weight = np.zeros((rows, depth), np.float32)
    for row, length in enumerate(lengths):
        columns = random.permutation(depth)[:length]
        weight[row, columns] = random.choice([-2, -1, 1, 2], length)
    return weight
