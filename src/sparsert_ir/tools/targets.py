"""What `sparsert-opt -t` prints: MLIR, LLVM IR text, PTX, or a report."""

import re
from dataclasses import dataclass
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.printer import Printer

from sparsert_ir.errors import ArgumentError
from sparsert_ir.tools.pipeline_spec import parse_specs

_OPTIONS = {"mlir": (), "llvm": (), "ptx": ("arch",), "report": ()}
_DEFAULT_ARCHITECTURE = "sm_90"


@dataclass(frozen=True)
class OutputFormat:
    """A name out of mlir, llvm, ptx and report; `architecture` is for ptx."""

    name: str
    architecture: str = _DEFAULT_ARCHITECTURE

    @classmethod
    def parse(cls, text: str) -> "OutputFormat":
        """`ptx{arch=sm_90}`; ArgumentError for anything unknown."""
        specs = parse_specs(text)
        if len(specs) != 1 or specs[0].name not in _OPTIONS:
            raise ArgumentError(f"-t: expected one of {', '.join(_OPTIONS)}, got {text!r}")
        spec = specs[0]
        for option in spec.parameters:
            if option not in _OPTIONS[spec.name]:
                raise ArgumentError(f"-t {spec.name} has no option {option!r}")
        architecture = spec.parameters.get("arch", (_DEFAULT_ARCHITECTURE,))
        text = str(architecture[0]) if len(architecture) == 1 else ""
        if not re.fullmatch(r"sm_[0-9]+[af]?", text):
            raise ArgumentError(f"-t ptx: expected an architecture such as sm_90, got {text!r}")
        return cls(spec.name, text)

    def render(self, module: ModuleOp, generic: bool) -> str:
        """The module in this format; SparsertError where its form does not allow it."""
        match self.name:
            case "llvm":
                return "\n".join(_llvm_text(part) for part in _parts(module))
            case "ptx":
                return "\n".join(self._ptx(part) for part in _device_modules(module))
            case "report":
                from sparsert_ir.tools.report import report

                return report(module)
            case _:
                return print_ir(module, generic)

    def _ptx(self, device_module: Operation) -> str:
        from sparsert_ir.emit.checks import check_instructions
        from sparsert_ir.emit.ptx import llvm_to_ptx

        text = _llvm_text(device_module)
        check_instructions(device_module, self.architecture)
        return llvm_to_ptx(text, self.architecture)


def print_ir(module: ModuleOp, generic: bool) -> str:
    stream = StringIO()
    Printer(stream, print_generic_format=generic).print_op(module)
    return stream.getvalue() + "\n"


def _llvm_text(part: Operation) -> str:
    from sparsert_ir.emit.checks import check_module
    from sparsert_ir.emit.llvm_text import emit_llvm

    check_module(part)
    return emit_llvm(part)


def _parts(module: ModuleOp) -> list[Operation]:
    """The modules for the GPU, or the whole module where it is for the host."""
    return _find_device_modules(module) or [module]


def _device_modules(module: ModuleOp) -> list[Operation]:
    found = _find_device_modules(module)
    if not found:
        raise ArgumentError("-t ptx: expected a gpu.module; run --sparsert-gpu-pipeline first")
    return found


def _find_device_modules(module: ModuleOp) -> list[Operation]:
    from sparsert_ir.dialects import gpu

    return [op for op in module.body.block.ops if isinstance(op, gpu.ModuleOp)]
