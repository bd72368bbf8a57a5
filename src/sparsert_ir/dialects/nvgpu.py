"""The part of MLIR's `nvgpu` dialect that kernels need: a warp's work on tiles of matrices.

MLIR's fragments are vectors of registers, `vector<4x2xf16>`; here they are the same elements in one
row, `vector<8xf16>`, and of the shapes that the operations can have there is one.
Reference: https://mlir.llvm.org/docs/Dialects/NVGPU/, and for who holds what PTX ISA, "Matrix
Fragments for mma.m16n8k16" and "ldmatrix".
"""

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import (
    IndexType,
    IntegerAttr,
    MemRefType,
    NoneAttr,
    VectorType,
)
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from sparsert_ir.dialects.fragments import A_ELEMENTS, SUMS_TYPE, check_factors, check_fragment
from sparsert_ir.gpu_facts import MMA_TILE, WORKGROUP


@irdl_op_definition
class LdMatrixOp(IRDLOperation):
    """Load four tiles of 8x8 elements from shared memory and transpose them; all lanes of the warp
    take part (`ldmatrix.x4.trans`).

    Lane 8i + j says where row j of tile i is, which starts at a multiple of 8 columns. Lane 4c + d
    gets element c of the rows 2d and 2d + 1 of tile 0, then of tile 1, 2 and 3.
    """

    name = "nvgpu.ldmatrix"

    source = operand_def(base(MemRefType[Attribute]))
    indices = var_operand_def(IndexType)
    result = result_def(base(VectorType[Attribute]))

    assembly_format = "$source `[` $indices `]` attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, indices: Sequence[SSAValue]):
        kind = cast(MemRefType[Attribute], source.type)
        fragment = VectorType(kind.element_type, [A_ELEMENTS])
        super().__init__(operands=[source, indices], result_types=[fragment])

    def verify_(self) -> None:
        kind = cast(MemRefType[Attribute], self.source.type)
        fragment = check_fragment(self.result.type, A_ELEMENTS)
        space = kind.memory_space
        if not isinstance(space, IntegerAttr) or space.value.data != WORKGROUP:
            raise VerifyException(f"expected memory of a block (space {WORKGROUP}), got {kind}")
        if kind.element_type != fragment.element_type or len(self.indices) != kind.get_num_dims():
            raise VerifyException(f"expected an element of {kind} as a start, and such elements")
        if min(kind.get_shape(), default=0) < 1 or not isinstance(kind.layout, NoneAttr):
            raise VerifyException(f"expected a row-major memref of known shape, got {kind}")
        if kind.get_shape()[-1] % MMA_TILE:
            raise VerifyException(f"expected rows of whole tiles of {MMA_TILE} columns, got {kind}")


@irdl_op_definition
class MmaSyncOp(IRDLOperation):
    """`a @ b + c` for a 16x16 and a 16x8 matrix that the lanes of a warp hold together, added in
    f32 in an order that the hardware decides, always the same (`mma.m16n8k16`; sm_80).

    Lane 4g + t holds, of `a`, the elements 2t and 2t + 1 of row g, of row g + 8, then the same with
    8 added to the columns; of `b`, those of the rows 2t, 2t + 1, 2t + 8, 2t + 9 in column g; of the
    sums, 2t and 2t + 1 in row g, then in row g + 8.
    """

    name = "nvgpu.mma.sync"

    a = operand_def(base(VectorType[Attribute]))
    b = operand_def(base(VectorType[Attribute]))
    c = operand_def(SUMS_TYPE)
    result = result_def(SUMS_TYPE)

    traits = traits_def(Pure())

    assembly_format = "`(` $a `,` $b `,` $c `)` attr-dict `:` `(` type($a) `,` type($b) `)`"

    def __init__(self, a: SSAValue, b: SSAValue, c: SSAValue):
        super().__init__(operands=[a, b, c], result_types=[SUMS_TYPE])

    def verify_(self) -> None:
        check_factors(self.a.type, self.b.type)


Nvgpu = Dialect("nvgpu", [LdMatrixOp, MmaSyncOp])
