"""What the command lines of all programs share."""

import argparse
import sys
from typing import NoReturn

from sparsert_ir.errors import FileWriteError
from sparsert_ir.tools.standard_output import flushed_output

USER_MISTAKE = 1
"""Exit status of a mistake in the input or the command line."""


class CommandParser(argparse.ArgumentParser):
    """Answers a wrong command line in one line, with the exit status of a user's mistake."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: error: {message}; --help lists the options", file=sys.stderr)
        sys.exit(USER_MISTAKE)


class VersionAction(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            own = version("sparsert_ir")
        except PackageNotFoundError:
            own = "(not installed)"
        try:
            with flushed_output():
                print(f"{parser.prog} {own}, xDSL {version('xdsl')}")
        except BrokenPipeError:
            sys.exit(USER_MISTAKE)
        except FileWriteError as error:
            parser.error(str(error))
        sys.exit(0)
