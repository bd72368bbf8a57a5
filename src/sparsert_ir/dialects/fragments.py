"""What a lane holds of the matrices that tensor cores multiply (PTX ISA, "Matrix Fragments for
mma.m16n8k16").
"""

from typing import cast

from xdsl.dialects.builtin import BFloat16Type, Float16Type, VectorType, f32
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException

A_ELEMENTS, B_ELEMENTS, SUMS = 8, 4, 4
"""Of a 16x16 matrix, of a 16x8 one, and of their 16x8 product."""
SUMS_TYPE = VectorType(f32, [SUMS])


def check_fragment(fragment: Attribute, elements: int) -> VectorType[Attribute]:
    """The type itself; VerifyException unless it is a lane's part of a factor."""
    kind = cast(VectorType[Attribute], fragment)
    small = isinstance(kind.element_type, Float16Type | BFloat16Type)
    if not small or list(kind.get_shape()) != [elements] or kind.get_num_scalable_dims():
        raise VerifyException(f"expected {elements} elements of f16 or bf16 per lane, got {kind}")
    return kind


def check_factors(a: Attribute, b: Attribute) -> None:
    """Raise VerifyException unless they are parts of two matrices that can be multiplied."""
    left, right = check_fragment(a, A_ELEMENTS), check_fragment(b, B_ELEMENTS)
    if left.element_type != right.element_type:
        raise VerifyException(f"expected factors of one element type, got {a} and {b}")
