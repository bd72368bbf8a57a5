"""Attributes of the `sparsert` dialect."""

from dataclasses import fields

from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Data, ParametrizedAttribute, SpacedOpaqueSyntaxAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.str_enum import StrEnum

from sparsert_ir.errors import ScheduleError
from sparsert_ir.packing import WARP, StreamLayout
from sparsert_ir.schedule import Schedule


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
    """How a packed matrix lies in memory: `#sparsert.stream_layout<panel_rows = 4, ...>`."""

    name = "sparsert.stream_layout"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> StreamLayout:
        numbers: dict[str, int] = {}
        with parser.in_angle_brackets():
            for position, field in enumerate(fields(StreamLayout)):
                if position:
                    parser.parse_punctuation(",")
                parser.parse_keyword(field.name)
                parser.parse_punctuation("=")
                numbers[field.name] = parser.parse_integer(allow_boolean=False)
        if min(numbers.values()) < 1:
            parser.raise_error("stream_layout: expected numbers of 1 or more")
        layout = StreamLayout(**numbers)
        rows, groups = layout.panel_rows, layout.column_groups
        if WARP % (rows * groups):
            parser.raise_error(
                f"stream_layout: expected panel_rows * column_groups to divide {WARP}, got"
                f" {rows} * {groups}"
            )
        return layout

    def print_parameter(self, printer: Printer) -> None:
        texts = (f"{field.name} = {getattr(self.data, field.name)}" for field in fields(self.data))
        printer.print_string("<" + ", ".join(texts) + ">")
