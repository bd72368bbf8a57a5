"""tune: measure schedules here and keep the fastest as a file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sparsert_ir.cli.layers import add_layer_arguments, check_output, read_layer
from sparsert_ir.cli.report import Report, Table, microseconds, without_empty_columns
from sparsert_ir.errors import FileWriteError, SparsertError

if TYPE_CHECKING:
    from sparsert_ir.tuner import TuningRecord

_LEGEND = "r: rows per panel, k: K groups, t: threads, c: columns per thread, then other knobs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_layer_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, help="default: the weights' name with .json")
    parser.add_argument(
        "--candidates", type=int, default=24, help="besides the compiler's own (default: 24)"
    )
    parser.add_argument("--seconds", type=float, help="for the whole run")
    parser.add_argument(
        "--build-seconds", type=float, default=60, help="for one candidate (default: 60)"
    )
    parser.add_argument("--workers", type=int, help="processes that build")
    parser.add_argument(
        "--code-budget", type=int, metavar="BYTES", help="most instructions that it may become"
    )


def run(options: argparse.Namespace) -> Report:
    import json

    from sparsert_ir.cost_model.budget import CODE_BUDGET
    from sparsert_ir.targets import target_of
    from sparsert_ir.tuner import TuneOptions, tune

    check_output(options.output, options, suffix=".json")
    output = options.output or Path(options.weights.name.partition(".")[0] + ".json")
    if not output.parent.is_dir():
        raise FileWriteError(f"{output}: cannot write: no such directory")
    how = TuneOptions(
        count=options.candidates,
        workers=options.workers,
        seconds=options.seconds,
        build_seconds=options.build_seconds,
        code_budget=CODE_BUDGET if options.code_budget is None else options.code_budget,
        store=output,
    )
    record = tune(read_layer(options), target_of(options.target), how)
    stored = _is_stored(record, output)
    ordered = sorted(
        record.candidates, key=lambda one: (one.measured_us is None, one.measured_us or 0.0)
    )
    rows = [
        [
            "" if one.schedule is None else one.schedule.short(),
            microseconds(one.predicted_us),
            microseconds(one.measured_us),
            str(one.registers or ""),
            str(one.code_bytes or ""),
            f"{one.build_seconds:.2f}",
            one.failure[:80],
        ]
        for one in ordered
    ]
    head = ["schedule", "predicted", "measured", "registers", "code bytes", "build s", "failure"]
    facts = [
        ("fastest", f"{microseconds(record.us)}: {record.schedule.words()}"),
        ("measured on", record.device),
        ("written", str(output) if stored else "nothing, see the warning"),
    ]
    document = json.loads(record.to_json()) | {"output": str(output)}
    return Report(
        document,
        facts=facts,
        tables=[without_empty_columns(Table("", head, rows))],
        notes=[_LEGEND],
        status=0 if stored else 1,
    )


def _is_stored(record: "TuningRecord", output: Path) -> bool:
    from sparsert_ir.tuner import TuningRecord

    try:
        return TuningRecord.load(output) == record
    except (OSError, SparsertError):
        return False
