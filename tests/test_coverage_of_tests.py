"""Every pass and every operation is documented and has its FileCheck test."""

import re
from pathlib import Path

import pytest
from xdsl.ir import Attribute, Dialect, Operation
from xdsl.passes import ModulePass

from sparsert_ir.dialects.gpu import Gpu
from sparsert_ir.dialects.llvm import Llvm
from sparsert_ir.dialects.nvvm import Nvvm
from sparsert_ir.dialects.sparsert import Sparsert
from sparsert_ir.passes import PASSES

FILECHECK = Path(__file__).parent / "filecheck"
DIALECTS = (Sparsert, Nvvm, Gpu, Llvm)


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
    own = [one for one in op.__mro__[1:] if one.__module__.startswith("sparsert_ir")]
    if not any("verify_" in vars(one) for one in own):
        return
    files = sorted((FILECHECK / "dialects" / dialect.name).glob("*invalid.mlir"))
    expected = re.compile(rf"expected-error.*\{{\{{'{re.escape(op.name)}': ")
    assert any(expected.search(path.read_text()) for path in files)
