"""Running passes over a module, stage by stage, with the cost of each."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass, PassPipeline

from sparsert_ir.errors import ArgumentError
from sparsert_ir.passes import PASSES, PIPELINES


@dataclass(frozen=True)
class StageRecord:
    """What one stage of a compilation did."""

    name: str
    seconds: float
    ops: int


def pipeline_passes(pipeline: str) -> tuple[ModulePass, ...]:
    """The passes of a named pipeline, or of a pipeline in the syntax of `sparsert-opt -p`."""
    spec = PIPELINES.get(pipeline, pipeline)
    try:
        return PassPipeline.parse_spec(PASSES, spec).passes
    except ValueError as error:
        raise ArgumentError(f"pipeline {pipeline!r}: {error}") from error


def run_passes(
    module: ModuleOp,
    passes: Sequence[ModulePass],
    context: Context,
    observe: Callable[[ModulePass, ModuleOp], None] | None = None,
) -> Iterator[StageRecord]:
    """Apply `passes` in order; yields a record after each. `observe` sees the module then.

    Stop iterating to stop after a prefix; the module is changed in place.
    """
    for one in passes:
        begin = time.perf_counter()
        one.apply(context, module)
        seconds = time.perf_counter() - begin
        yield StageRecord(one.name, seconds, count_ops(module))
        if observe is not None:
            observe(one, module)


def count_ops(module: ModuleOp) -> int:
    """Operations in the module, nested ones included."""
    return sum(1 for _ in module.walk())
