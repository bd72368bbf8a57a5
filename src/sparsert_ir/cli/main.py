"""`sparsert`: compile, run and judge sparse matrices from the command line."""

import argparse
import sys
import traceback
import warnings
from collections.abc import Sequence

from sparsert_ir.cli import advise, bench, cache, doctor, html_report, inspect, plot, run, tune
from sparsert_ir.cli import compile as compile_command
from sparsert_ir.cli.report import Report, print_report
from sparsert_ir.errors import SparsertError
from sparsert_ir.tools.command_parser import USER_MISTAKE, CommandParser, VersionAction
from sparsert_ir.tools.diagnostics import printable, shortened
from sparsert_ir.tools.standard_output import flushed_output, replace_closed_streams

INTERNAL_ERROR, INTERRUPTED = 70, 130
_COMMANDS = {
    "inspect": inspect,
    "compile": compile_command,
    "run": run,
    "advise": advise,
    "tune": tune,
    "bench": bench,
    "plot": plot,
    "report": html_report,
    "cache": cache,
    "doctor": doctor,
}
_EPILOG = """examples:
  sparsert advise weights.npz -n 196 --target sm_90     does sparse pay?
  sparsert compile weights.npz -n 196 -o layer.sparsert
  sparsert run layer.sparsert --x x.npy -o y.npy

exit status: 0 if all is well, 1 for a mistake in the input or the command line, 70 for a defect of
sparsert_ir itself, 130 when interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command on its arguments; returns the exit status (see `--help`)."""
    replace_closed_streams()
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = _show_warning
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    try:
        report: Report = options.run(options)
        with flushed_output():
            print_report(report, as_json=options.json)
        return report.status
    except BrokenPipeError:
        return USER_MISTAKE
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, options)
    except SparsertError as error:
        return _fail(f"error: {error}", USER_MISTAKE, options)
    except OSError as error:
        return _fail(f"error: {error}", USER_MISTAKE, options)
    except MemoryError:
        return _fail("error: out of memory", USER_MISTAKE, options)
    except Exception as error:
        return _fail(
            f"internal error: {type(error).__name__}: {error}; please report it with the input and"
            " the command line (--debug shows the traceback)",
            INTERNAL_ERROR,
            options,
        )


def _fail(message: str, status: int, options: argparse.Namespace) -> int:
    if options.debug:
        traceback.print_exc()
    one_line = " ".join(printable(shortened(message)).split())
    print(f"sparsert: {one_line}", file=sys.stderr)
    return status


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"sparsert: warning: {' '.join(printable(str(message)).split())}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="sparsert",
        description="Compile, run and judge constant sparse matrices.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=VersionAction, nargs=0, help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        summary = (command.__doc__ or "").splitlines()[0].partition(": ")[2]
        one = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        command.add_arguments(one)
        one.add_argument("--json", action="store_true", help="print a JSON document, no tables")
        one.add_argument("--debug", action="store_true", help="show tracebacks")
        one.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
