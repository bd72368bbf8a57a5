"""What the measuring process does: one function for every kind of job."""

from dataclasses import dataclass
from typing import TypeAlias

from machine import bandwidth
from measure_job import MeasureJob, Measurement, measure
from peers import PeerJob, PeerTime, measure_peer
from sparsert_ir.workers.pool import WorkerPool


@dataclass(frozen=True)
class BandwidthJob:
    """How fast device memory is copied."""


Job: TypeAlias = MeasureJob | PeerJob | BandwidthJob
Answer: TypeAlias = Measurement | PeerTime | float
Measurer: TypeAlias = WorkerPool[Job, Answer]


def measure_any(job: Job) -> Answer:
    match job:
        case MeasureJob():
            return measure(job)
        case PeerJob():
            return measure_peer(job)
        case BandwidthJob():
            return bandwidth()


def measured_bandwidth(measurer: Measurer) -> float | None:
    """Bytes per second, None if it could not be measured."""
    (end,) = measurer.run([BandwidthJob()])
    return end.value if isinstance(end.value, float) else None
