"""Every file format gives the matrix that was written, under the key that was meant."""

import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from sample_matrix_files import (
    SEED,
    check_invariants,
    mtx_bytes,
    npy_bytes,
    npz_bytes,
    safetensor_of,
    safetensors_bytes,
    sample_dense,
    samples,
    smtx_bytes,
    sparse,
    written,
    zip_bytes,
)

from sparsert_ir.errors import ArgumentError, MatrixError, MatrixFileNotFoundError
from sparsert_ir.matrix_files import PatternOnlyWarning, load_layer, load_matrix

SAMPLES = samples()


@pytest.mark.parametrize("what", SAMPLES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_format_gives_the_matrix(what: str, dtype: str, tmp_path: Path) -> None:
    name, content = SAMPLES[what]
    matrix = load_matrix(written(tmp_path, name, content), dtype=dtype, seed=SEED)
    check_invariants(matrix)
    assert matrix.values.dtype == dtype
    dense = sample_dense()
    if name.endswith(".smtx"):
        np.testing.assert_array_equal(matrix.to_dense() != 0, dense != 0)
    else:
        np.testing.assert_array_equal(matrix.to_dense(), dense)


def test_the_end_of_the_name_may_be_in_capitals(tmp_path: Path) -> None:
    content = SAMPLES["mtx, coordinates"][1]
    matrix = load_matrix(str(written(tmp_path, "W.MTX", content)))
    np.testing.assert_array_equal(matrix.to_dense(), sample_dense())


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_small_shapes_in_every_format(shape: tuple[int, int], tmp_path: Path) -> None:
    dense = np.full(shape, 0.5, np.float32)
    contents = {
        "w.npy": npy_bytes(dense),
        "w.npz": npz_bytes({"weight": dense}),
        "w.mtx": mtx_bytes(sparse.coo_array(dense)),
        "w.safetensors": safetensor_of(dense),
    }
    for name, content in contents.items():
        matrix = load_matrix(written(tmp_path, name, content))
        np.testing.assert_array_equal(matrix.to_dense(), dense, err_msg=name)


def test_a_matrix_without_nonzeros(tmp_path: Path) -> None:
    empty = np.zeros((3, 4), np.float32)
    for name, content in {
        "w.npy": npy_bytes(empty),
        "w.mtx": mtx_bytes(sparse.coo_array(empty)),
        "w.smtx": b"3, 4, 0\n0 0 0 0\n\n",
        "v.smtx": b"3, 4, 0\n0 0 0 0",
    }.items():
        matrix = load_matrix(written(tmp_path, name, content), seed=0)
        assert matrix.shape == (3, 4), name
        assert matrix.nonzeros == 0, name


def test_key_chooses_the_array(tmp_path: Path) -> None:
    path = written(tmp_path, "w.npz", npz_bytes({"a": np.eye(2), "b": np.eye(3)}))
    assert load_matrix(path, "b").shape == (3, 3)
    with pytest.raises(MatrixError, match=r"'c', got 'a' \(2, 2\), 'b' \(3, 3\)"):
        load_matrix(path, "c")
    with pytest.raises(MatrixError, match=r"'weight' or a single one of rank 2.*key="):
        load_matrix(path)


def test_weight_is_preferred_to_other_matrices(tmp_path: Path) -> None:
    path = written(tmp_path, "w.npz", npz_bytes({"a": np.eye(2), "weight": np.eye(3)}))
    assert load_matrix(path).shape == (3, 3)


def test_members_that_are_no_arrays_do_not_matter(tmp_path: Path) -> None:
    record = npy_bytes(np.zeros(2, [("a", "f4")]))
    members = {"record.npy": record, "notes.npy": b"text", "w.npy": npy_bytes(np.eye(2))}
    path = written(tmp_path, "w.npz", zip_bytes(members))
    assert load_matrix(path).shape == (2, 2)
    with pytest.raises(MatrixError, match=r"w\.npz: 'notes': expected a \.npy header"):
        load_matrix(path, "notes")


def test_key_is_refused_where_nothing_has_a_name(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"key: expected None for \.npy"):
        load_matrix(written(tmp_path, "w.npy", npy_bytes(np.eye(2))), "weight")


def test_a_convolution_filter_is_no_matrix(tmp_path: Path) -> None:
    path = written(tmp_path, "w.npz", npz_bytes({"weight": np.ones((2, 2, 3, 3))}))
    with pytest.raises(MatrixError, match=r"w\.npz: weight: expected a matrix \(rank 2\)"):
        load_matrix(path)


def test_matrix_market_symmetry_pattern_and_duplicates(tmp_path: Path) -> None:
    banner = "%%MatrixMarket matrix coordinate"
    for text, expected in {
        f"{banner} real symmetric\n% a comment\n2 2 2\n1 1 3\n2 1 4\n": [[3, 4], [4, 0]],
        f"{banner} integer skew-symmetric\n2 2 1\n2 1 4\n": [[0, -4], [4, 0]],
        f"{banner} pattern general\n2 2 1\n1 2\n": [[0, 1], [0, 0]],
        f"{banner} real general\n2 2 2\n1 2 1.5\n1 2 2\n": [[0, 3.5], [0, 0]],
        "%%MatrixMarket matrix array real symmetric\n2 2\n3\n4\n0\n": [[3, 4], [4, 0]],
    }.items():
        matrix = load_matrix(written(tmp_path, "w.mtx", text.encode()))
        np.testing.assert_array_equal(matrix.to_dense(), expected, err_msg=text)


def test_smtx_says_that_its_values_are_drawn(tmp_path: Path) -> None:
    path = written(tmp_path, "w.smtx", smtx_bytes(sample_dense()))
    with pytest.warns(PatternOnlyWarning, match="drawn with seed 0") as caught:
        unsaid = load_matrix(path)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen, other = load_matrix(path, seed=0), load_matrix(path, seed=1)
    np.testing.assert_array_equal(unsaid.values, chosen.values)
    assert (chosen.values != other.values).any()


def test_smtx_values_never_change(tmp_path: Path) -> None:
    """Measurements name a seed; it must stand for the same matrix for ever."""
    path = written(tmp_path, "w.smtx", b"1, 4, 3\n0 3\n0 1 3\n")
    values = load_matrix(path, seed=0).values
    expected = np.array([13731829, 10651742, -8732318], np.float32) / 2**24
    np.testing.assert_array_equal(values, expected)


def test_seed_must_not_be_negative(tmp_path: Path) -> None:
    path = written(tmp_path, "w.smtx", smtx_bytes(sample_dense()))
    with pytest.raises(ArgumentError, match="seed: expected a whole number of 0 or more, got -1"):
        load_matrix(path, seed=-1)


def test_safetensors_bfloat16_is_exact(tmp_path: Path) -> None:
    dense = np.array([[1.5, 0, -2], [0, 2**-100, 3e38]], np.float32)
    halves = (dense.view(np.uint32) >> 16).astype(np.uint16)
    before = np.ones(3, np.float32).tobytes()
    header = {
        "bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "layer.weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [12, 24]},
    }
    content = safetensors_bytes(header, before + halves.tobytes())
    path = written(tmp_path, "w.safetensors", content)
    expected = (halves.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(load_matrix(path).to_dense(), expected)
    np.testing.assert_array_equal(load_matrix(path, "layer.weight").to_dense(), expected)
    with pytest.raises(MatrixError, match=r"'weight', got 'bias' \(3,\), 'layer.weight' \(2, 3\)"):
        load_matrix(path, "weight")


def test_safetensors_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "w.safetensors", safetensor_of(sample_dense()))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ArgumentError, match=r"pip install 'sparsert_ir\[safetensors\]'"):
        load_matrix(path)


def test_layers_are_read_with_bias_and_columns(tmp_path: Path) -> None:
    dense = sample_dense()
    bias = np.arange(12, dtype=np.float32)
    arrays = {"weight": dense, "bias": bias, "n": np.array(196), "more": np.ones(2)}
    layer = load_layer(written(tmp_path, "w.npz", npz_bytes(arrays)))
    np.testing.assert_array_equal(layer.weight.to_dense(), dense)
    assert layer.bias is not None
    np.testing.assert_array_equal(layer.bias, bias)
    assert layer.n == 196
    bare = load_layer(written(tmp_path, "v.npz", npz_bytes({"weight": dense})))
    assert bare.bias is None
    assert bare.n is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"w": np.eye(2)}, r"'weight', got 'w' \(2, 2\)"),
        ({"weight": np.eye(2), "bias": np.ones(3)}, "bias: expected 2 numbers"),
        ({"weight": np.eye(2), "bias": np.array([1, np.nan])}, "bias: expected finite"),
        ({"weight": np.eye(2), "bias": np.array([1, 1e39])}, "bias: expected finite"),
        ({"weight": np.eye(2), "n": np.array(0)}, "n: expected 1 to"),
        ({"weight": np.eye(2), "n": np.array(1.5)}, "n: expected one whole number"),
        ({"weight": np.eye(2), "n": np.array([1, 2])}, "n: expected one whole number"),
    ],
)
def test_layers_are_checked(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=message):
        load_layer(written(tmp_path, "w.npz", npz_bytes(arrays)))


def test_a_layer_is_an_npz(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"expected a \.npz with the arrays weight, bias and n"):
        load_layer(written(tmp_path, "w.npy", npy_bytes(np.eye(2))))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    with pytest.raises(MatrixFileNotFoundError, match=r"w\.npz: expected a matrix file"):
        load_matrix(path)
    with pytest.raises(FileNotFoundError):
        load_layer(path)


def test_reading_imports_only_what_the_format_needs(tmp_path: Path) -> None:
    path = written(tmp_path, "w.npz", npz_bytes({"weight": sample_dense()}))
    program = (
        "import sys, sparsert_ir.matrix_files as files\n"
        f"files.load_matrix({str(path)!r})\n"
        "print(sorted({'scipy', 'torch', 'safetensors'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_element_types_of_values_are_those_of_kernels(tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match="dtype: expected one of float32, float16, bfloat16, got float64"
    ):
        load_matrix(written(tmp_path, "w.npy", npy_bytes(np.eye(2))), dtype=np.float64)


def test_load_matrix_is_public() -> None:
    assert import_module("sparsert_ir").load_matrix is load_matrix
