"""Stands in for measuring on a GPU."""

import os

from measure_job import MeasureJob, Measurement


def fake_measure(job: MeasureJob) -> Measurement:
    """Kills its own process for kernels of blocks of 128 threads."""
    threads = job.binary.launch.block[0]
    if threads == 128:
        os._exit(9)
    return Measurement(1.0 * threads, 1.0, 1.0, 1e-7, True, "", 32, 0, len(job.binary.ptx), False)
