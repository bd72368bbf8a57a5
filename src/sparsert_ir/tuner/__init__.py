"""Finding a layer's fastest schedule by measuring: `tune`, and the record that it leaves."""

from sparsert_ir.tuner.record import CandidateReport, TuningRecord, matrix_digest
from sparsert_ir.tuner.tune import TuneOptions, TuningWarning, tune

__all__ = [
    "CandidateReport",
    "TuneOptions",
    "TuningRecord",
    "TuningWarning",
    "matrix_digest",
    "tune",
]
