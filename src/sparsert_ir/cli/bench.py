"""bench: time the sparse kernel here beside the dense and sparse products of libraries."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sparsert_ir.cli.layers import (
    add_layer_arguments,
    add_schedule_argument,
    compile_layer,
    read_layer,
    with_schedule,
)
from sparsert_ir.cli.report import Report, Table, microseconds, times
from sparsert_ir.errors import CodegenError

if TYPE_CHECKING:
    from sparsert_ir.matrix import SparseMatrix


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_layer_arguments(parser)
    add_schedule_argument(parser)


def run(options: argparse.Namespace) -> Report:
    from sparsert_ir.cli.running import call
    from sparsert_ir.targets import target_of
    from sparsert_ir.tuner.reference import Reference

    target = target_of(options.target)
    layer = with_schedule(read_layer(options), options, target)
    kernel = compile_layer(layer, options, target)
    reference = Reference.of(layer)
    outcome = call(kernel, reference.x, reference.residual, reference.y.shape)
    wrong = reference.explain(outcome.y)
    if wrong:
        raise CodegenError(wrong)
    peers_of = _cpu_peers if target == "cpu" else _gpu_peers
    peers, notes = {}, ["A convolution: benchmarks/conv.py compares with cuDNN."]
    if layer.window is None:
        peers, notes = peers_of(layer.matrix, reference.x)
    if target == "cpu":
        notes.append(f"sparsert_ir uses {kernel.threads} of the processor's threads.")
    rows = [["sparsert_ir", microseconds(outcome.us), ""]]
    rows += [[name, microseconds(us), times(us / outcome.us)] for name, us in peers.items()]
    document = {
        "target": target,
        "us": outcome.us,
        "schedule": asdict(kernel.schedule),
        "peers": peers,
        "ratios": {name: us / outcome.us for name, us in peers.items()},
    }
    title = f"{layer.matrix.shape[0]} x {layer.matrix.shape[1]}, N = {layer.columns}, {layer.dtype}"
    return Report(
        document,
        title=f"{title}, {target}",
        facts=[("schedule", kernel.schedule.words())],
        tables=[Table("", ["product", "time", "sparsert_ir is"], rows)],
        notes=notes,
    )


def _cpu_peers(matrix: "SparseMatrix", x: Any) -> tuple[dict[str, float], list[str]]:
    """numpy's dense and scipy's CSR product."""
    import numpy as np
    from scipy import sparse

    from sparsert_ir.cli.running import shortest_us

    wide = x.astype(np.float32)
    dense = matrix.to_dense().astype(np.float32)
    parts = (matrix.values.astype(np.float32), matrix.column_indices, matrix.row_offsets)
    csr: Any = sparse.csr_array(parts, matrix.shape)
    peers: dict[str, Callable[[], object]] = {
        "numpy, dense": lambda: dense @ wide,
        "scipy, CSR": lambda: csr @ wide,
    }
    note = "Shortest of many calls. numpy and scipy compute in float32; numpy uses all processors."
    return {name: shortest_us(run) for name, run in peers.items()}, [note]


def _gpu_peers(matrix: "SparseMatrix", x: Any) -> tuple[dict[str, float], list[str]]:
    """cuBLAS through torch; no peers without it."""
    from importlib import import_module

    from sparsert_ir.runtime.timing import time_launches

    try:
        torch: Any = import_module("torch")
    except ImportError:
        return {}, ["Install torch to compare with cuBLAS."]
    if not torch.cuda.is_available():
        return {}, ["This torch has no CUDA: no dense product to compare with."]
    weight, on_gpu = (torch.from_numpy(one.copy()).cuda() for one in (matrix.to_dense(), x))
    y = torch.empty(weight.shape[0], on_gpu.shape[1], dtype=weight.dtype, device="cuda")
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    found: dict[str, float] = {}
    modes = {"cuBLAS f16": False} if x.dtype.itemsize == 2 else {"cuBLAS f32": False, "TF32": True}
    try:
        for name, tf32 in modes.items():
            matmul.allow_tf32 = tf32
            timing = time_launches(lambda: torch.mm(weight, on_gpu, out=y))
            found[name] = timing.median_us
    finally:
        matmul.allow_tf32 = before
    return found, []
