"""LLVM IR text of a module in the llvm, cf, nvvm dialects and sparsert's pointer level."""

from collections.abc import Iterator
from typing import cast

from xdsl.dialects import llvm
from xdsl.dialects.builtin import (
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    IntegerAttr,
    ModuleOp,
)
from xdsl.ir import Block, Operation

from sparsert_ir.dense import Dense
from sparsert_ir.dialects import gpu
from sparsert_ir.emit.async_copies import ASYNC_COPIES
from sparsert_ir.emit.function_writer import Declarations, FunctionWriter
from sparsert_ir.emit.instructions import INSTRUCTIONS, METADATA, Emitters
from sparsert_ir.emit.literals import array_text, global_name, global_space, type_text
from sparsert_ir.emit.multiply_adds import MULTIPLY_ADDS
from sparsert_ir.errors import IRError
from sparsert_ir.gpu_facts import MIN_BLOCKS

EMITTERS: Emitters = {**INSTRUCTIONS, **MULTIPLY_ADDS, **ASYNC_COPIES}
NVPTX_TRIPLE = "nvptx64-nvidia-cuda"


def emit_llvm(module: Operation) -> str:
    """The text of a `gpu.module`, or of a host module without one.

    The text depends on nothing but the module. Raises IRError for an operation of another level.
    """
    if not isinstance(module, gpu.ModuleOp | ModuleOp):
        raise IRError(f"LLVM IR text: expected a module, got {module.name}")
    on_gpu = isinstance(module, gpu.ModuleOp)
    declarations = Declarations()
    parts: list[str] = []
    for op in module.body.block.ops:
        match op:
            case llvm.GlobalOp():
                parts.append(_global(op))
            case llvm.FuncOp() if op.body.blocks:
                parts.append("\n".join(_function(op, declarations, on_gpu)))
            case llvm.FuncOp():
                parts.append(_declaration(op))
            case _:
                raise IRError(
                    f"LLVM IR text: expected functions and globals of the llvm dialect, got"
                    f" {op.name}; run sparsert-convert-to-llvm first"
                )
    head = [f'target triple = "{NVPTX_TRIPLE}"'] if on_gpu else []
    return "\n\n".join([*head, *parts, *declarations.texts.values(), METADATA])


def _global(op: llvm.GlobalOp) -> str:
    kind = op.global_type
    assert isinstance(kind, llvm.LLVMArrayType)
    space = global_space(op.addr_space.value.data)
    align = "" if op.alignment is None else f", align {op.alignment.value.data}"
    if op.linkage.linkage.data == "external":
        # Its size is given at the launch.
        name, element = global_name(op.sym_name.data), type_text(kind.type)
        return f"{name} = external addrspace({space}) global [0 x {element}]{align}"
    where = f"addrspace({space}) " if space else ""
    verb = "constant" if op.constant is not None else "global"
    text = "poison"
    if isinstance(op.value, DenseIntOrFPElementsAttr):
        text = array_text(cast(Dense, op.value), kind)
    return (
        f"{global_name(op.sym_name.data)} = internal {where}{verb} {type_text(kind)} {text}{align}"
    )


def _declaration(op: llvm.FuncOp) -> str:
    arguments = ", ".join(type_text(kind) for kind in op.function_type.inputs)
    return f"declare {type_text(op.function_type.output)} @{op.sym_name.data}({arguments})"


def _function(op: llvm.FuncOp, declarations: Declarations, on_gpu: bool) -> Iterator[str]:
    writer = FunctionWriter(declarations, on_gpu=on_gpu)
    blocks = list(op.body.blocks)
    texts = [_block(writer, block) for block in blocks]
    convention = "ptx_kernel " if "nvvm.kernel" in op.attributes else ""
    if op.linkage.linkage.data == "internal":
        convention = "internal "
    yield f"define {convention}void @{op.sym_name.data}({_arguments(op, writer)}){_facts(op)} {{"
    for block, lines in zip(blocks, texts, strict=True):
        yield lines[0]
        if block is not blocks[0]:
            yield from _merges(writer, block)
        yield from lines[1:]
    yield "}"


def _block(writer: FunctionWriter, block: Block) -> list[str]:
    writer.lines = []
    writer.begin(writer.label_of(block))
    for op in block.ops:
        emit = EMITTERS.get(type(op))
        if emit is None:
            raise IRError(f"LLVM IR text: no instruction for operation {op.name}")
        emit(writer, op)
    return writer.lines


def _merges(writer: FunctionWriter, block: Block) -> Iterator[str]:
    """What a block's arguments are, by where control came from."""
    for number, argument in enumerate(block.args):
        pairs = [f"[{values[number]}, %{label}]" for label, values in writer.edges[block]]
        yield f"  {writer.name(argument)} = phi {type_text(argument.type)} {', '.join(pairs)}"


def _arguments(op: llvm.FuncOp, writer: FunctionWriter) -> str:
    facts = op.arg_attrs.data if op.arg_attrs is not None else ()
    texts: list[str] = []
    for number, argument in enumerate(op.body.blocks[0].args):
        described = facts[number] if number < len(facts) else DictionaryAttr({})
        names = "".join(f"{fact.removeprefix('llvm.')} " for fact in described.data)
        texts.append(f"{type_text(argument.type)} {names}{writer.name(argument)}")
    return ", ".join(texts)


def _facts(op: llvm.FuncOp) -> str:
    facts = ""
    for name in ("nvvm.reqntid", "nvvm.cluster_dim"):
        sizes = op.attributes.get(name)
        if isinstance(sizes, DenseArrayBase):
            facts += f' "{name}"="{",".join(str(extent) for extent in sizes.get_values())}"'
    blocks = op.attributes.get(MIN_BLOCKS)
    if isinstance(blocks, IntegerAttr):
        facts += f' "{MIN_BLOCKS}"="{blocks.value.data}"'
    return facts
