"""What is in a stored kernel, and what it can reach."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.artefact import load_kernel_file
from sparsert_ir.cli.report import Report, count
from sparsert_ir.runtime.cubin import code_size, register_count

if TYPE_CHECKING:
    from sparsert_ir.artefact.saved_kernel import SavedKernel


def artefact_report(path: Path) -> Report:
    """Raises ArtefactError for what is no stored kernel."""
    saved = load_kernel_file(path)
    manifest, signature = saved.manifest, saved.manifest.signature
    machine = _gpu_code(saved) if saved.binary.is_gpu else _cpu_code(saved)
    document = {"kind": "artefact", **asdict(manifest), **machine}
    facts = [
        ("kernel", f"@{saved.name} for {saved.target}"),
        (
            "computes",
            f"y{list(signature.y_shape)} from x{list(signature.x_shape)}, {signature.dtype}",
        ),
        ("residual", "yes" if signature.has_residual else "no"),
        ("schedule", saved.schedule.words() if saved.schedule else "not recorded"),
        *(_gpu_facts(saved, machine) if saved.binary.is_gpu else _cpu_facts(saved, machine)),
        ("matrix", ", ".join(f"{name} {value}" for name, value in manifest.matrix.items())),
        ("made with", ", ".join(f"{name} {one}" for name, one in manifest.versions.items())),
    ]
    return Report(document, title=str(path), facts=facts)


def _gpu_code(saved: "SavedKernel") -> dict[str, Any]:
    binary = saved.binary
    return {
        "ptx_bytes": len(binary.ptx),
        "code_bytes": code_size(binary.cubin, binary.name) if binary.cubin else None,
        "registers": register_count(binary.cubin) if binary.cubin else None,
        "constant_bytes": sum(array.nbytes for _, array in binary.constants),
        "floor_us": _floor_us(saved),
    }


def _floor_us(saved: "SavedKernel") -> float | None:
    """Of a product whose matrix the manifest describes as `Kernel.save` does."""
    from sparsert_ir.cost_model.limits import floor_us, limits_of

    x_shape, matrix = saved.manifest.signature.x_shape, saved.manifest.matrix
    nonzeros = matrix.get("nonzeros")
    if len(x_shape) != 2 or type(nonzeros) is not int:
        return None
    rows, depth = matrix["shape"]
    dtype = saved.manifest.signature.dtype
    return floor_us(limits_of(saved.target), (rows, depth), nonzeros, x_shape[1], dtype)


def _gpu_facts(saved: "SavedKernel", machine: dict[str, Any]) -> list[tuple[str, str]]:
    launch, code = saved.manifest.launch, "none: the driver makes it at the first call"
    if machine["code_bytes"] is not None:
        code = f"{count(machine['code_bytes'])} bytes for {saved.binary.cubin_arch}"
    if machine["registers"] is not None:
        code += f", {machine['registers']} registers per thread"
    facts = [
        ("launch", f"grid {launch.grid}, block {launch.block}, {launch.shared_bytes} bytes shared"),
        ("machine code", code),
        ("PTX", f"{count(machine['ptx_bytes'])} bytes"),
    ]
    if machine["constant_bytes"]:
        facts.append(("packed arrays", f"{count(machine['constant_bytes'])} bytes"))
    if machine["floor_us"] is not None:
        from sparsert_ir.cost_model.limits import limits_of

        facts.append(("floor", f"{machine['floor_us']:.2f} us ({limits_of(saved.target).name})"))
    return facts


def _cpu_code(saved: "SavedKernel") -> dict[str, Any]:
    return {"llvm_ir_bytes": len(saved.binary.llvm_ir)}


def _cpu_facts(saved: "SavedKernel", machine: dict[str, Any]) -> list[tuple[str, str]]:
    threads = saved.manifest.threads
    return [
        ("threads", f"{threads} of a call"),
        ("LLVM IR", f"{count(machine['llvm_ir_bytes'])} bytes, the packed matrix included"),
    ]
