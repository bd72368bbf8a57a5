"""Attributes of the `sparsert` dialect."""

from dataclasses import MISSING, fields
from typing import Any

from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Data, ParametrizedAttribute, SpacedOpaqueSyntaxAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.str_enum import StrEnum

from sparsert_ir.errors import ArgumentError, ScheduleError
from sparsert_ir.gpu_facts import MMA_DEPTH, WARP
from sparsert_ir.layout.packing import INDEX_LIMIT, MMA_LINES, StreamLayout
from sparsert_ir.schedule import Schedule
from sparsert_ir.window import Window


@irdl_attr_definition
class CSRAttr(ParametrizedAttribute):
    """Encoding of a tensor stored as compressed sparse rows: `tensor<MxKxf32, #sparsert.csr>`."""

    name = "sparsert.csr"


class Activation(StrEnum):
    RELU = "relu"


@irdl_attr_definition
class ActivationAttr(EnumAttribute[Activation], SpacedOpaqueSyntaxAttribute):
    """The function applied to each element of the result."""

    name = "sparsert.activation"


@irdl_attr_definition
class ScheduleAttr(Data[Schedule]):
    """`#sparsert.schedule<rows_per_panel = 16>`; knobs at their default are left out."""

    name = "sparsert.schedule"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Schedule:
        with parser.in_angle_brackets():
            knobs: dict[str, int | str] = {}
            while (knob := parser.parse_optional_identifier()) is not None:
                if knob in knobs:
                    parser.raise_error(f"schedule: {knob} is given twice")
                parser.parse_punctuation("=")
                number = parser.parse_optional_integer(allow_boolean=False)
                knobs[knob] = parser.parse_identifier() if number is None else number
                if parser.parse_optional_punctuation(",") is None:
                    break
        known = [field.name for field in fields(Schedule)]
        for knob in knobs:
            if knob not in known:
                parser.raise_error(f"schedule: no knob {knob!r}; the knobs are {', '.join(known)}")
        try:
            return Schedule(**knobs)  # pyright: ignore[reportArgumentType]
        except ScheduleError as error:
            parser.raise_error(str(error))

    def print_parameter(self, printer: Printer) -> None:
        changed = (
            f"{field.name} = {getattr(self.data, field.name)}"
            for field in fields(Schedule)
            if getattr(self.data, field.name) != field.default
        )
        printer.print_string("<" + ", ".join(changed) + ">")


@irdl_attr_definition
class StreamLayoutAttr(Data[StreamLayout]):
    """How a packed matrix lies in memory:
    `#sparsert.stream_layout<panel_rows = [1, 2], panels = [8, 56], ...>`.
    """

    name = "sparsert.stream_layout"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> StreamLayout:
        numbers: dict[str, Any] = {}
        with parser.in_angle_brackets():
            for position, field in enumerate(fields(StreamLayout)):
                if position:
                    parser.parse_punctuation(",")
                parser.parse_keyword(field.name)
                parser.parse_punctuation("=")
                numbers[field.name] = _parse_numbers(parser, field.name in ("panel_rows", "panels"))
        layout = StreamLayout(**numbers)
        if len(layout.panel_rows) != len(layout.panels):
            parser.raise_error("stream_layout: expected as many panel_rows as panels")
        for rows in layout.panel_rows:
            if WARP % (rows * layout.column_groups):
                parser.raise_error(
                    f"stream_layout: expected panel_rows * column_groups to divide {WARP}, got"
                    f" {rows} * {layout.column_groups}"
                )
        if layout.slice_columns > INDEX_LIMIT:
            parser.raise_error(f"stream_layout: expected slice_columns of at most {INDEX_LIMIT}")
        if layout.together not in (1, MMA_DEPTH):
            parser.raise_error(f"stream_layout: expected together to be 1 or {MMA_DEPTH}")
        tall = max(layout.panel_rows, default=1) > MMA_LINES
        if layout.together > 1 and (tall or layout.column_groups > 1 or layout.chunk not in (4, 8)):
            parser.raise_error(
                f"stream_layout: with together = {MMA_DEPTH}, expected panel_rows of at most"
                f" {MMA_LINES}, one column group and chunks of 4 or 8"
            )
        return layout

    def print_parameter(self, printer: Printer) -> None:
        values = ((field.name, getattr(self.data, field.name)) for field in fields(self.data))
        texts = (f"{name} = {_number_text(value)}" for name, value in values)
        printer.print_string("<" + ", ".join(texts) + ">")


def _parse_numbers(parser: AttrParser, several: bool) -> int | tuple[int, ...]:
    """A number, or a list of them, of 1 or more."""

    def number() -> int:
        return parser.parse_integer(allow_boolean=False)

    parsed = (
        parser.parse_comma_separated_list(parser.Delimiter.SQUARE, number)
        if several
        else [number()]
    )
    if min(parsed, default=0) < 1:
        parser.raise_error("stream_layout: expected numbers of 1 or more")
    return tuple(parsed) if several else parsed[0]


def _number_text(value: int | tuple[int, ...]) -> str:
    return str(value) if isinstance(value, int) else str(list(value))


@irdl_attr_definition
class WindowAttr(Data[Window]):
    """`#sparsert.window<batch = 1, channels = 64, image = [56, 56], kernel = [3, 3]>`: how an array
    of images is read as a matrix (see `sparsert_ir.window.Window`); what is at its default is left
    out.
    """

    name = "sparsert.window"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Window:
        known = [field.name for field in fields(Window)]
        given: dict[str, Any] = {}
        with parser.in_angle_brackets():
            while (key := parser.parse_optional_identifier()) is not None:
                if key in given:
                    parser.raise_error(f"window: {key} is given twice")
                if key not in known:
                    parser.raise_error(f"window: no {key!r}; there are {', '.join(known)}")
                parser.parse_punctuation("=")
                given[key] = _window_value(parser)
                if parser.parse_optional_punctuation(",") is None:
                    break
        missing = [f.name for f in fields(Window) if f.default is MISSING and f.name not in given]
        if missing:
            parser.raise_error(f"window: expected {' and '.join(missing)}")
        try:
            return Window(**given)
        except ArgumentError as error:
            parser.raise_error(str(error))

    def print_parameter(self, printer: Printer) -> None:
        values = ((field, getattr(self.data, field.name)) for field in fields(Window))
        changed = (
            f"{field.name} = {str(value).replace('(', '[').replace(')', ']')}"
            for field, value in values
            if value != field.default
        )
        printer.print_string("<" + ", ".join(changed) + ">")


def _window_value(parser: AttrParser) -> int | str | tuple[int, ...]:
    number = parser.parse_optional_integer(allow_boolean=False)
    if number is not None:
        return number
    numbers = parser.parse_optional_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: parser.parse_integer(allow_boolean=False)
    )
    return parser.parse_identifier() if numbers is None else tuple(numbers)
