"""A schedule: every choice that decides how one product with a sparse matrix runs.

A schedule never changes what is computed, only the order of the additions and how fast they run.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, cast

from sparsert_ir.errors import ScheduleError

Lowering: TypeAlias = Literal["code", "data"]
Accumulation: TypeAlias = Literal["plain", "folded", "f32"]

CHOICES: dict[str, tuple[str, ...]] = {
    "lowering": ("code", "data"),
    "accumulation": ("plain", "folded", "f32"),
    "permutation": ("balanced", "clustered"),
    "block_order": ("columns", "panels"),
    "stores": ("cached", "streaming"),
    "launch": ("serial", "overlapped"),
    "staging": ("none", "copy", "async", "bulk"),
    "instruction": ("fma", "mma"),
}
"""Knobs that are words, and the words."""
_LARGEST = 2**31 - 1
"""Of any knob, so that sums and products of knobs stay numbers that the IR can hold."""
_MOST_CHAINS = 4
"""Nonzeros that are read together (`row_packing.GROUP`): each may go to a sum of its own."""
_CLUSTERS = (1, 2, 4, 8)
"""Blocks in a cluster; more than 8 are not to be had everywhere (`gpu_facts.CLUSTER_BLOCKS`)."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How `y = act(W @ x + bias)` is mapped to threads. A knob that means nothing for the target
    and lowering must be left at its default (see `sparsert_ir.schedules.knobs`).

    lowering:           "code" bakes the matrix into instructions, "data" streams it from memory.
    rows_per_panel:     rows whose sums one thread holds in registers.
    permutation:        code only: which rows share a panel; in "balanced" panels all have about as
                        many nonzeros, in "clustered" ones rows also share columns of x.
    k_groups:           code on a GPU only: threads of a block that share a panel's nonzeros; their
                        sums are added in a fixed order.
    cluster:            code on a GPU only: blocks (1, 2, 4 or 8) that share a panel's nonzeros,
                        `k_groups` groups each; their sums meet in the shared memory of the blocks
                        and are added in a fixed order (sm_90 and later: thread block clusters).
    columns_per_thread: adjacent columns of x and y that one thread computes; on a CPU the columns
                        of a tile, which every panel computes before the next tile.
    threads:            GPU only: threads of a block along the columns; for data, all of them.
    column_tiles:       code on a GPU only: column tiles that one block computes one after another.
    panels_per_block:   code on a GPU only: panels that different warps of a block compute side by
                        side.
    block_order:        code on a GPU only: which index moves fastest over consecutive blocks.
    stores:             GPU only: "streaming" marks y as not to be kept in caches.
    staging:            how the x that a tile needs is brought near before it is used. On a CPU,
                        "copy" copies each tile of x to a dense buffer. Code on a GPU: "async"
                        copies it to shared memory, a few rows ahead of the multiply-adds, while
                        they run (cp.async, sm_80 and later); all panels of a block share it.
                        "bulk" does so by copies of whole rows (cp.async.bulk, sm_90 and later).
    accumulation:       f16 only: "plain" adds in f16, "folded" adds at most `fold_length`
                        products in f16 before adding them in f32, "f32" adds every product in f32.
    fold_length:        products per f16 partial sum when `accumulation` is "folded".
    chains:             data on a CPU only: sums that share the nonzeros of a long row, 4 at most: a
                        multiply-add then need not wait for the one before it.
    chunk:              data on a GPU only: adjacent nonzeros that one lane loads at once.
    stages:             GPU only: chunks of data that a lane has on their way at once; for code
                        with staging, buffers in shared memory, all but one of them on their way.
    rows_per_stage:     code on a GPU with staging only: rows of x in one buffer.
    column_groups:      data on a GPU only: lanes of a warp that share a nonzero, each with its own
                        `columns_per_thread` columns.
    panels_per_warp:    data on a GPU only: panels that a warp computes one after another, while the
                        x that its block has staged stays in shared memory.
    instruction:        data on a GPU only: "fma" multiplies in the lanes, in f32; "mma" on tensor
                        cores, 16 nonzeros of a row at a time (f16 and bf16; sm_80 and later).
    launch:             GPU only: "overlapped" lets the kernel start while the one before it on the
                        stream still runs; it waits before it touches x, the residual or y (sm_90
                        and later: programmatic dependent launch).
    """

    lowering: Lowering = "code"
    rows_per_panel: int = 16
    permutation: Literal["balanced", "clustered"] = "balanced"
    k_groups: int = 1
    cluster: int = 1
    columns_per_thread: int = 1
    threads: int = 64
    column_tiles: int = 1
    panels_per_block: int = 1
    block_order: Literal["columns", "panels"] = "columns"
    stores: Literal["cached", "streaming"] = "cached"
    staging: Literal["none", "copy", "async", "bulk"] = "none"
    accumulation: Accumulation = "plain"
    fold_length: int = 16
    chains: int = 1
    chunk: int = 4
    stages: int = 4
    rows_per_stage: int = 32
    column_groups: int = 1
    panels_per_warp: int = 1
    instruction: Literal["fma", "mma"] = "fma"
    launch: Literal["serial", "overlapped"] = "serial"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            choices = CHOICES.get(field.name)
            if choices is not None and value not in choices:
                raise ScheduleError(
                    f"schedule: {field.name} must be one of {', '.join(choices)}, got {value!r}"
                )
            if choices is None and (type(value) is not int or value < 1):
                raise ScheduleError(
                    f"schedule: {field.name} must be a whole number of 1 or more, got {value!r}"
                )
            if choices is None and value > _LARGEST:
                raise ScheduleError(
                    f"schedule: {field.name} must be at most {_LARGEST}, got {value}"
                )
        if self.cluster not in _CLUSTERS:
            raise ScheduleError(f"schedule: cluster must be 1, 2, 4 or 8, got {self.cluster}")
        if self.chains > _MOST_CHAINS:
            raise ScheduleError(
                f"schedule: chains must be at most {_MOST_CHAINS}, got {self.chains}"
            )

    def to_json(self) -> str:
        """All knobs as a JSON object; `from_json` reads it."""
        return json.dumps(asdict(self))

    def short(self) -> str:
        """The shape of a panel, then the knobs that differ from a plain schedule's."""
        plain = type(self)()
        words = [f"{self.rows_per_panel}r {self.k_groups}k {self.threads}t"]
        words.append(f"{self.columns_per_thread}c")
        shown = ("rows_per_panel", "k_groups", "threads", "columns_per_thread")
        for name, value in asdict(self).items():
            if name not in shown and value != getattr(plain, name):
                words.append(value if isinstance(value, str) else f"{name}={value}")
        return " ".join(words)

    def words(self) -> str:
        """The height of a panel, and the knobs that differ from a plain schedule's, by name."""
        plain = type(self)()
        return ", ".join(
            f"{name} = {value}"
            for name, value in asdict(self).items()
            if name in ("lowering", "rows_per_panel") or value != getattr(plain, name)
        )

    @classmethod
    def from_json(cls, text: str) -> "Schedule":
        """Knobs that are left out are a plain schedule's. Raises ScheduleError."""
        try:
            knobs = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ScheduleError(f"schedule: expected a JSON object, got {error}") from error
        if not isinstance(knobs, dict):
            raise ScheduleError("schedule: expected a JSON object of knobs")
        known = {field.name for field in fields(cls)}
        for name in cast(dict[str, Any], knobs):
            if name not in known:
                raise ScheduleError(
                    f"schedule: expected one of {', '.join(sorted(known))}, got {name!r}"
                )
        return cls(**cast(dict[str, Any], knobs))

    @property
    def block_threads(self) -> int:
        """Threads in one block."""
        return self.threads * self.k_groups * self.panels_per_block

    @property
    def k_parts(self) -> int:
        """Parts of K that are summed apart: the K groups of all blocks of a cluster."""
        return self.k_groups * self.cluster
