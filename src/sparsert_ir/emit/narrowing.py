"""Floating-point numbers that get narrower, also where a processor has no instruction for it."""

from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.fused import vector_type
from sparsert_ir.errors import CodegenError


def narrowed_text(writer: FunctionWriter, elements: tuple[str, str], width: int, value: str) -> str:
    """The instruction that rounds `width` numbers to nearest; what it needs is written before it.

    elements: of the value, and of the result.
    A host rounds to bf16 by integer arithmetic: for `fptrunc`, LLVM would call a function of the
    compiler's runtime library that is not there in code compiled into a running process, or use an
    instruction that takes subnormal numbers for 0 (VCVTNEPS2BF16, Intel's manual, volume 2).
    """
    old, new = (vector_type(element, width) for element in elements)
    if elements[1] != "bfloat" or writer.on_gpu:
        return f"fptrunc {old} {value} to {new}"
    if elements[0] != "float":
        raise CodegenError(f"expected f32 to become bf16 on a CPU, got LLVM's {elements[0]}")
    return f"bitcast {vector_type('i16', width)} {_upper_half(writer, width, value)} to {new}"


def _upper_half(writer: FunctionWriter, width: int, value: str) -> str:
    """The rounded upper halves of floats: the lower half, and the last bit kept for ties to even,
    carry into it; a NaN stays one.
    """
    assign, wide = writer.assign, vector_type("i32", width)
    old = vector_type("float", width)

    def all_of(number: int) -> str:
        return str(number) if width == 1 else f"splat (i32 {number})"

    bits = assign(f"bitcast {old} {value} to {wide}")
    upper = assign(f"lshr {wide} {bits}, {all_of(16)}")
    last = assign(f"and {wide} {upper}, {all_of(1)}")
    half = assign(f"add {wide} {last}, {all_of(0x7FFF)}")
    carried = assign(f"add {wide} {bits}, {half}")
    quiet = assign(f"or {wide} {bits}, {all_of(0x400000)}")
    is_nan = assign(f"fcmp uno {old} {value}, {value}")
    chosen = assign(f"select {vector_type('i1', width)} {is_nan}, {wide} {quiet}, {wide} {carried}")
    kept = assign(f"lshr {wide} {chosen}, {all_of(16)}")
    return assign(f"trunc {wide} {kept} to {vector_type('i16', width)}")
