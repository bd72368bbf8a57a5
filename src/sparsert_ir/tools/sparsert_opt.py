"""`sparsert-opt`: reads IR text, runs passes on it, prints what results.

Whatever the text, it ends with a result or with a diagnostic, never with a traceback.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparsert_ir.errors import ArgumentError, FileWriteError
from sparsert_ir.tools.arguments import parse_arguments
from sparsert_ir.tools.command_parser import USER_MISTAKE
from sparsert_ir.tools.standard_output import replace_closed_streams, write_output

if TYPE_CHECKING:
    from sparsert_ir.tools.stages import Stages

SUCCESS, INTERNAL_ERROR, INTERRUPTED = 0, 70, 130
_RECURSION_LIMIT = 20_000
"""Enough for the parser, verifier and printer on the deepest nesting that `Limits` allows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the driver on command line arguments; returns the exit status (see `--help`)."""
    replace_closed_streams()
    options = parse_arguments(arguments)
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))
    try:
        return _run(options)
    except (ArgumentError, FileWriteError) as error:
        return _fail(f"sparsert-opt: error: {error}", USER_MISTAKE, options)
    except BrokenPipeError:
        return USER_MISTAKE
    except KeyboardInterrupt:
        return _fail("sparsert-opt: interrupted", INTERRUPTED, options)
    except MemoryError:
        return _fail("sparsert-opt: error: out of memory", USER_MISTAKE, options)
    except Exception as error:
        from sparsert_ir.tools.diagnostics import printable, shortened

        what = printable(shortened(f"{type(error).__name__}: {error}".replace("\n", " ")))
        return _fail(
            f"sparsert-opt: internal error: {what}; please report it with the input and the command"
            " line (--debug shows the traceback)",
            INTERNAL_ERROR,
            options,
        )


def _fail(message: str, status: int, options: argparse.Namespace) -> int:
    if options.debug:
        traceback.print_exc()
    print(message, file=sys.stderr)
    return status


def _run(options: argparse.Namespace) -> int:
    if options.list_passes:
        from sparsert_ir.tools.pass_list import list_passes

        _write(list_passes(), options.output)
        return SUCCESS
    from sparsert_ir.tools.stages import Stages

    stages = Stages.of(options)
    outputs, mistakes = _process_all(stages, options)
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    if not mistakes or (options.output is None and outputs):
        _write("// -----\n".join(outputs), options.output)
    if options.timing:
        print(stages.timing.table(), end="", file=sys.stderr)
    return USER_MISTAKE if mistakes else SUCCESS


def _process_all(stages: "Stages", options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The outputs of the pieces that went well, and the diagnostics to print."""
    from sparsert_ir.tools.diagnostics import Diagnostic, DiagnosticError
    from sparsert_ir.tools.expected import check_expected
    from sparsert_ir.tools.guard import read_source, split_source

    try:
        source = read_source(options.input)
    except DiagnosticError as error:
        return [], [str(error)]
    outputs: list[str] = []
    mistakes: list[str] = []
    for piece in split_source(source) if options.split_input_file else [source]:
        produced: list[Diagnostic] = []
        try:
            outputs.append(stages.process(piece))
        except DiagnosticError as error:
            if options.debug:
                traceback.print_exc()
            produced.append(error.diagnostic)
        if options.verify_diagnostics:
            produced = check_expected(piece, produced)
        mistakes += map(str, produced)
    return outputs, mistakes


def _write(text: str, path: str | None) -> None:
    """To a file, or to standard output; always UTF-8."""
    if path is None:
        write_output(text)
        return
    from sparsert_ir.files import write_atomically

    write_atomically(path, text.encode())


if __name__ == "__main__":
    sys.exit(main())
