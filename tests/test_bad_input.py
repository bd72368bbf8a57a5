"""Every bad argument of `sparsert_ir.compile` is refused before any code is made."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sparsert_ir
import sparsert_ir.kernel
from sparsert_ir import Schedule
from sparsert_ir.errors import (
    ArgumentError,
    BudgetError,
    MatrixError,
    ScheduleError,
)

EYE = np.eye(4, dtype=np.float32)
N_RANGE = "n: expected a whole number from 1 to 2147483647, got"


def malformed() -> Any:
    """A CSR matrix whose second column index lies outside."""
    matrix: Any = sparse.csr_array(
        (np.ones(2), np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 2)
    )
    matrix.indices[1] = 7
    return matrix


def with_value(value: float) -> Any:
    weight = EYE.copy()
    weight[2, 3] = value
    return weight


BAD_WEIGHTS: dict[str, Any] = {
    r"expected a matrix \(rank 2\), got shape \(4,\)": np.ones(4),
    r"expected a matrix \(rank 2\), got shape \(1, 1, 1\)": np.ones((1, 1, 1)),
    r"expected a matrix \(rank 2\), got shape \(\)": None,
    r"expected a matrix \(rank 2\): .*inhomogeneous": [[1.0, 2.0], [3.0]],
    r"expected 1 to 2147483647 rows and columns, got shape \(0, 4\)": np.ones((0, 4)),
    r"expected 1 to .*, got shape \(1, 4294967296\)": sparse.csr_array((1, 2**32)),
    "expected real numbers, got element type complex64": EYE * 1j,
    "expected real numbers, got element type object": np.array([[object()]]),
    "expected finite values, got nan at row 2, column 3": with_value(np.nan),
    "expected finite values, got -inf at row 2, column 3": with_value(-np.inf),
    "expected a well-formed sparse matrix: indices must be < 2": malformed(),
}

BAD_ARGUMENTS: dict[str, dict[str, Any]] = {
    f"{N_RANGE} 0": {"n": 0},
    f"{N_RANGE} -3": {"n": -3},
    f"{N_RANGE} True": {"n": True},
    f"{N_RANGE} 1.5": {"n": 1.5},
    f"{N_RANGE} '4'": {"n": "4"},
    f"{N_RANGE} None": {"n": None},
    f"{N_RANGE} 2147483648": {"n": 2**31},
    "n: expected at most 2147483647 elements in x and in y, got 4 x 2147483647": {"n": 2**31 - 1},
    "activation: expected None or \"relu\", got 'gelu'": {"activation": "gelu"},
    r'activation: expected None or "relu", got array\(': {"activation": np.zeros(3)},
    'residual: expected False, True, "before" or "after", got \'middle\'': {"residual": "middle"},
    "residual: .*, got list; the array itself is an argument": {"residual": []},
    "dtype: expected one of f32, f16, bf16, got 'f64'": {"dtype": "f64"},
    r"dtype: expected one of f32, f16, bf16, got \[\]": {"dtype": []},
    "target: expected a string or None, got 90": {"target": 90},
    r"target: expected cpu or a GPU's architecture \(sm_70.*, got 'gpu'": {"target": "gpu"},
    "target: .*, got 'sm_60'": {"target": "sm_60"},
    "target: .*, got 'sm_80a'": {"target": "sm_80a"},
    "name: .*not a digit first and no name that PTX reserves, got '1a'": {"name": "1a"},
    r"name: .*, got 'a; ret'": {"name": "a; ret"},
    r"name: .*, got 'a\\n'": {"name": "a\n"},
    "name: .*, got '_'": {"name": "_"},
    "name: .*, got 3": {"name": 3},
    r"bias: expected shape \(4,\), got \(3,\)": {"bias": np.ones(3)},
    r"bias: expected shape \(4,\), got \(4, 1\)": {"bias": np.ones((4, 1))},
    "bias: expected real numbers, got element type complex128": {"bias": np.ones(4) * 1j},
    r'lowering: expected None, "code" or "data", got array\(': {"lowering": np.array(["code"])},
    "code_budget: expected a number of bytes, got 1.5": {"code_budget": 1.5},
    "bias: expected 4 numbers, got list": {"bias": [[1.0], [1.0, 2.0], 3.0, 4.0]},
    "bias: expected finite numbers in float32, got NaN or infinity": {"bias": [1, 2, np.nan, 3]},
    "bias: expected finite numbers in float16": {"bias": [1, 2, 1e6, 3], "dtype": "f16"},
    r'schedule: expected a Schedule, .*, "tune" or None, got \{\}': {"schedule": {}},
    "code_budget: expected a number of bytes, got -1": {"code_budget": -1},
    "code_budget: expected a number of bytes, got 'much'": {"code_budget": "much"},
}

BAD_SCHEDULES: dict[str, tuple[int, Schedule]] = {
    "panels_per_block must be at most 1024, got 2048": (8, Schedule(threads=2048)),
    "panels_per_block must be at most 64, got 65": (8, Schedule(threads=1, panels_per_block=65)),
    "must fit in 232448 bytes of workgroup memory, got 262144": (
        16,
        Schedule(threads=32, k_groups=32, rows_per_panel=4, columns_per_thread=16),
    ),
    "must fit in 49152 bytes of workgroup memory, got 65544": (
        8,
        Schedule(threads=512, k_groups=2, cluster=8, columns_per_thread=2),
    ),
    "cluster = 8 needs column_tiles = 1, got 2": (8, Schedule(cluster=8, column_tiles=2)),
    "columns_per_thread must be a power of two on a GPU, at most 1024, got 3": (
        9,
        Schedule(columns_per_thread=3),
    ),
    "columns_per_thread = 4 needs a number of columns that is a multiple of it .*, got N = 6": (
        6,
        Schedule(columns_per_thread=4),
    ),
    r"a grid must be at most \(2147483647, 65535, 65535\) blocks, got \(1, 312500, 1\)": (
        10**7,
        Schedule(threads=32, block_order="panels"),
    ),
    "rows_per_panel must be at most 1024, got 2147483647": (
        8,
        Schedule(lowering="data", rows_per_panel=2**31 - 1),
    ),
    "must be a power of two on a GPU, at most 1024, got 2048": (
        2**12,
        Schedule(columns_per_thread=2048, threads=1),
    ),
    "stages must be at most 16, got 17": (
        8,
        Schedule(lowering="data", rows_per_panel=2, stages=17),
    ),
}


@pytest.fixture(autouse=True)
def no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test fails if code is written."""

    def refuse(module: object) -> str:
        pytest.fail("code was written for bad input")

    monkeypatch.setattr(sparsert_ir.kernel, "emit_llvm", refuse)


@pytest.mark.parametrize("message", BAD_WEIGHTS)
def test_bad_weights(message: str) -> None:
    with pytest.raises(MatrixError, match=f"^weight: {message}"):
        sparsert_ir.compile(BAD_WEIGHTS[message], 8, target="cpu")


def test_a_value_too_large_for_f16() -> None:
    message = "expected finite values, got inf at row 2, column 3 once rounded to float16"
    with pytest.raises(MatrixError, match=message):
        sparsert_ir.compile(with_value(1e6), 8, dtype="f16", target="cpu")


@pytest.mark.parametrize("message", BAD_ARGUMENTS)
def test_bad_arguments(message: str) -> None:
    arguments: dict[str, Any] = {"weight": EYE, "n": 8, "target": "cpu", **BAD_ARGUMENTS[message]}
    with pytest.raises(ArgumentError, match=f"^{message}"):
        sparsert_ir.compile(**arguments)


@pytest.mark.parametrize("message", BAD_SCHEDULES)
def test_schedules_that_do_not_fit(message: str) -> None:
    n, schedule = BAD_SCHEDULES[message]
    with pytest.raises(ScheduleError, match=f"^schedule: .*{message}"):
        sparsert_ir.compile(EYE, n, target="sm_90", schedule=schedule)


def test_x_in_too_many_slices_is_refused_at_once() -> None:
    weight = sparse.csr_array(([1.0], ([0], [5])), shape=(1, 4_000_000))
    schedule = Schedule(lowering="data", rows_per_panel=1, columns_per_thread=16, column_groups=2)
    with pytest.raises(ScheduleError, match=r"at most 1024 slices of \d+ bytes, got 2204"):
        sparsert_ir.compile(weight, 32, target="sm_90", schedule=schedule)


def test_more_columns_per_thread_than_columns() -> None:
    with pytest.raises(ScheduleError, match="columns_per_thread = 64 needs"):
        sparsert_ir.compile(EYE, 8, target="sm_90", schedule=Schedule(columns_per_thread=64))


@pytest.mark.parametrize("target", ["sm_90", "cpu"])
def test_too_much_code_is_refused_with_the_estimate_and_the_option(target: str) -> None:
    weight = np.ones((64, 64), np.float32)
    message = (
        r"expected at most 1000 bytes of code, got about \d+ \(4096 multiply-adds, about \d+ s to"
        r' compile\); allow more with code_budget, or use lowering="data"'
    )
    with pytest.raises(BudgetError, match=message):
        sparsert_ir.compile(weight, 8, target=target, schedule=Schedule(), code_budget=1000)


def test_a_matrix_of_millions_of_nonzeros_is_refused_at_once() -> None:
    weight = np.ones((2048, 2048), np.float32)
    with pytest.raises(BudgetError, match="4194304 multiply-adds"):
        sparsert_ir.compile(weight, 64, target="sm_90", schedule=Schedule(rows_per_panel=64))
