"""advise: will sparse beat dense, by how much, and below which density?"""

import argparse

from sparsert_ir.cli.layers import add_matrix_arguments, layer_of_file, read_matrix
from sparsert_ir.cli.report import Report, Table, microseconds, times
from sparsert_ir.errors import ArgumentError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_matrix_arguments(parser)
    parser.add_argument(
        "-n", type=int, nargs="+", help="columns of x, one or more; from the file where it says so"
    )
    parser.add_argument(
        "--target", help="an architecture such as sm_90, or cpu; the GPU present if any"
    )


def run(options: argparse.Namespace) -> Report:
    from dataclasses import asdict

    from sparsert_ir.advice import advise
    from sparsert_ir.compiler import target_of

    target = target_of(options.target)
    columns = _columns(options)
    matrix = read_matrix(options)
    found = [advise(matrix, n, options.dtype, target) for n in columns]
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
        title=f"{options.weights}: {matrix.shape[0]} x {matrix.shape[1]},"
        f" density {matrix.density:.1%}, {options.dtype}, {target}",
        tables=[Table("", head, rows)],
        notes=notes,
    )


def _columns(options: argparse.Namespace) -> list[int]:
    if options.n is not None:
        return options.n
    n = layer_of_file(options)[1]
    if n is None:
        raise ArgumentError(f"-n: expected the columns of x, which {options.weights} does not tell")
    return [n]


def _limit_words(density: float) -> str:
    return "never" if density == 0 else "any" if density == 1 else f"{density:.1%}"
