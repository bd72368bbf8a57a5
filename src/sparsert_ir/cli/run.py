"""run: compute y with a stored kernel, or with a matrix that is compiled first."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.cli.inspect import is_artefact
from sparsert_ir.cli.layers import (
    add_layer_arguments,
    add_schedule_argument,
    check_output,
    compile_layer,
    read_array,
    read_layer,
    refuse_for_artefact,
    with_schedule,
)
from sparsert_ir.cli.report import Report, microseconds
from sparsert_ir.errors import ArgumentError, CodegenError

if TYPE_CHECKING:
    from sparsert_ir.runtime.launch import KernelSignature


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_layer_arguments(parser)
    add_schedule_argument(parser)
    parser.add_argument("--x", type=Path, help=".npy, K x N or images; random numbers unless given")
    parser.add_argument("--r", type=Path, help=".npy, like y: the residual")
    parser.add_argument("-o", "--output", type=Path, help=".npy for y")


def run(options: argparse.Namespace) -> Report:
    from sparsert_ir.cli.running import call

    check_output(options.output, options, suffix=".npy")
    kernel, reference = _kernel(options)
    signature = kernel.binary.signature
    x = _array(options.x, "--x", signature.x_shape, signature, 0)
    residual = None
    if signature.has_residual:
        residual = _array(options.r, "--r", signature.y_shape, signature, 1)
    elif options.r is not None:
        raise ArgumentError("--r: expected nothing: this kernel adds no residual")
    outcome = call(kernel, x, residual, signature.y_shape)
    document: dict[str, Any] = {
        "kernel": kernel.name,
        "target": kernel.target,
        "us": outcome.us,
        "shape": list(outcome.y.shape),
        "output": None if options.output is None else str(options.output),
        "checked": None,
    }
    checked = "not checked: a stored kernel comes without its matrix"
    if reference is not None:
        wrong = reference(x, residual).explain(outcome.y)
        if wrong:
            raise CodegenError(wrong)
        document["checked"], checked = True, "equal to float64 up to rounding"
    if options.output is not None:
        _write(options.output, outcome.y)
    facts = [
        ("kernel", f"@{kernel.name} for {kernel.target}, N = {kernel.n}"),
        ("y", f"{' x '.join(map(str, outcome.y.shape))}, {checked}"),
        ("time", f"{microseconds(outcome.us)} per call"),
        ("written", document["output"] or "nothing (-o FILE)"),
    ]
    return Report(document, facts=facts)


def _kernel(options: argparse.Namespace) -> tuple[Any, Any]:
    """The kernel, and for a matrix what makes the true result of given inputs."""
    if is_artefact(options.weights):
        refuse_for_artefact(options)
        from sparsert_ir.artefact import load_kernel_file

        return load_kernel_file(options.weights), None
    from sparsert_ir.targets import target_of
    from sparsert_ir.tuner.reference import Reference

    target = target_of(options.target)
    layer = with_schedule(read_layer(options), options, target)
    kernel = compile_layer(layer, options, target)
    return kernel, partial(Reference.for_inputs, layer)


def _array(
    path: Path | None, role: str, shape: tuple[int, ...], signature: "KernelSignature", seed: int
) -> Any:
    import numpy as np

    from sparsert_ir.element_types import numpy_type

    kind = numpy_type(signature.dtype)
    stored = np.dtype(np.float32) if signature.dtype == "bf16" else kind
    if path is None:
        return np.random.default_rng(seed).standard_normal(shape, np.float32).astype(kind)
    array = read_array(path, role)
    if array.shape != shape or array.dtype != stored:
        raise ArgumentError(
            f"{role}: expected {stored} of shape {shape}, got {array.dtype} of {array.shape}"
        )
    return np.ascontiguousarray(array, kind)


def _write(path: Path, y: Any) -> None:
    """The format of .npy has no bf16: it is stored as f32, exactly."""
    import io

    import numpy as np

    from sparsert_ir.element_types import is_bfloat16
    from sparsert_ir.files import write_atomically

    stream = io.BytesIO()
    stored = y.astype(np.float32) if is_bfloat16(y.dtype) else y
    np.save(stream, stored, allow_pickle=False)
    write_atomically(path, stream.getvalue())
