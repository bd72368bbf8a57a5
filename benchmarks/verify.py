"""Checking a product on the GPU against float64, and the arrays that it is checked on."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from sparsert_ir import SparseMatrix

_UNIT_ROUNDOFF = {"f32": 2.0**-24, "f16": 2.0**-11, "tf32": 2.0**-11}


@dataclass(frozen=True, eq=False)
class Problem:
    """x, a dense copy of the weight, and the float64 product, all on the GPU.

    magnitude: sum(abs(w) * abs(x)) of each element of y.
    length:    nonzeros of the longest row.
    """

    dtype: str
    weight: Any
    x: Any
    product: Any
    magnitude: Any
    length: int

    @classmethod
    def of(cls, matrix: SparseMatrix, n: int, dtype: str, seed: int = 0) -> "Problem":
        """x is normally distributed and drawn from `seed`."""
        torch: Any = import_module("torch")
        kind = {"f32": torch.float32, "f16": torch.float16}[dtype]
        weight = torch.from_numpy(matrix.to_dense().copy()).cuda()
        generator = torch.Generator(device="cuda").manual_seed(seed)
        x = torch.randn(matrix.shape[1], n, generator=generator, device="cuda").to(kind)
        wide, wide_x = weight.double(), x.double()
        return cls(
            dtype,
            weight,
            x,
            wide @ wide_x,
            wide.abs() @ wide_x.abs(),
            int(matrix.row_lengths.max(initial=0)),
        )

    def poisoned_y(self) -> Any:
        """An output full of NaN."""
        torch: Any = import_module("torch")
        shape = self.product.shape
        return torch.full(shape, float("nan"), dtype=self.x.dtype, device="cuda")

    def check(self, y: Any, arithmetic: str, bias: Any = None) -> "Verdict":
        """Compare y; `arithmetic` is "f32", "tf32" or "f16": what the sums were rounded to.

        With a bias (numpy, M numbers) y must be relu(product + bias).

        The bound grows with the root of a row's length: rounding errors are as often up as down.
        """
        unit = _UNIT_ROUNDOFF[arithmetic]
        expected, magnitude = self.product, self.magnitude
        if bias is not None:
            torch: Any = import_module("torch")
            column = torch.from_numpy(bias).cuda().double()[:, None]
            expected, magnitude = (expected + column).relu(), magnitude + column.abs()
        error = (y.double() - expected).abs()
        bound = unit * (8 + 4 * np.sqrt(self.length)) * magnitude + 1e-30
        if self.dtype == "f16":
            bound += 2.0**-11 * expected.abs() + 2.0**-24
        # A NaN, also one left from poisoning, must count as the worst error.
        ratio = (error / bound).nan_to_num(nan=float("inf"))
        worst = int(ratio.argmax())
        largest = float(expected.abs().max())
        return Verdict(
            ok=bool(ratio.max() <= 1),
            error=float(error.nan_to_num(nan=float("inf")).max()) / max(largest, 1e-30),
            worst_index=(worst // y.shape[1], worst % y.shape[1]),
            bound_ratio=float(ratio.max()),
        )


@dataclass(frozen=True)
class Verdict:
    """Whether a product is right.

    error:       the largest absolute error over the largest absolute element of the true product.
    worst_index: the element that is worst by its own bound; bound_ratio: error over bound there.
    """

    ok: bool
    error: float
    worst_index: tuple[int, int]
    bound_ratio: float

    def explain(self) -> str:
        return f"wrong at {self.worst_index}: {self.bound_ratio:.3g} times the error bound"
