"""Reference pages, written from the code: dialects, passes, schedules, errors, command lines."""

import contextlib
import inspect
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from unittest import mock

from xdsl.ir import Attribute, Dialect, Operation
from xdsl.irdl import IRDLOperation, OperandDef, OptionalDef, ResultDef, VariadicDef
from xdsl.irdl.operations import AttrOrPropDef
from xdsl.passes import get_pass_option_infos

from constraints import in_words
from sparsert_ir import errors
from sparsert_ir.cli.main import main as sparsert
from sparsert_ir.dialects.gpu import Gpu
from sparsert_ir.dialects.llvm import Llvm
from sparsert_ir.dialects.nvvm import Nvvm
from sparsert_ir.dialects.sparsert import Sparsert
from sparsert_ir.errors import SparsertError
from sparsert_ir.passes import PASSES, PIPELINES
from sparsert_ir.schedule import Schedule
from sparsert_ir.tools.sparsert_opt import main as sparsert_opt
from texts import docstring, fenced, page, table

_DIALECTS = (Sparsert, Gpu, Nvvm, Llvm)


def is_own(thing: type[Operation] | type[Attribute]) -> bool:
    return thing.__module__.startswith("sparsert_ir")


def dialects() -> str:
    introduction = (
        "The operations and attributes that this project defines, in the order of the levels that"
        " a pipeline passes through. What it takes from xDSL (`func`, `arith`, `scf`, `memref`,"
        " `vector`, most of `llvm`) is described there."
    )
    return page("Dialects", introduction, (part for one in _DIALECTS for part in _dialect(one)))


def _dialect(dialect: Dialect) -> Iterator[str]:
    yield f"## {dialect.name}\n"
    for operation in filter(is_own, dialect.operations):
        yield _operation(operation)
    for attribute in filter(is_own, dialect.attributes):
        yield f"### #{attribute.name}\n\n{docstring(attribute)}"


def _operation(operation: type[Operation]) -> str:
    assert issubclass(operation, IRDLOperation)
    definition = operation.get_irdl_definition()
    parts = [f"### {operation.name}\n", docstring(operation)]
    if definition.assembly_format is not None:
        parts.append(fenced(f"{operation.name} {definition.assembly_format}"))
    rows = [
        *(_row("operand", *one) for one in definition.operands),
        *(_row("property", *one) for one in definition.properties.items()),
        *(_row("attribute", *one) for one in definition.attributes.items()),
        *(_row("result", *one) for one in definition.results),
        *(("region", f"`{name}`", _number(one), "") for name, one in definition.regions),
    ]
    if rows:
        parts.append(table(("", "name", "how many", "type"), rows))
    return "\n".join(parts)


def _row(
    kind: str, name: str, one: OperandDef | ResultDef | AttrOrPropDef
) -> tuple[str, str, str, str]:
    return kind, f"`{name}`", _number(one), in_words(one.constr)


def _number(definition: object) -> str:
    match definition:
        case OptionalDef():
            return "0 or 1"
        case VariadicDef():
            return "any"
        case _:
            return "1"


def passes() -> str:
    introduction = (
        "One file in `passes/` per pass. `Requires` is what a pass asks of the IR it is given,"
        " `Guarantees` what the next one may rely on. The named pipelines are at the end."
    )
    return page("Passes", introduction, [*map(_pass, PASSES), _pipelines()])


def _pass(name: str) -> str:
    pass_class = PASSES[name]()
    options = [
        (f"`{info.name.replace('_', '-')}`", str(info.expected_type), f"`{info.default_value}`")
        for info in get_pass_option_infos(pass_class)
    ]
    parts = [f"## {name}\n", docstring(pass_class)]
    if options:
        parts.append(table(("option", "type", "default"), options))
    return "\n".join(parts)


def _pipelines() -> str:
    steps = {
        name: "<br>".join(f"`{one}`" for one in re.findall(r"[^,{]+(?:\{[^}]*\})?", text))
        for name, text in PIPELINES.items()
    }
    return "## Pipelines\n\n" + table(
        ("name", "passes"), [(f"`{name}`", text) for name, text in steps.items()]
    )


def schedules() -> str:
    summary, _, knobs = (inspect.getdoc(Schedule) or "").partition("\n\n")
    meanings = _meanings(knobs)
    rows = [
        (f"`{field.name}`", f"`{field.default}`", meanings[field.name])
        for field in fields(Schedule)
    ]
    introduction = (
        f"{summary}\n\nIn Python `Schedule(rows_per_panel=8)`; in"
        " IR `#sparsert.schedule<rows_per_panel = 8>`, where knobs at their default are left out."
        " A schedule never changes what is computed, only the order of the additions and the time."
    )
    return page("Schedules", introduction, [table(("knob", "default", "meaning"), rows)])


def _meanings(text: str) -> dict[str, str]:
    """Knob -> meaning, of lines `knob:  meaning` and the indented lines that go on."""
    found = re.findall(r"^(\w+): +(.*(?:\n +.*)*)", text, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in found}


def exceptions() -> str:
    introduction = (
        "All errors that the package raises on purpose, in `sparsert_ir.errors`. A message says"
        " what was expected, what was got, and what to do."
    )
    rows = [
        (
            f"`{name}`",
            ", ".join(f"`{base.__name__}`" for base in one.__bases__),
            inspect.getdoc(one) or "",
        )
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, SparsertError)
    ]
    return page("Errors", introduction, [table(("error", "is also a", "when"), rows)])


def commands() -> str:
    introduction = "The help of the two programs, as they print it."
    overview = _help(sparsert)
    parts = ["## sparsert\n", fenced(overview)]
    for name in re.findall(r"^ {4}([a-z]+)(?: {2,}|$)", overview, re.MULTILINE):
        parts += [f"### sparsert {name}\n", fenced(_help(sparsert, name))]
    parts += ["## sparsert-opt\n", fenced(_help(sparsert_opt))]
    return page("Command lines", introduction, parts)


def _help(main: Callable[[list[str]], int], *words: str) -> str:
    stream = io.StringIO()
    with (
        mock.patch.dict(os.environ, COLUMNS="92"),
        contextlib.redirect_stdout(stream),
        contextlib.suppress(SystemExit),
    ):
        main([*words, "--help"])
    return stream.getvalue()


PAGES: dict[str, Callable[[], str]] = {
    "reference/dialects.md": dialects,
    "reference/passes.md": passes,
    "reference/schedules.md": schedules,
    "reference/errors.md": exceptions,
    "reference/commands.md": commands,
}
"""Path in the site -> a function that writes the page."""
