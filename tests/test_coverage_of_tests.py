"""Every pass and every operation is documented and has its FileCheck test."""

import ast
import inspect
import re
import traceback
from pathlib import Path

import pytest
from xdsl.ir import Attribute, Dialect, Operation
from xdsl.parser import Parser
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import ParseError, VerifyException

import sparsert_ir.dialects
from sparsert_ir.context import make_context
from sparsert_ir.dialects.gpu import Gpu
from sparsert_ir.dialects.llvm import Llvm
from sparsert_ir.dialects.nvgpu import Nvgpu
from sparsert_ir.dialects.nvvm import Nvvm
from sparsert_ir.dialects.sparsert import Sparsert
from sparsert_ir.passes import PASSES

FILECHECK = Path(__file__).parent / "filecheck"
SOURCES = sorted(Path(sparsert_ir.dialects.__file__).parent.rglob("*.py"))
DIALECTS = (Sparsert, Nvvm, Nvgpu, Gpu, Llvm)


def _ours(dialect: Dialect) -> list[tuple[Dialect, type[Operation] | type[Attribute]]]:
    """The operations of a dialect that this project defines."""
    return [(dialect, op) for op in dialect.operations if op.__module__.startswith("sparsert_ir")]


OPERATIONS = [pair for dialect in DIALECTS for pair in _ours(dialect)]


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_can_be_imported_and_has_the_name_of_the_table(name: str) -> None:
    pass_class = PASSES[name]()
    assert issubclass(pass_class, ModulePass)
    assert pass_class.name == name


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_says_what_it_requires_and_guarantees(name: str) -> None:
    text = PASSES[name]().__doc__ or ""
    assert "Requires: " in text
    assert "Guarantees: " in text


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_has_a_filecheck_test_and_a_file_of_its_name(name: str) -> None:
    stem = name.removeprefix("sparsert-").replace("-", "_")
    assert PASSES[name]().__module__ == f"sparsert_ir.passes.{stem}"
    test = (FILECHECK / "passes" / f"{stem}.mlir").read_text()
    run_lines = re.findall(r"// RUN: (.*)", test)
    assert any(name in line and "filecheck" in line for line in run_lines)


@pytest.mark.parametrize(("dialect", "op"), OPERATIONS, ids=lambda value: value.name)
def test_every_operation_is_read_back_in_both_syntaxes(
    dialect: Dialect, op: type[Operation]
) -> None:
    files = sorted((FILECHECK / "dialects" / dialect.name).glob("*.mlir"))
    texts = [path.read_text() for path in files]
    used = re.compile(rf"^[^/\n]*(?<![\w.]){re.escape(op.name)}(?![\w.])", re.MULTILINE)
    assert any(
        "// RUN: ROUNDTRIP\n" in text
        and "// RUN: GENERIC_ROUNDTRIP\n" in text
        and used.search(text)
        for text in texts
    )


@pytest.mark.parametrize(("dialect", "op"), OPERATIONS, ids=lambda value: value.name)
def test_every_verifier_beyond_declared_constraints_has_a_refused_input(
    dialect: Dialect, op: type[Operation]
) -> None:
    own = [one for one in op.__mro__ if one.__module__.startswith("sparsert_ir")]
    if not any("def verify_(" in inspect.getsource(one) for one in own):
        return
    files = sorted((FILECHECK / "dialects" / dialect.name).glob("*invalid.mlir"))
    expected = re.compile(rf"expected-error.*\{{\{{'{re.escape(op.name)}': ")
    assert any(expected.search(path.read_text()) for path in files)


def test_every_check_of_a_verifier_refuses_an_input() -> None:
    met = _lines_that_refuse()
    never = [
        f"{path.name}:{site.lineno}"
        for path in SOURCES
        for site in _checks(path)
        if not any((str(path), line) in met for line in _lines(site))
    ]
    assert not never


def _lines_that_refuse() -> set[tuple[str, int]]:
    """File and line of every call on the way to a refusal of an input that must be refused."""
    met: set[tuple[str, int]] = set()
    for path in sorted((FILECHECK / "dialects").glob("*/*invalid.mlir")):
        for text in re.split(r"^// -----$", path.read_text(), flags=re.MULTILINE):
            try:
                Parser(make_context(), text).parse_module().verify()
            except (ParseError, VerifyException) as refusal:
                error: BaseException | None = refusal
                while error is not None:
                    stack = traceback.walk_tb(error.__traceback__)
                    met.update((frame.f_code.co_filename, line) for frame, line in stack)
                    error = error.__cause__
    return met


def _checks(path: Path) -> list[ast.Call]:
    """Where a file says what it refuses: `expect(...)` and `raise VerifyException(...)`."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    refusing = ("expect", "VerifyException")
    return [one for one in calls if isinstance(one.func, ast.Name) and one.func.id in refusing]


def _lines(site: ast.Call) -> range:
    return range(site.lineno, (site.end_lineno or site.lineno) + 1)
