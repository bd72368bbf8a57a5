"""compile: a matrix becomes a file that runs, or text to read."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sparsert_ir.cli.inspect import ARTEFACT_SUFFIX
from sparsert_ir.cli.layers import (
    add_layer_arguments,
    add_schedule_argument,
    check_output,
    compile_layer,
    read_layer,
    with_schedule,
)
from sparsert_ir.cli.report import Report, Table, count
from sparsert_ir.errors import ArgumentError
from sparsert_ir.files import write_atomically

_STANDARD_OUTPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_layer_arguments(parser)
    add_schedule_argument(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help=f"default: the weights' name with {ARTEFACT_SUFFIX}; - for text to standard output",
    )
    parser.add_argument(
        "--emit",
        choices=["artefact", "ptx", "llvm", "assembly"],
        default="artefact",
        help="what is written (default: a file for `sparsert run` and `sparsert_ir.load`)",
    )
    parser.add_argument("--stage", help="write the IR after this pass instead (see --list-stages)")
    parser.add_argument("--list-stages", action="store_true", help="name the stages, write nothing")


def run(options: argparse.Namespace) -> Report:
    from sparsert_ir.targets import target_of

    if options.stage is not None and options.emit != "artefact":
        raise ArgumentError(f"--emit: expected nothing with --stage, got {options.emit}")
    if str(options.output) != _STANDARD_OUTPUT:
        check_output(options.output, options, suffix=ARTEFACT_SUFFIX)
    target = target_of(options.target)
    layer = with_schedule(read_layer(options), options, target)
    kernel = compile_layer(layer, options, target)
    if options.list_stages:
        return Report({"stages": list(kernel.stages)}, notes=list(kernel.stages))
    output = options.output or _default_output(options)
    to_standard_output = str(output) == _STANDARD_OUTPUT
    if options.stage is None and options.emit == "artefact":
        if to_standard_output:
            raise ArgumentError("-o: expected a file for an artefact, got standard output")
        kernel.save(output)
        return _report(kernel, output)
    text = _text(kernel, options)
    if to_standard_output:
        return Report({"text": text}, text=text)
    write_atomically(output, text.encode())
    return _report(kernel, output)


def _default_output(options: argparse.Namespace) -> Path:
    suffixes = {"artefact": ARTEFACT_SUFFIX, "ptx": ".ptx", "llvm": ".ll", "assembly": ".s"}
    suffix = ".mlir" if options.stage else suffixes[options.emit]
    return Path(options.weights.name.partition(".")[0] + suffix)


def _text(kernel: Any, options: argparse.Namespace) -> str:
    if options.stage is not None:
        return kernel.ir(options.stage)
    return {
        "ptx": lambda: kernel.ptx,
        "llvm": lambda: kernel.llvm_ir,
        "assembly": lambda: kernel.assembly,
    }[options.emit]()


def _report(kernel: Any, output: Path) -> Report:
    stats = kernel.stats
    written = output.stat().st_size
    document = {
        "output": str(output),
        "bytes": written,
        "target": kernel.target,
        "name": kernel.name,
        "n": kernel.n,
        "nonzeros": stats.nonzeros,
        "loads": stats.loads,
        "lowering": stats.lowering,
        "packed_bytes": stats.packed_bytes,
        "schedule": asdict(kernel.schedule),
        "grid": kernel.grid,
        "block": kernel.block,
        "seconds": stats.seconds,
        "stages": [
            {"name": one.name, "seconds": one.seconds, "ops": one.ops} for one in stats.stages
        ],
    }
    is_gpu = kernel.target != "cpu"
    loads = f", {count(stats.loads)} loads of x in the code" if stats.loads else ""
    facts = [
        ("written", f"{output} ({count(written)} bytes)"),
        ("kernel", f"@{kernel.name} for {kernel.target}, N = {kernel.n}"),
        ("nonzeros", count(stats.nonzeros) + loads),
        ("lowering", stats.lowering),
        ("schedule", kernel.schedule.words()),
        ("launch", f"grid {kernel.grid}, block {kernel.block}")
        if is_gpu
        else ("threads", str(kernel.threads)),
    ]
    rows = [[one.name, f"{one.seconds * 1e3:.1f}", count(one.ops)] for one in stats.stages]
    rows.append(["all", f"{stats.seconds * 1e3:.1f}", ""])
    return Report(document, facts=facts, tables=[Table("", ["stage", "ms", "operations"], rows)])
