"""Will a sparse kernel beat dense libraries? Answered by prediction, before anything runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu import CpuFacts, predict_cpu, predict_dense_cpu
from sparsert_ir.cost_model.cpu_convolution import predict_cpu_convolution
from sparsert_ir.cost_model.gpu import DENSE_MODES, Product, predict_dense_us, predict_us
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.errors import ArgumentError
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedules.candidates import gpu_candidates, sampled
from sparsert_ir.schedules.cpu import best_cpu_convolution, best_cpu_schedule
from sparsert_ir.schedules.default import default_gpu_schedule, default_lowering

_SCHEDULES_COMPARED = 400
_BISECTIONS = 12


@dataclass(frozen=True)
class ModeAdvice:
    """Against one math mode of the dense library.

    ratio:         dense time over sparse time: above 1, sparse is faster.
    density_limit: below this share of nonzeros sparse is faster; 0 where it never is.
    """

    mode: str
    dense_us: float
    ratio: float
    density_limit: float


@dataclass(frozen=True)
class Advice:
    """Predictions for one N; microseconds per launch."""

    n: int
    dtype: str
    lowering: str
    sparse_us: float
    modes: tuple[ModeAdvice, ...]

    @property
    def pays(self) -> bool:
        """Whether sparse is predicted to beat every dense mode."""
        return all(mode.ratio > 1 for mode in self.modes)


def advise(matrix: SparseMatrix, n: int, dtype: str, architecture: str) -> Advice:
    """Compare the best predicted schedule, or with the matrix as data the default one, with dense
    products on a GPU of `architecture`, or for "cpu" with a dense product in f32 on one thread.

    Good to about a third (see `sparsert_ir.cost_model`). Raises ArgumentError for an unknown
    architecture or an n below 1.
    """
    if n < 1:
        raise ArgumentError(f"n: expected 1 or more, got {n}")
    if architecture == "cpu":
        return _advise_cpu(CpuFacts(*matrix.shape, n, matrix.nonzeros, dtype))
    limits = limits_of(architecture)
    product = Product(matrix.shape, matrix.nonzeros, n, dtype)
    code = sampled(gpu_candidates(matrix.shape, n, dtype), seed=0)[:_SCHEDULES_COMPARED]

    def sparse(nonzeros: int) -> float:
        one = replace(product, nonzeros=nonzeros)
        if default_lowering(one.shape, nonzeros, n) == "code":
            return min(predict_us(schedule, one, limits) for schedule in code)
        data = default_gpu_schedule(one.shape, n, dtype, nonzeros, "data", architecture)
        return predict_us(data, one, limits)

    sparse_us = sparse(matrix.nonzeros)
    modes: list[ModeAdvice] = []
    for mode in DENSE_MODES[dtype]:
        dense_us = predict_dense_us(product, mode, limits)
        # Math modes that the GPU lacks are no competition.
        if dense_us < float("inf"):
            limit = _density_limit(product.shape, dense_us, sparse)
            modes.append(ModeAdvice(mode, dense_us, dense_us / sparse_us, limit))
    return Advice(
        n, dtype, default_lowering(matrix.shape, matrix.nonzeros, n), sparse_us, tuple(modes)
    )


def advise_convolution(facts: ConvolutionFacts, groups: int, target: str) -> Advice:
    """Compare a convolution with a dense one in f32, both on one thread of a CPU.

    groups: of channels, which the dense convolution keeps apart.
    target: "cpu"; ArgumentError for a GPU, whose libraries' convolutions are not modelled.
    """
    if target != "cpu":
        raise ArgumentError(
            f"target: expected cpu for a convolution, got {target}; `sparsert bench` measures there"
        )
    window = facts.window
    taps = window.depth // groups

    def sparse(nonzeros: int) -> float:
        one = replace(facts, nonzeros=nonzeros)
        return predict_cpu_convolution(one, best_cpu_convolution(one)) * 1e6

    dense = CpuFacts(facts.rows, taps, window.columns, facts.rows * taps)
    return _on_cpu(facts.nonzeros, dense, facts.dtype, sparse)


def _advise_cpu(facts: CpuFacts) -> Advice:
    def sparse(nonzeros: int) -> float:
        one = replace(facts, nonzeros=nonzeros)
        return predict_cpu(one, best_cpu_schedule(one)) * 1e6

    return _on_cpu(facts.nonzeros, facts, facts.dtype, sparse)


def _on_cpu(nonzeros: int, dense: CpuFacts, dtype: str, sparse: Callable[[int], float]) -> Advice:
    """dense: what a dense library computes. sparse: microseconds with so many nonzeros."""
    sparse_us, dense_us = sparse(nonzeros), predict_dense_cpu(dense) * 1e6
    limit = _density_limit((dense.rows, dense.depth), dense_us, sparse)
    mode = ModeAdvice("f32", dense_us, dense_us / sparse_us, limit)
    return Advice(dense.columns, dtype, "data", sparse_us, (mode,))


def _density_limit(
    shape: tuple[int, int], dense_us: float, sparse: Callable[[int], float]
) -> float:
    """The density at which sparse takes as long as dense, by bisection.

    sparse: microseconds with so many nonzeros.
    """
    size = shape[0] * shape[1]

    def wins(density: float) -> bool:
        return sparse(round(density * size)) < dense_us

    if not wins(0.0):
        return 0.0
    if wins(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if wins(middle) else (low, middle)
    return low
