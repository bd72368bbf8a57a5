"""The schedules worth considering for a product: every knob, without what cannot be fast.

`gpu_candidates` leaves out only what leaves a GPU empty, repeats another one or is illegal for any
matrix; `best_candidates` asks the model.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from sparsert_ir.cost_model.cpu import CpuFacts, predict_cpu
from sparsert_ir.cost_model.gpu import Product, predict_us
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.element_types import ELEMENT_BYTES, default_accumulation, fastest_accumulation
from sparsert_ir.gpu.shared_memory import (
    inbox_bytes,
    inbox_signal_bytes,
    partial_sum_bytes,
    staged_bytes,
    sum_bytes,
)
from sparsert_ir.gpu_facts import (
    ASYNC_COPY_BYTES,
    ASYNC_COPY_FROM,
    BLOCK_THREADS,
    BULK_COPY_BYTES,
    BULK_COPY_FROM,
    CLUSTERS_FROM,
    MMA_TILE,
    OVERLAP_FROM,
    STATIC_SHARED_MEMORY,
    WARP,
    architecture_number,
    has_tensor_cores,
    shared_memory_of,
)
from sparsert_ir.layout.packing import MMA_LINES
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Accumulation, Schedule
from sparsert_ir.schedules.code import LARGE_N
from sparsert_ir.schedules.cpu import cpu_candidates
from sparsert_ir.schedules.data import holds_all
from sparsert_ir.schedules.default import default_lowering, gpu_schedule_for

_MULTIPROCESSORS = 132
_FEWEST_WARPS, _MOST_WARPS = 2 * _MULTIPROCESSORS, 512 * _MULTIPROCESSORS
_HEIGHTS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_PANEL_COUNTS = (11, 22, 33, 44, 66, 132)
_K_GROUPS = (1, 2, 4, 8, 16)
_THREADS = (32, 64, 128, 256, 512)
_COLUMN_TILES = (1, 2, 4, 8, 16)
_PANELS_PER_BLOCK = (1, 2, 4, 8)
_BUFFERS = ((2, 32), (3, 16), (3, 32), (4, 16))
"""Stages, and rows of x in each."""
_LOWEST_STAGED_PANEL, _FEWEST_STAGED_THREADS = 24, 128
_STREAMING_BYTES = 16 * 2**20
"""x and y together; below it the L2 cache keeps both whatever the stores say."""


def gpu_candidates(
    shape: tuple[int, int],
    columns: int,
    dtype: str,
    *,
    overlapped: bool = False,
    clusters: bool = False,
) -> list[Schedule]:
    """Candidates for an M x K matrix times K x `columns` as code, in no order of merit.

    overlapped: whether launches overlap, which sm_90 and later can.
    clusters:   whether blocks may share K groups, which sm_90 and later can, too.
    """
    found = dict.fromkeys(_grid(shape, columns, dtype))
    if clusters:
        found |= dict.fromkeys(_in_clusters(list(found), shape, columns, dtype))
    if not overlapped:
        return list(found)
    return [replace(one, launch="overlapped") for one in found]


def staged_candidates(
    shape: tuple[int, int], columns: int, dtype: str, architecture: str
) -> list[Schedule]:
    """Candidates with x in shared memory, which several tall panels of a block share; for large N,
    where taking in x is what limits others.
    """
    width = 2 if dtype == "f16" else 1
    found: list[Schedule] = []
    size = ELEMENT_BYTES[dtype]
    whole_rows = columns * size % BULK_COPY_BYTES == 0
    kinds: list[Literal["async", "bulk"]] = ["async"]
    if whole_rows and architecture_number(architecture) >= BULK_COPY_FROM:
        kinds.append("bulk")
    for height, side, threads, (stages, rows), staging in itertools.product(
        _heights(shape[0]), (1, 2, 3, 4, 8), (32, 64, 96, 128, 192, 256, 352, 512), _BUFFERS, kinds
    ):
        one = Schedule(
            rows_per_panel=height,
            columns_per_thread=width,
            threads=threads,
            panels_per_block=side,
            staging=staging,
            stages=stages,
            rows_per_stage=rows,
            stores="streaming",
            accumulation=fastest_accumulation(dtype),
        )
        held = staged_bytes(one, size)
        whole_copies = columns * size % min(ASYNC_COPY_BYTES) == 0
        tall = height >= _LOWEST_STAGED_PANEL and one.block_threads >= _FEWEST_STAGED_THREADS
        fits = held <= shared_memory_of(architecture) and whole_copies
        if tall and fits and _is_sensible(one, shape, columns, dtype):
            found.append(one)
    return found


def data_candidates(
    shape: tuple[int, int],
    columns: int,
    dtype: str,
    architecture: str,
    *,
    overlapped: bool = False,
) -> list[Schedule]:
    """Candidates for a GPU with the matrix as data."""
    base = Schedule(
        lowering="data",
        accumulation=default_accumulation(dtype),
        launch="overlapped" if overlapped else "serial",
    )
    found = list(_in_lanes(base, columns))
    if has_tensor_cores(architecture, dtype):
        found += _on_tensor_cores(base, columns)
    walks = [replace(one, panels_per_warp=turns) for one in found for turns in (2, 4, 8)]
    return found + [one for one in walks if _can_walk(one, shape, dtype, architecture)]


def _in_lanes(base: Schedule, columns: int) -> Iterator[Schedule]:
    widths = [width for width in (1, 2, 4, 8, 16) if width < 2 * columns]
    for rows, width, groups, threads, chunk, stages in itertools.product(
        (1, 2, 4, 8, 16, 32), widths, (1, 2, 4), (128, 256, 512, 1024), (2, 4, 8), (2, 4, 8)
    ):
        if rows * groups <= WARP and (groups == 1 or width * groups < 2 * columns):
            one = replace(base, rows_per_panel=rows, columns_per_thread=width, column_groups=groups)
            yield replace(one, threads=threads, chunk=chunk, stages=stages)


def _on_tensor_cores(base: Schedule, columns: int) -> Iterator[Schedule]:
    base = replace(base, instruction="mma", columns_per_thread=MMA_TILE)
    for rows, groups, threads, chunk, stages in itertools.product(
        (1, 2, 4, 8), (1, 2, 4), (128, 256, 512, 704, 896), (4, 8), (2, 3, 4)
    ):
        if groups == 1 or MMA_TILE * groups < 2 * columns:
            one = replace(base, rows_per_panel=rows, column_groups=groups)
            yield replace(one, threads=threads, chunk=chunk, stages=stages)


def _can_walk(one: Schedule, shape: tuple[int, int], dtype: str, architecture: str) -> bool:
    """Whether warps may take panels in turn, and some warp has as many as it may take."""
    panels = -(-shape[0] // one.rows_per_panel)
    warps = one.threads // WARP
    enough = (one.panels_per_warp - 1) * warps < panels
    return enough and holds_all(one, shape[1], dtype, shared_memory_of(architecture))


def sampled(candidates: list[Schedule], seed: int) -> list[Schedule]:
    """The candidates in an order that `seed` decides: any prefix is a fair sample."""
    return random.Random(seed).sample(candidates, len(candidates))


def best_candidates(
    matrix: SparseMatrix, columns: int, dtype: str, target: str, count: int
) -> list[Schedule]:
    """The `count` candidates that look fastest: on a GPU by `sparsert_ir.cost_model.gpu`, and among
    the neighbours of the compiler's own choice; on a CPU by `sparsert_ir.cost_model.cpu`.

    target: "cpu" or an architecture.
    """
    if target == "cpu":
        facts = CpuFacts(*matrix.shape, columns, matrix.nonzeros, dtype)
        on_cpu = sorted(cpu_candidates(facts), key=lambda one: predict_cpu(facts, one))
        return on_cpu[:count]
    product = Product.of(matrix, columns, dtype)
    limits = limits_of(target)
    overlapped = architecture_number(target) >= OVERLAP_FROM
    lowering = default_lowering(matrix.shape, matrix.nonzeros, columns)
    if lowering == "data":
        # The model does not tell them apart: what is near the default, and a fair sample.
        default = gpu_schedule_for(matrix, columns, dtype, lowering, target)
        found = data_candidates(matrix.shape, columns, dtype, target, overlapped=overlapped)
        near = data_neighbours(default, matrix.shape, columns, dtype, target)
        return taken_in_turn(near, sampled(found, seed=0))[:count]
    clusters = architecture_number(target) >= CLUSTERS_FROM
    found = gpu_candidates(matrix.shape, columns, dtype, overlapped=overlapped, clusters=clusters)
    if overlapped and columns >= LARGE_N:
        # Loads that need not wait for the kernel before can be worth more than the overlap.
        found += gpu_candidates(matrix.shape, columns, dtype)
    found += [replace(one, permutation="clustered") for one in found]
    ordered = sorted(found, key=lambda one: predict_us(one, product, limits))
    staged: list[Schedule] = []
    if columns >= LARGE_N and architecture_number(target) >= ASYNC_COPY_FROM:
        staged = staged_candidates(matrix.shape, columns, dtype, target)
        staged += [replace(one, permutation="clustered") for one in staged]
        staged.sort(key=lambda one: predict_us(one, product, limits))
    default = gpu_schedule_for(matrix, columns, dtype, lowering, target)
    near = neighbours(default, matrix.shape, columns, dtype, clusters=clusters)
    near.sort(key=lambda one: predict_us(one, product, limits))
    return taken_in_turn(diverse(ordered), near, diverse(staged))[:count]


def neighbours(
    schedule: Schedule,
    shape: tuple[int, int],
    columns: int,
    dtype: str,
    *,
    clusters: bool = False,
) -> list[Schedule]:
    """One knob changed by one step; what is not sensible for the product is left out.

    clusters: also, where blocks are few, clusters of any size: with as many K groups in each block
              or in all, or with as many blocks of taller panels.
    """
    found: list[Schedule] = []
    for knob in ("rows_per_panel", "k_groups", "threads", "column_tiles", "panels_per_block"):
        value = getattr(schedule, knob)
        found += (replace(schedule, **{knob: other}) for other in (2 * value, value // 2) if other)
    for width in _widths(columns, dtype):
        found.append(replace(schedule, columns_per_thread=width))
    for accumulation in _accumulations(dtype):
        found.append(replace(schedule, accumulation=accumulation))
    found.append(
        replace(schedule, stores="cached" if schedule.stores == "streaming" else "streaming")
    )
    other = "balanced" if schedule.permutation == "clustered" else "clustered"
    found.append(replace(schedule, permutation=other))
    if schedule.launch == "overlapped":
        found.append(replace(schedule, launch="serial"))
    if clusters:
        found += _in_clusters([schedule], shape, columns, dtype)
    return [
        one
        for one in dict.fromkeys(found)
        if one != schedule and _is_sensible(one, shape, columns, dtype)
    ]


def data_neighbours(
    schedule: Schedule, shape: tuple[int, int], columns: int, dtype: str, architecture: str
) -> list[Schedule]:
    """One knob of a schedule with the matrix as data changed by one step; what would walk over
    panels without all of x in shared memory is left out.
    """
    limits = {
        "rows_per_panel": (1, WARP // schedule.column_groups),
        "chunk": (1, 8),
        "stages": (1, 16),
        "threads": (WARP, BLOCK_THREADS),
        "panels_per_warp": (1, shape[0]),
        "column_groups": (1, WARP // schedule.rows_per_panel),
        "columns_per_thread": (1, min(16, 2 * columns - 1)),
    }
    if schedule.instruction == "mma":
        limits |= {"rows_per_panel": (1, MMA_LINES), "chunk": (4, 8), "column_groups": (1, 4)}
        del limits["columns_per_thread"]
    found = [
        replace(schedule, **{knob: value})
        for knob, (least, most) in limits.items()
        for value in (getattr(schedule, knob) // 2, getattr(schedule, knob) * 2)
        if least <= value <= most
    ]
    return [
        one
        for one in found
        if one.panels_per_warp == 1 or _can_walk(one, shape, dtype, architecture)
    ]


def taken_in_turn(*lists: list[Schedule]) -> list[Schedule]:
    """Every list's best before any's second best, each schedule once."""
    turns = itertools.zip_longest(*lists)
    return list(dict.fromkeys(one for turn in turns for one in turn if one is not None))


def diverse(ordered: list[Schedule]) -> list[Schedule]:
    """The same schedules, but after the first of each height, K split and launch its variants wait.

    The model tells heights and splits apart better than the knobs that change little, so a short
    list should not hold ten variants of one of them.
    """
    seen: dict[tuple[int, int, int, str], int] = {}
    ranks: list[tuple[int, int]] = []
    for position, one in enumerate(ordered):
        key = (one.rows_per_panel, one.k_groups, one.cluster, one.launch)
        seen[key] = seen.get(key, 0) + 1
        ranks.append((position * seen[key], position))
    return [ordered[position] for _, position in sorted(ranks)]


def _grid(shape: tuple[int, int], columns: int, dtype: str) -> Iterator[Schedule]:
    for height, groups, threads, width, tiles, side, accumulation in itertools.product(
        _heights(shape[0]),
        _K_GROUPS,
        _THREADS,
        _widths(columns, dtype),
        _COLUMN_TILES,
        _PANELS_PER_BLOCK,
        _accumulations(dtype),
    ):
        base = Schedule(
            rows_per_panel=height,
            k_groups=groups,
            threads=threads,
            columns_per_thread=width,
            column_tiles=tiles,
            panels_per_block=side,
            accumulation=accumulation,
        )
        if not _is_sensible(base, shape, columns, dtype):
            continue
        yield base
        if columns > threads * width * tiles and height * side < shape[0]:
            yield replace(base, block_order="panels")
        if _moved_bytes(shape, columns, dtype) >= _STREAMING_BYTES:
            yield replace(base, stores="streaming")


def _in_clusters(
    schedules: list[Schedule], shape: tuple[int, int], columns: int, dtype: str
) -> Iterator[Schedule]:
    """Variants in clusters of schedules with few blocks: as many K groups in each block, or in all,
    or as many blocks of taller panels.
    """
    for one in schedules:
        if _block_count(one, shape, columns) > _MULTIPROCESSORS:
            continue
        for cluster in (2, 4, 8):
            variants = [
                replace(one, cluster=cluster),
                replace(one, cluster=cluster, k_groups=max(1, one.k_groups // cluster)),
                replace(one, cluster=cluster, rows_per_panel=one.rows_per_panel * cluster),
            ]
            yield from (v for v in variants if _is_sensible(v, shape, columns, dtype))


def _block_count(one: Schedule, shape: tuple[int, int], columns: int) -> int:
    panels = -(-shape[0] // one.rows_per_panel)
    tiles = -(-columns // (one.threads * one.columns_per_thread))
    blocks = -(-panels // one.panels_per_block) * -(-tiles // one.column_tiles)
    return blocks * one.cluster


def _heights(rows: int) -> list[int]:
    """Panel heights: round ones, and those that deal the panels evenly to the multiprocessors."""
    even = [-(-rows // count) for count in _PANEL_COUNTS if rows >= 2 * count]
    return sorted({height for height in (*_HEIGHTS, *even) if height <= min(rows, 128)}) or [rows]


def _widths(columns: int, dtype: str) -> tuple[int, ...]:
    """Columns per thread that can be loaded at once, whatever the row."""
    if dtype == "f16" and columns % 2 == 0:
        return (2, 4) if columns % 4 == 0 else (2,)
    return tuple(width for width in (1, 2, 4) if columns % width == 0)


def _accumulations(dtype: str) -> tuple[Accumulation, ...]:
    return ("plain", "folded", "f32") if dtype == "f16" else (default_accumulation(dtype),)


def _moved_bytes(shape: tuple[int, int], columns: int, dtype: str) -> int:
    return sum(shape) * columns * ELEMENT_BYTES[dtype]


def _is_sensible(one: Schedule, shape: tuple[int, int], columns: int, dtype: str) -> bool:
    panels = -(-shape[0] // one.rows_per_panel)
    across = one.threads * one.columns_per_thread
    tiles = -(-columns // across)
    if one.block_threads > BLOCK_THREADS or one.column_tiles > tiles:
        return False
    if one.panels_per_block > panels or (one.k_parts > 1 and shape[1] < 4 * one.k_parts):
        return False
    if one.cluster > 1 and (one.column_tiles > 1 or one.rows_per_panel < one.cluster):
        return False
    if across > columns and one.threads > WARP and across - columns >= one.columns_per_thread * 32:
        return False
    if one.rows_per_panel * one.columns_per_thread > (256 if dtype == "f16" else 128):
        return False
    size = sum_bytes(one, dtype)
    received = inbox_bytes(one, size) + inbox_signal_bytes(one)
    if partial_sum_bytes(one, size) + received > STATIC_SHARED_MEMORY:
        return False
    warps = _block_count(one, shape, columns) * one.block_threads // WARP
    return _enough(warps, panels * columns) and warps <= _MOST_WARPS


def _enough(warps: int, work: int) -> bool:
    """Whether a GPU is filled, or as full as a product this small can make it."""
    return warps >= min(_FEWEST_WARPS, max(1, work // WARP // 4))
