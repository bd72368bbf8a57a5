"""The stages of `sparsert-opt` on one text: read, verify, each pass, print."""

import argparse
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import DiagnosticException

from sparsert_ir.context import make_context
from sparsert_ir.errors import ArgumentError, SparsertError
from sparsert_ir.tools.diagnostics import Source
from sparsert_ir.tools.guard import UNLIMITED, Limits, check_source
from sparsert_ir.tools.pipeline_spec import parse_passes
from sparsert_ir.tools.reader import parse, verifier_error, verify
from sparsert_ir.tools.targets import OutputFormat, print_ir


@dataclass
class Timing:
    """Seconds spent in each stage, summed over the pieces of the input."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def stage(self, name: str) -> Generator[None, None, None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def table(self) -> str:
        total = sum(self.seconds.values())
        rows = [*self.seconds.items(), ("total", total)]
        lines = (f"{spent:10.4f} s {spent / (total or 1):6.1%}  {name}" for name, spent in rows)
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Stages:
    """What the command line asks to be done with each text."""

    options: argparse.Namespace
    passes: list[ModulePass]
    output_format: OutputFormat
    limits: Limits
    timing: Timing

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Stages":
        """Raises ArgumentError for a pipeline, a pass or a format that does not exist."""
        passes = parse_passes(options.passes)
        for name in options.print_ir_after:
            if name not in [one.name for one in passes]:
                raise ArgumentError(f"--print-ir-after: the pipeline has no pass {name!r}")
        limits = UNLIMITED if options.no_limits else Limits()
        return cls(options, passes, OutputFormat.parse(options.target), limits, Timing())

    def process(self, source: Source) -> str:
        """The text that results; DiagnosticError for a mistake in the input."""
        context = make_context(allow_unregistered=self.options.allow_unregistered_dialect)
        with self.timing.stage("parse"):
            check_source(source, self.limits)
            module = parse(context, source, self.limits)
        if not self.options.no_verify:
            with self.timing.stage("verify"):
                verify(module, source)
        if self.options.verify_roundtrip:
            with self.timing.stage("round trip"):
                self._check_roundtrip(module, source)
        for one in self.passes:
            self._run_pass(one, module, context, source)
        with self.timing.stage(f"print {self.output_format.name}"):
            return self._render(module, source)

    def _render(self, module: ModuleOp, source: Source) -> str:
        try:
            return self.output_format.render(module, self.options.print_op_generic)
        except SparsertError as error:
            raise source.error_somewhere(str(error)) from error
        except RecursionError as error:
            raise source.error_somewhere("expected less deeply nested operations") from error

    def _check_roundtrip(self, module: ModuleOp, source: Source) -> None:
        for generic in (False, True):
            text = print_ir(module, generic)
            context = make_context(allow_unregistered=self.options.allow_unregistered_dialect)
            again = parse(context, Source(f"{source.name} (printed)", text), UNLIMITED)
            if not module.is_structurally_equivalent(again):
                syntax = "generic" if generic else "custom"
                raise source.error_somewhere(f"the {syntax} syntax is not read back as it was")

    def _run_pass(
        self, one: ModulePass, module: ModuleOp, context: Context, source: Source
    ) -> None:
        if self.options.print_ir_before_all:
            self._dump(f"before {one.name}", module)
        watched = self.options.print_ir_after_change
        before = print_ir(module, self.options.print_op_generic) if watched else ""
        with self.timing.stage(one.name):
            _apply(one, module, context, source)
        if self.options.verify_each and not self.options.no_verify:
            with self.timing.stage("verify"):
                _verify_after(one, module, source)
        after_this = self.options.print_ir_after_all or one.name in self.options.print_ir_after
        if after_this or (watched and print_ir(module, self.options.print_op_generic) != before):
            self._dump(f"after {one.name}", module)

    def _dump(self, when: str, module: ModuleOp) -> None:
        text = print_ir(module, self.options.print_op_generic)
        print(f"// ----- IR {when} ----- //\n{text}", file=sys.stderr)


def _apply(one: ModulePass, module: ModuleOp, context: Context, source: Source) -> None:
    try:
        one.apply(context, module)
    except (SparsertError, DiagnosticException) as error:
        message = str(error)
        prefix = "" if message.startswith(f"{one.name}: ") else f"{one.name}: "
        raise source.error_somewhere(prefix + message) from error
    except RecursionError as error:
        raise source.error_somewhere(f"{one.name}: expected less deeply nested text") from error
    except MemoryError as error:
        raise source.error_somewhere(f"{one.name}: out of memory") from error
    except Exception as error:
        raise RuntimeError(f"pass {one.name}: {type(error).__name__}: {error}") from error


def _verify_after(one: ModulePass, module: ModuleOp, source: Source) -> None:
    try:
        module.verify()
    except Exception as error:
        found = verifier_error(module, source, error).diagnostic.message
        raise RuntimeError(f"pass {one.name} left invalid IR: {found}") from error
