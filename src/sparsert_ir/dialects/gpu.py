"""The part of MLIR's `gpu` dialect that kernels need, in MLIR's own readable syntax.

xDSL's `gpu` dialect has the same operations but prints them only in generic form.
Reference: https://mlir.llvm.org/docs/Dialects/GPU/
"""

import math
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    DenseArrayBase,
    FunctionType,
    IndexType,
    IntegerAttr,
    IntegerType,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    UnitAttr,
    i32,
)
from xdsl.dialects.gpu import DimensionAttr, DimensionEnum
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, Dialect, Operation, Region, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import (
    HasParent,
    IsolatedFromAbove,
    IsTerminator,
    NoTerminator,
    Pure,
    SymbolOpInterface,
    SymbolTable,
)
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from sparsert_ir.gpu_facts import BLOCK_THREADS, CLUSTER_BLOCKS


class _IndexOfDimension(IRDLOperation):
    """A number of the launch along one dimension: `gpu.<name> x`."""

    dimension = prop_def(DimensionAttr)
    result = result_def(IndexType)

    traits = traits_def(Pure())

    assembly_format = "$dimension attr-dict"

    def __init__(self, dimension: str):
        attribute = DimensionAttr(DimensionEnum(dimension))
        super().__init__(result_types=[IndexType()], properties={"dimension": attribute})


@irdl_op_definition
class BlockIdOp(_IndexOfDimension):
    """Which block of the grid the thread belongs to."""

    name = "gpu.block_id"


@irdl_op_definition
class ThreadIdOp(_IndexOfDimension):
    """Which thread of its block this is."""

    name = "gpu.thread_id"


@irdl_op_definition
class BarrierOp(IRDLOperation):
    """Wait until all threads of the block are here; what they stored before is visible after."""

    name = "gpu.barrier"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


class ShuffleMode(StrEnum):
    XOR = "xor"
    DOWN = "down"
    UP = "up"
    IDX = "idx"


@irdl_attr_definition
class ShuffleModeAttr(EnumAttribute[ShuffleMode], SpacedOpaqueSyntaxAttribute):
    """How `gpu.shuffle` finds the lane to read from."""

    name = "gpu.shuffle_mode"


@irdl_op_definition
class ShuffleOp(IRDLOperation):
    """The `value` of another lane of the warp, 32 lanes taking part."""

    name = "gpu.shuffle"

    T: ClassVar = VarConstraint("T", AnyAttr())

    mode = prop_def(ShuffleModeAttr)
    value = operand_def(T)
    offset = prop_def(IntegerAttr.constr(i32))
    result = result_def(T)

    assembly_format = "$mode $value `,` $offset attr-dict `:` type($value)"

    def __init__(self, mode: str, value: SSAValue, offset: int):
        super().__init__(
            operands=[value],
            result_types=[value.type],
            properties={
                "mode": ShuffleModeAttr(ShuffleMode(mode)),
                "offset": IntegerAttr(offset, i32),
            },
        )


@irdl_op_definition
class ModuleOp(IRDLOperation):
    """Code that runs on the GPU: kernels and their memory."""

    name = "gpu.module"

    sym_name = prop_def(SymbolNameConstraint())
    body = region_def("single_block")

    traits = traits_def(IsolatedFromAbove(), NoTerminator(), SymbolOpInterface(), SymbolTable())

    assembly_format = "$sym_name attr-dict-with-keyword $body"

    def __init__(self, name: str, body: Region):
        super().__init__(properties={"sym_name": StringAttr(name)}, regions=[body])


def _check_block_size(sizes: list[int]) -> None:
    if len(sizes) != 3 or min(sizes) < 1 or math.prod(sizes) > BLOCK_THREADS:
        raise VerifyException(
            "expected three block sizes of 1 or more, of at most"
            f" {BLOCK_THREADS} threads together, got {sizes}"
        )


def _check_cluster_size(sizes: list[int]) -> None:
    if len(sizes) != 3 or min(sizes) < 1 or math.prod(sizes) > CLUSTER_BLOCKS:
        raise VerifyException(
            f"expected three cluster sizes of 1 or more, of at most {CLUSTER_BLOCKS} blocks"
            f" together, got {sizes}"
        )


@irdl_op_definition
class FuncOp(IRDLOperation):
    """A kernel: every thread of a launch runs it. `known_block_size` is the size that it needs,
    `known_cluster_size` the blocks, x first, that run at the same time as one cluster.
    """

    name = "gpu.func"

    sym_name = prop_def(SymbolNameConstraint())
    function_type = prop_def(FunctionType)
    known_block_size = opt_prop_def(DenseArrayBase.constr(i32))
    known_cluster_size = opt_prop_def(DenseArrayBase.constr(i32))
    kernel = opt_prop_def(UnitAttr)
    body = region_def()

    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface(), HasParent(ModuleOp))

    def __init__(
        self,
        name: str,
        inputs: Sequence[Attribute],
        body: Region,
        block_size: Sequence[int] | None = None,
        cluster_size: Sequence[int] | None = None,
    ):
        size, cluster = (
            None if sizes is None else DenseArrayBase.from_list(i32, sizes)
            for sizes in (block_size, cluster_size)
        )
        super().__init__(
            regions=[body],
            properties={
                "sym_name": StringAttr(name),
                "function_type": FunctionType.from_lists(inputs, []),
                "known_block_size": size,
                "known_cluster_size": cluster,
                "kernel": UnitAttr(),
            },
        )

    def verify_(self) -> None:
        if not self.body.blocks:
            raise VerifyException("expected a body")
        inputs = list(self.function_type.inputs)
        arguments = [argument.type for argument in self.body.blocks[0].args]
        if inputs != arguments:
            raise VerifyException(f"expected block arguments of types {inputs}, got {arguments}")
        if self.function_type.outputs.data:
            raise VerifyException("expected a kernel without results")
        if self.known_block_size is not None:
            _check_block_size([int(size) for size in self.known_block_size.get_values()])
        if self.known_cluster_size is not None:
            _check_cluster_size([int(size) for size in self.known_cluster_size.get_values()])

    @classmethod
    def parse(cls, parser: Parser) -> "FuncOp":
        name = parser.parse_symbol_name()
        arguments = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        kernel = parser.parse_optional_keyword("kernel") is not None
        size = _parse_sizes(parser, "threads")
        cluster = _parse_sizes(parser, "clusters")
        attributes = parser.parse_optional_attr_dict_with_keyword()
        body = parser.parse_region(arguments)
        function = cls(name.data, [argument.type for argument in arguments], body, size, cluster)
        if not kernel:
            del function.properties["kernel"]
        if attributes is not None:
            function.attributes.update(attributes.data)
        return function

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        with printer.in_parens():
            printer.print_list(self.body.blocks[0].args, printer.print_block_argument)
        if self.kernel is not None:
            printer.print_string(" kernel")
        _print_sizes(printer, "threads", self.known_block_size)
        _print_sizes(printer, "clusters", self.known_cluster_size)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)


def _parse_sizes(parser: Parser, word: str) -> list[int] | None:
    if parser.parse_optional_keyword(word) is None:
        return None
    return parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_integer)


def _print_sizes(printer: Printer, word: str, sizes: DenseArrayBase[IntegerType] | None) -> None:
    if sizes is not None:
        printer.print_string(f" {word}")
        with printer.in_parens():
            printer.print_list(sizes.get_values(), printer.print_int)


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """The end of a kernel."""

    name = "gpu.return"

    traits = traits_def(IsTerminator(), HasParent(FuncOp))

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class LaunchFuncOp(IRDLOperation):
    """Launch a kernel on `grid` blocks of `block` threads, x first; waits for its end."""

    name = "gpu.launch_func"

    kernel = prop_def(SymbolRefAttr)
    grid_x = operand_def(IndexType)
    grid_y = operand_def(IndexType)
    grid_z = operand_def(IndexType)
    block_x = operand_def(IndexType)
    block_y = operand_def(IndexType)
    block_z = operand_def(IndexType)
    arguments = var_operand_def()

    assembly_format = (
        "$kernel `blocks` `in` `(` $grid_x `,` $grid_y `,` $grid_z `)`"
        " `threads` `in` `(` $block_x `,` $block_y `,` $block_z `)`"
        " `args` `(` $arguments `:` type($arguments) `)` attr-dict"
    )

    def __init__(
        self,
        kernel: SymbolRefAttr,
        grid: Sequence[SSAValue],
        block: Sequence[SSAValue],
        arguments: Sequence[SSAValue | Operation],
    ):
        super().__init__(operands=[*grid, *block, list(arguments)], properties={"kernel": kernel})

    @property
    def grid(self) -> tuple[SSAValue, SSAValue, SSAValue]:
        return self.grid_x, self.grid_y, self.grid_z

    @property
    def block(self) -> tuple[SSAValue, SSAValue, SSAValue]:
        return self.block_x, self.block_y, self.block_z


Gpu = Dialect(
    "gpu",
    [BlockIdOp, ThreadIdOp, BarrierOp, ShuffleOp, ModuleOp, FuncOp, ReturnOp, LaunchFuncOp],
    [DimensionAttr, ShuffleModeAttr],
)
