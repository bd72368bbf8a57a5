"""Options that name a layer, and the layer that they name."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.cli.convolutions import add_convolution_arguments, read_convolution
from sparsert_ir.element_types import DTYPES, numpy_type
from sparsert_ir.errors import ArgumentError

if TYPE_CHECKING:
    from sparsert_ir.frontend import Layer
    from sparsert_ir.matrix import SparseMatrix

_LAYER_SUFFIX = ".npz"


def add_matrix_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the weight comes from."""
    parser.add_argument(
        "weights", type=Path, help=".npy, .npz, .mtx, .mtx.gz, .smtx or .safetensors"
    )
    parser.add_argument("--key", help="name of the array in a .npz or .safetensors")
    parser.add_argument("--seed", type=int, help="for the values of a .smtx, which holds none")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")


def add_layer_arguments(parser: argparse.ArgumentParser) -> None:
    """The matrix, and what is done with it."""
    add_matrix_arguments(parser)
    parser.add_argument("-n", type=int, help="columns of x and y; from the file where that says so")
    add_convolution_arguments(parser)
    parser.add_argument(
        "--bias", metavar="FILE", help='.npy of M numbers, or "none"; from a .npz that has one'
    )
    parser.add_argument("--activation", choices=["relu"])
    parser.add_argument("--residual", choices=["before", "after"], help="the activation")
    parser.add_argument("--name", default="spmm", help="of the kernel")
    parser.add_argument(
        "--target", help="cpu, or an architecture such as sm_90; the GPU present, else cpu"
    )


def read_matrix(options: argparse.Namespace) -> "SparseMatrix":
    """The weight in the element type asked for."""
    from sparsert_ir.matrix_files import load_matrix
    from sparsert_ir.progress import waiting_bar

    dtype = numpy_type(options.dtype)
    with waiting_bar("reading"):
        return load_matrix(options.weights, options.key, dtype=dtype, seed=options.seed)


def read_layer(options: argparse.Namespace) -> "Layer":
    """The layer, without a schedule. Raises what reading and checking it raises."""
    from sparsert_ir.layer_arguments import make_layer

    bias = None
    if options.bias not in (None, "none"):
        bias = read_array(Path(options.bias), "--bias")
    if options.input_shape is not None:
        if options.n is not None:
            raise ArgumentError("-n: expected nothing with --input-shape, which tells the columns")
        return read_convolution(options, bias)
    matrix = read_matrix(options)
    bias_of_file, n = layer_of_file(options)
    if options.bias is None:
        bias = bias_of_file
    n = n if options.n is None else options.n
    if n is None:
        raise ArgumentError(f"-n: expected the columns of x, which {options.weights} does not tell")
    return make_layer(
        matrix,
        n,
        bias=bias,
        activation=options.activation,
        residual=options.residual or False,
        dtype=options.dtype,
        name=options.name,
    )


def layer_of_file(options: argparse.Namespace) -> tuple[Any, int | None]:
    """The bias and n of a .npz that holds a layer; nothing for other files."""
    from sparsert_ir.errors import MatrixError
    from sparsert_ir.matrix_files import load_layer

    if options.weights.suffix.lower() != _LAYER_SUFFIX or options.key not in (None, "weight"):
        return None, None
    try:
        layer = load_layer(options.weights)
    except MatrixError:
        # A .npz without an array of the name `weight` still is a matrix.
        return None, None
    return layer.bias, layer.n


def read_array(path: Path, role: str) -> Any:
    """A .npy; ArgumentError for anything else."""
    import numpy as np

    if path.suffix.lower() != ".npy":
        raise ArgumentError(f"{role}: expected a .npy file, got {path}")
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArgumentError(f"{role}: expected a .npy file, got {path}: {error}") from error


def with_schedule(layer: "Layer", options: argparse.Namespace, target: str) -> "Layer":
    """The layer with the schedule of `--schedule`, a tuning record or a schedule's JSON."""
    from sparsert_ir.schedule import Schedule
    from sparsert_ir.tuner.record import KIND, LayerKey, TuningRecord

    if options.schedule is None:
        return layer
    try:
        text = options.schedule.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"--schedule: cannot read {options.schedule}: {error}") from error
    if KIND not in text:
        return replace(layer, schedule=Schedule.from_json(text))
    record = TuningRecord.from_json(text)
    record.layer.check(LayerKey.of(layer, target))
    return replace(layer, schedule=record.schedule)


def add_schedule_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--schedule", type=Path, metavar="FILE", help="JSON: a record of `sparsert tune`, or knobs"
    )
    parser.add_argument("--lowering", choices=["code", "data"], help="instructions or arrays")
    parser.add_argument(
        "--code-budget", type=int, metavar="BYTES", help="instructions the matrix may become"
    )


def compile_layer(layer: "Layer", options: argparse.Namespace, target: str) -> Any:
    """The kernel."""
    from sparsert_ir import compiler
    from sparsert_ir.cost_model.budget import CODE_BUDGET
    from sparsert_ir.progress import waiting_bar

    budget = CODE_BUDGET if options.code_budget is None else options.code_budget
    with waiting_bar("compiling"):
        return compiler.compile_layer(layer, target, layer.schedule, options.lowering, budget)
