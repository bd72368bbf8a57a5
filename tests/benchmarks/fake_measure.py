"""Stands in for measuring on a GPU."""

import os

from measure_job import MeasureJob, Measurement
from peers import PeerJob, PeerTime
from work import Answer, Job


def fake_measure(job: MeasureJob) -> Measurement:
    """Kills its own process for kernels of blocks of 128 threads."""
    threads = job.binary.launch.block[0]
    if threads == 128:
        os._exit(9)
    return Measurement(1.0 * threads, 1.0, 1.0, 1e-7, True, "", 32, 0, len(job.binary.ptx), False)


def fake_measure_any(job: Job) -> Answer:
    """cuSPARSE fails, TF32 is wrong."""
    match job:
        case MeasureJob():
            return fake_measure(job)
        case PeerJob():
            if job.peer.startswith("cusparse"):
                raise RuntimeError("out of luck")
            return PeerTime(640.0, "graph", 1e-7, job.peer != "cublas tf32")
        case _:
            return 4e12
