"""Schedules out of tuning records: given, or made and kept beside the kernel cache."""

import contextlib
import hashlib
import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.errors import ArgumentError, TuningRecordError
from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE, cache_directory
from sparsert_ir.schedule import Schedule
from sparsert_ir.tuner.record import LayerKey, TuningRecord
from sparsert_ir.tuner.tune import TuneOptions, TuningWarning, device_name, tune
from sparsert_ir.versions import versions

if TYPE_CHECKING:
    from sparsert_ir.frontend import Layer

TUNE = "tune"
_DIRECTORY = "tuned"


def schedule_of(given: Any, layer: "Layer", target: str, code_budget: int) -> Schedule:
    """What `compile(schedule=given)` means for `given` other than a Schedule or None.

    Raises ArgumentError for anything that is no record, path or "tune"; TuningRecordError for a
    record of another layer; and what `tune` raises.
    """
    if isinstance(given, TuningRecord):
        return _checked(given, layer, target)
    if given == TUNE:
        return tuned(layer, target, TuneOptions(code_budget=code_budget)).schedule
    if isinstance(given, str | os.PathLike):
        return _checked(TuningRecord.load(os.fspath(given)), layer, target)
    raise ArgumentError(
        'schedule: expected a Schedule, a TuningRecord, the path of one, "tune" or None, got'
        f" {given!r}"
    )


def tuned(layer: "Layer", target: str, options: TuneOptions) -> TuningRecord:
    """The kept record of an earlier complete run with the same versions, or a new run's."""
    path = kept_record(layer, target)
    if path is not None:
        with contextlib.suppress(TuningRecordError):
            record = TuningRecord.load(path)
            _checked(record, layer, target)
            return record
    record = tune(layer, target, options)
    if path is not None and record.complete:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            record.save(path)
        except OSError as error:
            warnings.warn(
                f"the tuning record could not be kept, so the next process measures again: {error};"
                f" set {DIRECTORY_VARIABLE} to a directory that can be written",
                TuningWarning,
                stacklevel=5,
            )
    return record


def kept_record(layer: "Layer", target: str) -> Path | None:
    """Where the record of a layer on this device is kept; None with the cache switched off."""
    directory = cache_directory()
    if directory is None:
        return None
    parts = [asdict(LayerKey.of(layer, target)), device_name(target)]
    parts.append(versions(driver=target != "cpu"))
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return directory / _DIRECTORY / f"{key}.json"


def kept_records() -> list[Path]:
    """The files of all kept records."""
    directory = cache_directory()
    return [] if directory is None else sorted((directory / _DIRECTORY).glob("*.json"))


def clear_records() -> None:
    """Remove all kept records. Raises OSError where that is not allowed."""
    for path in kept_records():
        path.unlink(missing_ok=True)


def _checked(record: TuningRecord, layer: "Layer", target: str) -> Schedule:
    record.layer.check(LayerKey.of(layer, target))
    return record.schedule
