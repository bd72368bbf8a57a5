"""What is known about a kernel's time and size before it runs."""

from dataclasses import dataclass

from sparsert_ir.cost_model.budget import CodeEstimate
from sparsert_ir.cost_model.cpu import CpuFacts, predict_cpu
from sparsert_ir.cost_model.gpu import Product, predict_us, time_parts
from sparsert_ir.cost_model.limits import floor_us, limits_of
from sparsert_ir.kernel import Kernel


@dataclass(frozen=True)
class Numbers:
    """Microseconds per launch, all by the cost model.

    floor:  below which no kernel can be; None for a CPU, whose memory nobody described.
    parts:  of the prediction, by name; empty for a CPU.
    """

    predicted: float
    floor: float | None
    parts: dict[str, float]
    gpu: str

    @classmethod
    def of(cls, kernel: Kernel) -> "Numbers":
        layer, schedule = kernel.compilation.layer, kernel.schedule
        matrix, n, dtype = layer.matrix, layer.columns, layer.dtype
        if not kernel.compilation.is_gpu:
            facts = CpuFacts(*matrix.shape, n, matrix.nonzeros, dtype)
            return cls(predict_cpu(facts, schedule) * 1e6, None, {}, "")
        limits = limits_of(kernel.target)
        product = Product.of(matrix, n, dtype)
        return cls(
            predict_us(schedule, product, limits),
            floor_us(limits, matrix.shape, matrix.nonzeros, n, dtype),
            time_parts(schedule, product, limits),
            limits.name,
        )


def number_facts(kernel: Kernel, numbers: Numbers) -> list[tuple[str, str]]:
    """Names and values for people."""
    stats = kernel.stats
    per = "launch" if kernel.compilation.is_gpu else "call, on one thread"
    found = [("predicted time", f"{numbers.predicted:.2f} us per {per}, by the cost model")]
    if numbers.floor is not None:
        share = numbers.floor / numbers.predicted
        found.append(
            ("floor", f"{numbers.floor:.2f} us on {numbers.gpu}: {share:.0%} of the prediction")
        )
    found.append(("multiply-adds", f"{stats.multiply_adds:,} ({stats.nonzeros:,} nonzeros x N)"))
    if stats.loads:
        share = stats.nonzeros / stats.loads
        found.append(("loads of x", f"{stats.loads:,} in the code, {share:.1f} nonzeros for each"))
    if stats.packed_bytes:
        found.append(("packed arrays", f"{stats.packed_bytes:,} bytes"))
    found.append(("code", _code(kernel)))
    if kernel.compilation.is_gpu:
        unknown = "known once it is assembled on a GPU"
        found.append(("registers", unknown if stats.registers is None else str(stats.registers)))
        found.append(("launch", f"grid {kernel.grid}, block {kernel.block}"))
    else:
        found.append(("threads", str(kernel.threads)))
    found.append(("compiled in", f"{stats.seconds * 1e3:,.0f} ms"))
    return found


def _code(kernel: Kernel) -> str:
    stats = kernel.stats
    if stats.code_bytes is not None:
        return f"{stats.code_bytes:,} bytes of machine code"
    if kernel.schedule.lowering == "data":
        return "a loop; its size is known once it is assembled on a GPU"
    size = CodeEstimate(stats.nonzeros, stats.loads).code_bytes
    return f"about {size / 1024:,.0f} KB of multiply-adds and loads, before it is assembled"
