"""advise: will sparse beat dense, by how much, and below which density?"""

import argparse
from typing import TYPE_CHECKING

from sparsert_ir.cli.convolutions import (
    add_convolution_arguments,
    read_convolution,
    refuse_without_images,
)
from sparsert_ir.cli.layers import add_matrix_arguments, columns_of, read_matrix
from sparsert_ir.cli.report import Report, Table, microseconds, times
from sparsert_ir.errors import ArgumentError

if TYPE_CHECKING:
    from sparsert_ir.advice import Advice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_matrix_arguments(parser)
    parser.add_argument(
        "-n", type=int, nargs="+", help="columns of x, one or more; from the file where it says so"
    )
    add_convolution_arguments(parser)
    # What a convolution's layer has besides does not count.
    parser.set_defaults(activation=None, residual=None, name="conv2d")
    parser.add_argument(
        "--target", help="an architecture such as sm_90, or cpu; the GPU present if any"
    )


def run(options: argparse.Namespace) -> Report:
    from dataclasses import asdict

    from sparsert_ir.targets import target_of

    target = target_of(options.target)
    title, found = (_products if options.input_shape is None else _convolution)(options, target)
    rows = [
        [
            str(one.n),
            mode.mode,
            microseconds(one.sparse_us),
            microseconds(mode.dense_us),
            times(mode.ratio),
            _limit_words(mode.density_limit),
            one.lowering,
        ]
        for one in found
        for mode in one.modes
    ]
    head = ["N", "dense mode", "sparse", "dense", "sparse is", "pays below density", "lowering"]
    pays = [one for one in found if one.pays]
    verdict = (
        f"Sparse is predicted to pay at N = {', '.join(str(one.n) for one in pays)}."
        if pays
        else "Sparse is not predicted to beat the fastest dense mode; keep the dense layer."
    )
    notes = [verdict, "Predictions are good to about a third; `sparsert bench` measures."]
    return Report(
        {"target": target, "advice": [asdict(one) | {"pays": one.pays} for one in found]},
        title=title,
        tables=[Table("", head, rows)],
        notes=notes,
    )


def _products(options: argparse.Namespace, target: str) -> "tuple[str, list[Advice]]":
    """A title, and one piece of advice for each N."""
    from sparsert_ir.advice import advise
    from sparsert_ir.layer_arguments import check_columns
    from sparsert_ir.progress import waiting_bar

    refuse_without_images(options)
    columns = [columns_of(options)] if options.n is None else options.n
    matrix = read_matrix(options)
    for n in columns:
        check_columns(matrix.shape, n)
    shape = f"{matrix.shape[0]} x {matrix.shape[1]}"
    title = (
        f"{options.weights}: {shape}, density {matrix.density:.1%}, {options.dtype},"
        f" {_machine(target)}"
    )
    with waiting_bar("predicting"):
        return title, [advise(matrix, n, options.dtype, target) for n in columns]


def _convolution(options: argparse.Namespace, target: str) -> "tuple[str, list[Advice]]":
    from sparsert_ir.advice import advise_convolution
    from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
    from sparsert_ir.progress import waiting_bar

    if options.n is not None:
        raise ArgumentError("-n: expected nothing with --input-shape, which tells the columns")
    facts = ConvolutionFacts.of(read_convolution(options, None))
    taps = facts.window.depth // options.groups
    density = facts.nonzeros / (facts.rows * taps)
    title = (
        f"{options.weights}: {facts.rows} filters of {taps} taps, density {density:.1%},"
        f" {options.dtype}, {_machine(target)}"
    )
    with waiting_bar("predicting"):
        return title, [advise_convolution(facts, options.groups, target)]


def _machine(target: str) -> str:
    """The target, and for an architecture the GPU whose rates stand for it."""
    from sparsert_ir.cost_model.limits import limits_of

    return target if target == "cpu" else f"{target} ({limits_of(target).name})"


def _limit_words(density: float) -> str:
    return "never" if density == 0 else "any" if density == 1 else f"{density:.1%}"
