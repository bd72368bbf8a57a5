"""What passes read of functions: one that is one product, its weights, its only block."""

from dataclasses import dataclass
from typing import cast

from xdsl.dialects import arith, func
from xdsl.dialects.builtin import AnyFloat, MemRefType, ModuleOp, TensorType, f32
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue

from sparsert_ir.building import memref_of
from sparsert_ir.dense import Dense, numpy_dtype, to_dense, to_numpy
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import ConstantOp, ScheduleAttr, TiledSpmmOp, WindowAttr
from sparsert_ir.errors import IRError, ScheduleError
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.knobs import Kind, Place, check_accumulation, check_knobs


@dataclass(frozen=True)
class ProductFunction:
    """`func.func @name(tensors) -> tensor` whose body is one `tiled_spmm`.

    constant:  the weight.
    depthwise: the filter of the depthwise convolution before it, where there is one.
    """

    function: func.FuncOp
    product: TiledSpmmOp
    constant: ConstantOp
    depthwise: ConstantOp | None = None

    @property
    def name(self) -> str:
        return self.function.sym_name.data

    @property
    def schedule(self) -> Schedule:
        return self.product.schedule.data

    @property
    def panel_count(self) -> int:
        return self.product.panels.get_shape()[0]

    @property
    def panel_height(self) -> int:
        return self.product.panels.get_shape()[1]

    @property
    def columns(self) -> int:
        """N: columns of x and y."""
        window = self.product.window
        return self.product.result.type.get_shape()[1] if window is None else window.data.columns

    @property
    def result_window(self) -> WindowAttr | None:
        """How y and the residual are read as M x N matrices, where they are images."""
        window = self.product.window
        return None if window is None else WindowAttr(window.data.result(self.constant.shape[0]))

    @property
    def element_type(self) -> AnyFloat:
        """Element type of x, y and the weight."""
        return cast(TensorType[AnyFloat], self.product.result.type).element_type

    @property
    def sum_type(self) -> AnyFloat:
        """Element type in which products are added."""
        return self.element_type if self.schedule.accumulation == "plain" else f32

    @property
    def fold(self) -> int | None:
        """Products added in the element type of x before they are added in a wider one."""
        if self.sum_type == self.element_type:
            return None
        return self.schedule.fold_length if self.schedule.accumulation == "folded" else 1

    def bias(self) -> Dense | None:
        """The bias in the element type of the sums, M numbers."""
        return self._in_sum_type(self.product.bias)

    def depthwise_bias(self) -> Dense | None:
        """The same of the depthwise convolution."""
        return self._in_sum_type(self.product.depthwise_bias)

    def _in_sum_type(self, numbers: Dense | None) -> Dense | None:
        if numbers is None:
            return None
        return to_dense(to_numpy(numbers), numpy_dtype(self.sum_type))

    def buffer_types(self) -> list[MemRefType[Attribute]]:
        """The function's tensors as memrefs, the result as the last one."""
        tensors = [*self.function.function_type.inputs, self.product.result.type]
        return [memref_of(tensor) for tensor in tensors]

    def position(self, value: SSAValue) -> int:
        """Which argument of the function `value` is."""
        assert isinstance(value, BlockArgument)
        return value.index

    def schedule_attr(self) -> ScheduleAttr:
        return self.product.schedule

    @property
    def kind(self) -> Kind:
        """What is computed, as far as the knobs of a schedule depend on it."""
        if self.depthwise is not None:
            return "separable"
        return "product" if self.product.window is None else "convolution"

    def check_schedule(self, place: Place) -> None:
        """Raise ScheduleError where the schedule asks for what is not done there, or for other K
        groups than the product has.
        """
        schedule = self.schedule
        check_knobs(schedule, place, kind=self.kind)
        check_accumulation(schedule, str(self.element_type))
        groups = self.product.splits.get_shape()[1] - 1
        if groups != schedule.k_parts:
            raise ScheduleError(
                f"schedule: expected k_groups * cluster = {groups}, the K groups of the product,"
                f" got {schedule.k_parts}; run sparsert-split-k for others"
            )


def constant_weight(weight: SSAValue, user: str) -> ConstantOp:
    """The constant behind a weight; IRError where it is not one."""
    if not isinstance(weight.owner, ConstantOp):
        raise IRError(f"{user}: expected a weight made by sparsert.constant, got {weight.owner}")
    return weight.owner


def only_block(function: func.FuncOp | gpu.FuncOp, user: str) -> Block:
    """The body of a function; IRError unless it is one block, with structured control flow only."""
    blocks = function.body.blocks
    if len(blocks) != 1:
        raise IRError(
            f"{user}: expected @{function.sym_name.data} to be one block, got {len(blocks)}"
        )
    return blocks[0]


def product_functions(module: ModuleOp, user: str) -> list[ProductFunction]:
    """Every function of the module with a `tiled_spmm`; IRError for one that is more than that."""
    functions = [op for op in module.body.block.ops if isinstance(op, func.FuncOp)]
    return [
        _product_function(function, user)
        for function in functions
        if any(isinstance(op, TiledSpmmOp) for op in function.walk())
    ]


def _product_function(function: func.FuncOp, user: str) -> ProductFunction:
    block = only_block(function, user)
    body = [op for op in block.ops if not isinstance(op, arith.ConstantOp)]
    expected = f"{user}: expected function @{function.sym_name.data} to be one product"
    products = [op for op in body if isinstance(op, TiledSpmmOp)]
    constants = [op for op in body if isinstance(op, ConstantOp)]
    if len(products) != 1 or len(constants) + 2 != len(body):
        others = sorted({op.name for op in body} - {"sparsert.constant", "func.return"})
        raise IRError(f"{expected} with a fused epilogue, got {', '.join(others)}")
    product, returned = products[0], block.last_op
    if not isinstance(returned, func.ReturnOp) or list(returned.operands) != [product.result]:
        raise IRError(f"{expected} that returns its result")
    for value in (product.x, product.residual):
        if value is not None and not isinstance(value, BlockArgument):
            raise IRError(f"{expected} of its arguments, got {value.owner}")
    weights = [value for value in (product.weight, product.depthwise) if value is not None]
    owners = [value.owner for value in weights]
    found = [owner for owner in owners if isinstance(owner, ConstantOp)]
    if len(found) != len(owners):
        raise IRError(f"{expected} of constant weights, got {owners}")
    return ProductFunction(function, product, *found)
