"""The command line of `sparsert-opt`."""

import argparse
import functools
from collections.abc import Sequence

from sparsert_ir.passes import PIPELINES
from sparsert_ir.tools.command_parser import CommandParser, VersionAction

_EPILOG = """examples:
  sparsert-opt layer.mlir -p 'sparsert-import-linalg,sparsert-partition{rows-per-panel=16}'
  sparsert-opt layer.mlir --sparsert-gpu-pipeline -t 'ptx{arch=sm_90}' -o layer.ptx

exit status: 0 if all is well, 1 for a mistake in the input or the command line, 70 for a defect of
sparsert_ir itself, 130 when interrupted."""


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse and return the options; exits with status 1 for a command line that is not valid."""
    return _parser().parse_args(arguments)


@functools.cache
def _parser() -> CommandParser:
    parser = CommandParser(
        prog="sparsert-opt",
        description="Read IR text, run passes on it, and print what results.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_input_and_output(parser)
    _add_passes(parser)
    _add_printing(parser)
    _add_checking(parser)
    return parser


def _add_input_and_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input and output")
    group.add_argument("input", nargs="?", help="file to read (default, and for -: standard input)")
    group.add_argument("-o", "--output", metavar="FILE", help="file to write, once all went well")
    group.add_argument(
        "-t",
        "--target",
        default="mlir",
        metavar="FORMAT",
        help="what to print: mlir (default), llvm, ptx{arch=sm_90} or report",
    )
    group.add_argument(
        "--split-input-file",
        action="store_true",
        help="process the pieces between lines of '// -----' one by one",
    )
    group.add_argument(
        "--allow-unregistered-dialect",
        action="store_true",
        help="accept operations and attributes of unknown dialects in generic syntax",
    )
    group.add_argument(
        "--no-limits", action="store_true", help="accept text of any size and nesting"
    )
    group.add_argument(
        "--version", action=VersionAction, nargs=0, help="print the versions and stop"
    )


def _add_passes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("passes, run in the order given")
    group.add_argument(
        "-p",
        "--passes",
        action="append",
        default=[],
        metavar="PIPELINE",
        help="passes and named pipelines: 'sparsert-partition{rows-per-panel=16},canonicalize'",
    )
    for name in PIPELINES:
        group.add_argument(
            f"--{name}", dest="passes", action="append_const", const=name, help=f"same as -p {name}"
        )
    group.add_argument(
        "--list-passes", action="store_true", help="describe every pass and pipeline and stop"
    )


def _add_printing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("printing (IR between passes goes to standard error)")
    group.add_argument(
        "--print-op-generic", action="store_true", help="print operations in generic syntax"
    )
    group.add_argument(
        "--print-ir-before-all", action="store_true", help="print the IR before each pass"
    )
    group.add_argument(
        "--print-ir-after-all", action="store_true", help="print the IR after each pass"
    )
    group.add_argument(
        "--print-ir-after",
        action="append",
        default=[],
        metavar="PASS",
        help="print the IR after this pass; may be given more than once",
    )
    group.add_argument(
        "--print-ir-after-change",
        action="store_true",
        help="print the IR after each pass that changed it",
    )
    group.add_argument(
        "--timing", action="store_true", help="print to standard error how long each stage took"
    )


def _add_checking(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("checking")
    group.add_argument(
        "--verify-each",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="verify the IR after each pass",
    )
    group.add_argument("--no-verify", action="store_true", help="never verify, not even the input")
    group.add_argument(
        "--verify-diagnostics",
        action="store_true",
        help="check that exactly the errors in comments expected-error {{...}} occur",
    )
    group.add_argument(
        "--verify-roundtrip",
        action="store_true",
        help="check that the input, printed in both syntaxes, is read back as it was",
    )
    group.add_argument(
        "--debug", action="store_true", help="show the Python traceback of every error"
    )
