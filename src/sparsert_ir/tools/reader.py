"""Parses IR text into a verified module; every operation knows the line that it came from."""

import functools
import math
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AnyFloat,
    ComplexType,
    FileLineColLoc,
    IndexType,
    IntAttr,
    IntegerType,
    ModuleOp,
    RankedStructure,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Operation, TypeAttribute
from xdsl.irdl import AttrConstraint, base
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

from sparsert_ir.tools.diagnostics import DiagnosticError, Source
from sparsert_ir.tools.dominance import first_undefined_use
from sparsert_ir.tools.guard import Limits


@functools.cache
def _dense_type() -> AttrConstraint[
    RankedStructure[IntegerType | IndexType | AnyFloat | ComplexType]
]:
    """What the type of a dense literal must be."""
    return base(RankedStructure[IntegerType | IndexType | AnyFloat | ComplexType])


class LocatingParser(Parser):
    """xDSL's parser, which also locates operations and bounds what text can ask for."""

    def __init__(self, context: Context, source: Source, limits: Limits):
        super().__init__(context, source.text, source.name)
        self._source, self._limits = source, limits
        self._line, self._line_begin, self._counted_to = source.first_line, 0, 0

    def parse_operation(self) -> Operation:
        location = self._location(self.pos)
        op = super().parse_operation()
        if isinstance(op.location, UnknownLoc):
            op.location = location
        return op

    def _location(self, position: int) -> FileLineColLoc:
        """Line and column; operations start in ascending order, so lines are counted once."""
        text = self._source.text
        if newlines := text.count("\n", self._counted_to, position):
            self._line += newlines
            self._line_begin = text.rfind("\n", 0, position) + 1
        self._counted_to = position
        column = position - self._line_begin + 1
        return FileLineColLoc(StringAttr(self._source.name), IntAttr(self._line), IntAttr(column))

    def _parse_optional_integer_or_float_type(self) -> TypeAttribute | None:
        position = self.pos
        kind = super()._parse_optional_integer_or_float_type()
        if isinstance(kind, IntegerType):
            self._check_bits(kind.bitwidth, position)
        return cast(TypeAttribute | None, kind)

    def _check_bits(self, bits: int, position: int) -> None:
        limit = self._limits.integer_bits
        if bits > limit:
            message = f"expected an integer type of at most {limit} bits, got {bits}"
            self.raise_error(f"{message}; give --no-limits to try", position, self.pos)

    def _parse_dense_literal_type(
        self,
    ) -> RankedStructure[IntegerType | IndexType | AnyFloat | ComplexType]:
        """As xDSL's, which builds the same constraint for every literal: that takes longer than all
        the rest of a short one.
        """
        position = self.pos
        kind = self.expect(self.parse_optional_type, "Dense attribute must be typed!")
        if not _dense_type().verifies(kind):
            self.raise_error(
                "Expected memref, vector or tensor type of integer, index, float, or complex type"
            )
        if DYNAMIC_INDEX in kind.get_shape():
            self.raise_error("Dense literal attribute should have a static shape.")
        elements = math.prod(kind.get_shape())
        if elements > self._limits.dense_elements:
            self.raise_error(
                f"expected a constant of at most {self._limits.dense_elements} elements, got"
                f" {elements}; give --no-limits to try",
                position,
                self.pos,
            )
        return kind


def parse(context: Context, source: Source, limits: Limits) -> ModuleOp:
    """Parse without verifying; DiagnosticError for any text that is not a module."""
    parser = None
    try:
        parser = LocatingParser(context, source, limits)
        return parser.parse_module()
    except ParseError as error:
        raise source.error(error.span.start, error.msg) from error
    except VerifyException as error:
        raise source.error(parser.pos if parser else 0, str(error)) from error
    except RecursionError as error:
        raise source.error_somewhere("expected less deeply nested text") from error
    except MemoryError as error:
        raise source.error_somewhere("out of memory while parsing") from error
    except Exception as error:  # xDSL raises bare Python errors for some malformed text
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise source.error(parser.pos if parser else 0, f"malformed text: {what}") from error


def verify(module: ModuleOp, source: Source) -> None:
    """Verify the whole module; DiagnosticError that names the operation and its line."""
    try:
        module.verify()
    except Exception as error:  # verifiers of malformed generic syntax may raise anything
        raise verifier_error(module, source, error) from error
    undefined = first_undefined_use(module)
    if undefined is not None:
        op, number = undefined
        message = f"'{op.name}': expected operand {number} to be defined before it is used"
        raise error_at(op, source, message)


def verifier_error(module: ModuleOp, source: Source, error: Exception) -> DiagnosticError:
    """What `error`, raised by the module's verifier, says, at the first operation to blame."""
    for op in module.walk():
        try:
            op.verify(verify_nested_ops=False)
        except Exception as own_error:  # as in `verify`
            return error_at(op, source, f"'{op.name}': {_first_line(own_error)}")
    return source.error_somewhere(_first_line(error))


def error_at(op: Operation, source: Source, message: str) -> DiagnosticError:
    """An error at the operation's location, where it has one."""
    location = op.location
    if isinstance(location, FileLineColLoc) and location.filename.data == source.name:
        return source.error_at_line(location.line.data, location.column.data, message)
    return source.error_somewhere(message)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    if isinstance(error, VerifyException):
        return text
    return f"cannot be verified ({type(error).__name__}: {text})"
