"""Options that name a layer, and the layer that they name."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.cli.convolutions import (
    add_convolution_arguments,
    read_convolution,
    refuse_without_images,
)
from sparsert_ir.element_types import DTYPES, numpy_type
from sparsert_ir.errors import ArgumentError

if TYPE_CHECKING:
    from sparsert_ir.frontend import Layer
    from sparsert_ir.matrix import SparseMatrix

_WEIGHT = "weight"
"""Name of the array in a .npz beside which a bias and n belong to it."""
MATRIX_SUFFIXES = {".npy", ".npz", ".mtx", ".gz", ".smtx", ".safetensors"}


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
    parser.add_argument(
        "--residual",
        choices=["before", "after"],
        help="add an array to y, before or after the activation",
    )
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
    from sparsert_ir.matrix_files import load_bias

    bias = None
    if options.bias not in (None, "none"):
        bias = read_array(Path(options.bias), "--bias")
    if options.input_shape is not None:
        if options.n is not None:
            raise ArgumentError("-n: expected nothing with --input-shape, which tells the columns")
        return read_convolution(options, bias)
    refuse_without_images(options)
    matrix = read_matrix(options)
    if options.bias is None and options.key in (None, _WEIGHT):
        bias = load_bias(options.weights)
    return make_layer(
        matrix,
        columns_of(options),
        bias=bias,
        activation=options.activation,
        residual=options.residual or False,
        dtype=options.dtype,
        name=options.name,
    )


def columns_of(options: argparse.Namespace) -> int:
    """N, as given or as the file tells; ArgumentError where neither does."""
    n = columns_if_told(options)
    if n is None:
        raise ArgumentError(f"-n: expected the columns of x, which {options.weights} does not tell")
    return n


def columns_if_told(options: argparse.Namespace) -> int | None:
    """N, as given or as the file tells."""
    from sparsert_ir.matrix_files import load_columns

    if options.n is not None or options.key not in (None, _WEIGHT):
        return options.n
    return load_columns(options.weights)


def check_output(path: Path | None, options: argparse.Namespace, *, suffix: str) -> None:
    """Raise ArgumentError for an output that is an input, a matrix, or standard output."""
    if path is None:
        return
    inputs = ("weights", "bias", "schedule", "x", "r")
    for one in (getattr(options, name, None) for name in inputs):
        if one is not None and os.path.realpath(one) == os.path.realpath(path):
            raise ArgumentError(f"-o: expected another file than the input {path}")
    if str(path) == "-":
        raise ArgumentError(f"-o: expected a file such as y{suffix}, got standard output")
    if path.suffix.lower() in MATRIX_SUFFIXES - {suffix}:
        raise ArgumentError(
            f"-o: expected a name such as y{suffix}, got {path}, which is a matrix's"
        )


def refuse_for_artefact(options: argparse.Namespace) -> None:
    """Raise ArgumentError for an option that says what a stored kernel has decided already."""
    parser = argparse.ArgumentParser()
    add_layer_arguments(parser)
    add_schedule_argument(parser)
    for action in parser._actions:  # argparse has no other list of them
        value = getattr(options, action.dest, action.default)
        if action.option_strings and value != action.default:
            raise ArgumentError(
                f"{action.option_strings[0]}: expected nothing with a stored kernel, which is"
                " compiled already"
            )


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
        "--code-budget", type=int, metavar="BYTES", help="most instructions that it may become"
    )


def compile_layer(layer: "Layer", options: argparse.Namespace, target: str) -> Any:
    """The kernel."""
    from sparsert_ir import compiler
    from sparsert_ir.cost_model.budget import CODE_BUDGET
    from sparsert_ir.progress import waiting_bar

    budget = CODE_BUDGET if options.code_budget is None else options.code_budget
    with waiting_bar("compiling"):
        return compiler.compile_layer(layer, target, layer.schedule, options.lowering, budget)
