"""What GPUs can do at most: the floor under the time of a product, whatever the kernel.

Numbers: NVIDIA's data sheets and the CUDA C++ Programming Guide (throughput of native arithmetic
instructions). Only ratios and rough sizes depend on them, never results.
"""

from dataclasses import dataclass

from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.errors import ArgumentError

LAUNCH_US = 0.8
"""Microseconds of an empty kernel replayed from a CUDA graph (measured on an H200)."""


@dataclass(frozen=True)
class GpuLimits:
    """Peak rates of one GPU.

    fma_per_clock:    f32 multiply-adds of one multiprocessor per clock.
    f16_factor:       f16 multiply-adds (in pairs) per f32 one.
    bytes_per_second: of device memory.
    dense_flops:      peak of dense matrix products by math mode, in operations per second.
    """

    name: str
    multiprocessors: int
    clock_ghz: float
    fma_per_clock: int
    f16_factor: int
    bytes_per_second: float
    l2_bytes: int
    dense_flops: dict[str, float]

    def multiply_add_us(self, multiply_adds: int, dtype: str) -> float:
        """Microseconds that so many multiply-adds take if no lane is ever idle."""
        factor = self.f16_factor if dtype == "f16" else 1
        per_us = self.multiprocessors * self.fma_per_clock * factor * self.clock_ghz * 1e3
        return multiply_adds / per_us

    def bytes_us(self, count: float) -> float:
        """Microseconds to move so many bytes to or from device memory."""
        return count / self.bytes_per_second * 1e6


def floor_us(
    limits: GpuLimits, shape: tuple[int, int], nonzeros: int, columns: int, dtype: str
) -> float:
    """Microseconds below which `y[M, N] = W[M, K] @ x[K, N]` cannot be, x and y in device memory.

    The larger of the multiply-adds and the bytes of x and y, and a launch. Arrays that stay in the
    L2 cache between launches can go below the part of the bytes.
    """
    moved = sum(shape) * columns * ELEMENT_BYTES[dtype]
    arithmetic = limits.multiply_add_us(nonzeros * columns, dtype)
    return max(arithmetic, limits.bytes_us(moved)) + LAUNCH_US


GPUS: dict[str, GpuLimits] = {
    "sm_70": GpuLimits(
        "V100", 80, 1.53, 64, 2, 0.90e12, 6 * 2**20, {"f32": 15.7e12, "f16": 125e12}
    ),
    "sm_72": GpuLimits(
        "AGX Xavier", 8, 1.38, 64, 2, 0.137e12, 2**19, {"f32": 1.4e12, "f16": 11e12}
    ),
    "sm_75": GpuLimits("T4", 40, 1.59, 64, 2, 0.32e12, 4 * 2**20, {"f32": 8.1e12, "f16": 65e12}),
    "sm_80": GpuLimits(
        "A100",
        108,
        1.41,
        64,
        4,
        1.55e12,
        40 * 2**20,
        {"f32": 19.5e12, "tf32": 156e12, "f16": 312e12, "bf16": 312e12},
    ),
    "sm_86": GpuLimits(
        "A10",
        72,
        1.70,
        128,
        1,
        0.60e12,
        6 * 2**20,
        {"f32": 31.2e12, "tf32": 62.5e12, "f16": 125e12, "bf16": 125e12},
    ),
    "sm_87": GpuLimits(
        "AGX Orin",
        16,
        1.30,
        128,
        1,
        0.205e12,
        4 * 2**20,
        {"f32": 5.3e12, "tf32": 21e12, "f16": 42e12, "bf16": 42e12},
    ),
    "sm_89": GpuLimits(
        "L40S",
        142,
        2.52,
        128,
        1,
        0.864e12,
        96 * 2**20,
        {"f32": 91.6e12, "tf32": 183e12, "f16": 362e12, "bf16": 362e12},
    ),
    "sm_90": GpuLimits(
        "H200",
        132,
        1.98,
        128,
        2,
        4.3e12,
        50 * 2**20,
        {"f32": 67e12, "tf32": 495e12, "f16": 990e12, "bf16": 990e12},
    ),
    "sm_100": GpuLimits(
        "B200",
        148,
        1.97,
        128,
        2,
        7.7e12,
        126 * 2**20,
        {"f32": 75e12, "tf32": 1.1e15, "f16": 2.25e15, "bf16": 2.25e15},
    ),
}
"""One GPU for each architecture; a data centre's where there are several."""


def limits_of(architecture: str) -> GpuLimits:
    """The GPU that stands for an architecture ("sm_90", "sm_90a"); ArgumentError if unknown."""
    known = GPUS.get(architecture.removesuffix("a").removesuffix("f"))
    if known is None:
        raise ArgumentError(
            f"architecture: expected one of {', '.join(GPUS)}, got {architecture!r}"
        )
    return known
