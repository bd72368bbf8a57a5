"""Options that make a convolution of a layer, and the layer that they name."""

import argparse
from typing import TYPE_CHECKING, Any

from sparsert_ir.errors import ArgumentError

if TYPE_CHECKING:
    from sparsert_ir.frontend import Layer


def add_convolution_arguments(parser: argparse.ArgumentParser) -> None:
    """`--input-shape` makes the weights a filter; the others say how it is used."""
    group = parser.add_argument_group("convolutions (weights: O x I/groups x height x width)")
    group.add_argument(
        "--input-shape",
        type=int,
        nargs=4,
        metavar="SIZE",
        help="of x: images, I, height, width; or images, height, width, I for NHWC",
    )
    group.add_argument("--stride", type=int, nargs="+", default=[1], help="1 or 2 numbers")
    group.add_argument("--padding", type=int, nargs="+", default=[0], help="1, 2 or 4 numbers")
    group.add_argument("--dilation", type=int, nargs="+", default=[1], help="1 or 2 numbers")
    group.add_argument("--groups", type=int, default=1, help="I for a depthwise convolution")
    group.add_argument("--layout", choices=["NCHW", "NHWC"], default="NCHW")


def refuse_without_images(options: argparse.Namespace) -> None:
    """Raise ArgumentError for an option that means something for images only."""
    neutral = {"stride": [1], "padding": [0], "dilation": [1], "groups": 1, "layout": "NCHW"}
    for name, value in neutral.items():
        if getattr(options, name) != value:
            raise ArgumentError(f"--{name}: expected nothing without --input-shape")


def read_convolution(options: argparse.Namespace, bias: Any) -> "Layer":
    """The layer, without a schedule. Raises what reading and checking it raises."""
    from sparsert_ir.convolution_compiler import convolution_layer
    from sparsert_ir.matrix_files import load_filter
    from sparsert_ir.progress import waiting_bar

    with waiting_bar("reading"):
        weight = load_filter(options.weights, options.key)
    return convolution_layer(
        weight,
        options.input_shape,
        stride=options.stride,
        padding=options.padding,
        dilation=options.dilation,
        groups=options.groups,
        layout=options.layout,
        bias=bias,
        activation=options.activation,
        residual=options.residual or False,
        dtype=options.dtype,
        name=options.name,
    )
