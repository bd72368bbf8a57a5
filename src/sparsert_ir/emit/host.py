"""LLVM IR text becomes machine code of this computer's processor, in this process."""

import ctypes
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sparsert_ir.emit.ptx import parse_assembly
from sparsert_ir.errors import CodegenError

_HALF = re.compile(r"(?<![@%\w.$])half\b")
"""LLVM's f16, as a type."""


def _converts_half(features: str) -> bool:
    """Whether a processor has instructions for f16: else LLVM calls functions of the compiler's
    runtime library, which are not there in code compiled into a running process.
    """
    known = set(features.split(","))
    return "+f16c" in known or "+neon" in known or "+avx512f" in known


@dataclass(frozen=True)
class HostCode:
    """Compiled code; it lives as long as this object.

    code_bytes: of the functions' instructions.
    """

    code_bytes: int
    _engine: Any = field(repr=False)

    def has_function(self, name: str) -> bool:
        return self._engine.get_function_address(name) != 0

    def address(self, name: str) -> int:
        """Of `@name`; CodegenError if there is none."""
        address: int = self._engine.get_function_address(name)
        if address == 0:
            raise CodegenError(f"expected a function @{name} in the compiled code")
        return address

    def function(self, name: str, argument_count: int) -> Callable[..., None]:
        """`@name` as a Python function of addresses and integers; CodegenError if there is none.

        Other Python threads run meanwhile.
        """
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * argument_count)
        return kind(self.address(name))


def compile_for_host(text: str, *, loops: bool) -> HostCode:
    """Compile a host module for the processor that this runs on.

    loops: whether the work is done in loops, which LLVM's middle end improves; straight-line code
           gains nothing from it and takes a time that grows with its square.
    Raises CodegenError if LLVM refuses the text.
    """
    binding = _binding()
    module, machine = _host_module(text, loops=loops)
    objects: list[bytes] = []
    engine = binding.create_mcjit_compiler(module, machine)

    def keep(module: object, code: bytes) -> None:
        objects.append(code)

    engine.set_object_cache(keep)
    engine.finalize_object()
    return HostCode(sum(map(_text_bytes, objects)), engine)


def _text_bytes(code: bytes) -> int:
    """Of the sections of an object file that hold instructions."""
    held = _binding().object_file.ObjectFileRef.from_data(code)
    return sum(section.size() for section in held.sections() if section.is_text())


def host_assembly(text: str, *, loops: bool) -> str:
    """The assembly of what `compile_for_host` makes of `text`."""
    module, machine = _host_module(text, loops=loops)
    return machine.emit_assembly(module)


def _host_module(text: str, *, loops: bool) -> tuple[Any, Any]:
    binding = _binding()
    cpu, features = host_description()
    if _HALF.search(text) and not _converts_half(features):
        raise CodegenError(
            "expected a processor that converts f16 (on x86 those with F16C, from 2013 on), got"
            f" {cpu}; use f32 or bf16"
        )
    module = parse_assembly(text)
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=cpu, features=features, opt=3 if loops else 0, jit=True
    )
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    if loops:
        options = binding.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = False
        builder = binding.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
    return module, machine


@functools.cache
def host_description() -> tuple[str, str]:
    """LLVM's names of this processor and of the instruction sets that it has."""
    binding = _binding()
    return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


@functools.cache
def _binding() -> Any:
    import llvmlite.binding as binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding
