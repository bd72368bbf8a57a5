"""What `data_lowering.py` builds, in a module that worker processes can import by its name."""

from dataclasses import dataclass
from typing import Any

from sparsert_ir import SparseMatrix
from sparsert_ir.tuner.build_job import Build, BuildJob, build


@dataclass(frozen=True, eq=False)
class DataCase:
    """One product; `jobs` is how many builds compete for it, `unevenness` that of the rows."""

    shape: tuple[int, int]
    unevenness: float
    sparsity: float
    n: int
    matrix: SparseMatrix
    jobs: int

    @property
    def label(self) -> str:
        rows = f"uneven/{self.unevenness:g}" if self.unevenness else "uniform"
        return f"{self.shape[0]}x{self.shape[1]}/{rows}/{self.sparsity:g}/{self.n}"


@dataclass(frozen=True, kw_only=True, eq=False)
class DataJob(BuildJob):
    """A build that knows its case."""

    case: DataCase

    def __getstate__(self) -> dict[str, Any]:
        # The layer holds the matrix; it is sent once.
        return self.__dict__ | {"case": None}


def build_data(job: DataJob) -> Build:
    return build(job)
