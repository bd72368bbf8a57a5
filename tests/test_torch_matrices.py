"""`SparseMatrix.of` takes torch's tensors and pruned modules, and gives the matrix they mean."""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from sample_matrix_files import check_invariants, sample_dense

from sparsert_ir.errors import MatrixError
from sparsert_ir.matrix import SparseMatrix

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed (extra: torch); its tensors are not tested"
)

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*Sparse .* tensor support is in beta"),
]


def sample() -> Any:
    return torch.from_numpy(sample_dense())


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "dense": lambda tensor: tensor,
    "transposed view": lambda tensor: tensor.t().contiguous().t(),
    "coo": lambda tensor: tensor.to_sparse_coo(),
    "csr": lambda tensor: tensor.to_sparse_csr(),
    "csc": lambda tensor: tensor.to_sparse_csc(),
    "bsr": lambda tensor: tensor.to_sparse_bsr((3, 2)),
    "bsc": lambda tensor: tensor.to_sparse_bsc((3, 2)),
    "parameter": lambda tensor: torch.nn.Parameter(tensor),
    "negative view": lambda tensor: torch._neg_view(-tensor),
    "float64": lambda tensor: tensor.double(),
    "float16": lambda tensor: tensor.half(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_matrix(layout: str) -> None:
    matrix = SparseMatrix.of(LAYOUTS[layout](sample()))
    check_invariants(matrix)
    np.testing.assert_array_equal(matrix.to_dense(), sample_dense())


@pytest.mark.parametrize("layout", ["dense", "coo", "csr"])
def test_bfloat16_is_exact(layout: str) -> None:
    tensor = sample().bfloat16()
    matrix = SparseMatrix.of(LAYOUTS[layout](tensor))
    np.testing.assert_array_equal(matrix.to_dense(), tensor.float().numpy())


def test_duplicate_coordinates_are_added() -> None:
    tensor = torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.5, 2.0], (2, 2), check_invariants=True)
    np.testing.assert_array_equal(SparseMatrix.of(tensor).to_dense(), [[0, 3.5], [0, 0]])


def test_the_matrix_does_not_change_with_the_tensor() -> None:
    for tensor in (sample(), sample().to_sparse_csr()):
        matrix = SparseMatrix.of(tensor)
        (tensor if tensor.layout is torch.strided else tensor.values()).mul_(2)
        np.testing.assert_array_equal(matrix.to_dense(), sample_dense())


def linear() -> Any:
    module = torch.nn.Linear(18, 12)
    with torch.no_grad():
        module.weight.copy_(sample() + 1)
    return module


def test_a_linear_gives_its_weight() -> None:
    np.testing.assert_array_equal(SparseMatrix.of(linear()).to_dense(), sample_dense() + 1)


def test_a_pruned_linear_gives_what_it_multiplies_by() -> None:
    prune: Any = import_module("torch.nn.utils.prune")
    module = prune.l1_unstructured(linear(), "weight", amount=0.5)
    with torch.no_grad():
        # As an optimizer does: `weight` is stale until the next forward call.
        module.weight_orig.mul_(2)
    matrix = SparseMatrix.of(module)
    module(torch.zeros(1, 18))
    np.testing.assert_array_equal(matrix.to_dense(), module.weight.detach().numpy())
    assert matrix.nonzeros == 108


def test_a_parametrized_linear_gives_what_it_multiplies_by() -> None:
    class Doubled(torch.nn.Module):
        def forward(self, weight: Any) -> Any:
            return weight * 2

    parametrize: Any = import_module("torch.nn.utils.parametrize")
    module = linear()
    parametrize.register_parametrization(module, "weight", Doubled())
    np.testing.assert_array_equal(SparseMatrix.of(module).to_dense(), 2 * (sample_dense() + 1))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "rank 1": (lambda: torch.ones(3), "rank 2"),
    "rank 3, sparse": (lambda: torch.ones(2, 2, 2).to_sparse_coo(), "rank 2"),
    "dense dimensions": (lambda: torch.ones(2, 2).to_sparse(1), "1 dense dimension"),
    "complex": (lambda: torch.ones(2, 2, dtype=torch.complex64), "expected real numbers"),
    "not finite": (lambda: torch.full((2, 2), torch.inf), "finite"),
    "no data": (lambda: torch.ones(2, 2, device="meta"), "host can read"),
    "convolution": (lambda: torch.nn.Conv2d(2, 2, 1), "torch.nn.Linear or a tensor, got .*Conv2d"),
    "no weight": (lambda: torch.nn.ReLU(), "got the module ReLU"),
    "not initialised": (lambda: torch.nn.LazyLinear(3), "weight: expected"),
    "column out of range": (
        lambda: torch.sparse_csr_tensor([0, 1], [5], [1.0], (1, 2), check_invariants=False),
        "well-formed|host can read",
    ),
    "row out of range": (
        lambda: torch.sparse_coo_tensor([[7], [0]], [1.0], (2, 2), check_invariants=False),
        "well-formed|host can read",
    ),
    "offsets that fall to 0": (
        lambda: torch.sparse_csr_tensor([0, 1, 0], [0], [1.0], (2, 2), check_invariants=False),
        "offsets that do not fall|host can read",
    ),
    "falling offsets": (
        lambda: torch.sparse_csr_tensor([0, 2, 1], [0], [1.0], (2, 2), check_invariants=False),
        "well-formed|host can read",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_matrix_is_refused(what: str) -> None:
    make, message = REFUSED[what]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = make()
    with pytest.raises(MatrixError, match=message):
        SparseMatrix.of(value)
