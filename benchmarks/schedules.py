"""Which of our schedules a comparison runs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cases import Case
from sparsert_ir import Schedule, SparseMatrix
from sparsert_ir.schedules.candidates import best_candidates


@dataclass(frozen=True)
class ScheduleSource:
    """None in a list of schedules stands for the compiler's own choice.

    count: how many of the cost model's candidates compete besides it.
    fixed: the schedule of a case and element type, where a file gives it.
    """

    count: int = 0
    fixed: dict[tuple[str, str], Schedule] | None = None

    @classmethod
    def of(cls, text: str, count: int) -> "ScheduleSource":
        """ "default", "tuned", or a file of sweep.py or spmm.py."""
        if text == "default":
            return cls()
        if text == "tuned":
            return cls(count)
        path = Path(text)
        if not path.is_file():
            raise SystemExit(f"--schedule: expected default, tuned or a file, got {text}")
        return cls(fixed=fastest_schedules(path))

    def schedules(
        self, case: Case, matrix: SparseMatrix, dtype: str, target: str
    ) -> list[Schedule | None]:
        if self.fixed is not None:
            return [None, *([found] if (found := self.fixed.get((case.label, dtype))) else [])]
        if not self.count:
            return [None]
        return [None, *best_candidates(matrix, case.n, dtype, target, self.count)]


def fastest_schedules(path: Path) -> dict[tuple[str, str], Schedule]:
    """The fastest right one of each case; from JSON lines (sweep.py) or a document (spmm.py)."""
    best: dict[tuple[str, str], tuple[float, Schedule]] = {}
    for row in _rows(path.read_text(encoding="utf-8")):
        us, knobs = row.get("us"), row.get("schedule")
        if us is None or knobs is None or not row.get("ok", True):
            continue
        key = (row["label"], row["dtype"])
        if key not in best or us < best[key][0]:
            best[key] = (us, Schedule(**knobs))
    return {key: schedule for key, (_, schedule) in best.items()}


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        return json.loads(text)["results"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return [row for line in text.splitlines() if (row := _line(line)) is not None]


def _line(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        # A run that was killed leaves half a line.
        return None
    return cast(dict[str, Any], row) if isinstance(row, dict) and "schedule" in row else None
