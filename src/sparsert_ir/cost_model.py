"""Which schedule to use when the user gives none."""

from sparsert_ir.schedule import Schedule


def default_gpu_schedule(shape: tuple[int, int], columns: int, dtype: str) -> Schedule:
    """A schedule for `y[M, N] = W[M, K] @ x[K, N]` on a GPU."""
    rows = shape[0]
    width = 2 if dtype == "f16" else 1
    threads = 32 if columns <= 64 else 64
    if columns >= 4096 and rows >= 256:
        return Schedule(
            rows_per_panel=48, threads=256, columns_per_thread=width, stores="streaming"
        )
    if columns >= 2048:
        return Schedule(rows_per_panel=min(rows, 64), threads=64, columns_per_thread=width)
    groups = 16 if columns <= 64 else 4
    height = 16 if columns <= 64 else 4
    return Schedule(
        rows_per_panel=height, threads=threads, k_groups=groups, columns_per_thread=width
    )


def default_cpu_schedule(shape: tuple[int, int], columns: int, dtype: str) -> Schedule:
    """A schedule for a CPU: one row at a time over as many columns as fill the registers."""
    width = 1
    while width * 2 <= min(columns, 128):
        width *= 2
    accumulation = "f32" if dtype == "f16" else "plain"
    return Schedule(
        lowering="data",
        rows_per_panel=1,
        threads=1,
        columns_per_thread=width,
        accumulation=accumulation,
    )
