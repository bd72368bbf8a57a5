"""Compile, run, check and time the layer in a file with the arrays weight, bias and n.

python examples/spmm_file.py WEIGHTS.npz [--dtype f16] [--out DIRECTORY]
"""

import argparse
import sys
from pathlib import Path

from layer_report import PrunedLayer, report

from sparsert_ir import SparsertError
from sparsert_ir.matrix_files.load import load_layer


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the sparse layer in a .npz file.")
    parser.add_argument("weights", type=Path, help=".npz with arrays weight, bias (optional) and n")
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f32", help="element type")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where IR and code go")
    options = parser.parse_args()
    try:
        stored = load_layer(options.weights)
        if stored.n is None:
            parser.error(f"{options.weights}: expected an array n, the columns of x")
        layer = PrunedLayer(stored.weight, stored.bias, stored.n, options.dtype)
        is_right = report(layer, options.out / options.weights.stem)
    except SparsertError as error:
        parser.error(str(error))
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
