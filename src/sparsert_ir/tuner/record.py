"""What a tuning run found, as a JSON file that a later build takes as input."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from sparsert_ir.errors import ScheduleError, TuningRecordError
from sparsert_ir.files import path_of, write_atomically
from sparsert_ir.schedule import Schedule

if TYPE_CHECKING:
    from sparsert_ir.frontend import Depthwise, Layer
    from sparsert_ir.matrix import SparseMatrix

KIND = "sparsert-tuning"
SCHEMA_VERSION = 1
_LARGEST_FILE = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class CandidateReport:
    """One schedule that was tried.

    schedule:     None for the compiler's own choice, where it failed before it was known.
    predicted_us: by the model, None where there is none.
    measured_us:  median per launch, None with a `failure`.
    """

    schedule: Schedule | None
    predicted_us: float | None = None
    measured_us: float | None = None
    registers: int = 0
    spilled_bytes: int = 0
    code_bytes: int = 0
    build_seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class LayerKey:
    """The layer that a record is for.

    digest: of the matrix; see `matrix_digest`.
    window: how x is read where it is a batch of images, in words; None for a matrix.
    depthwise: digest of the depthwise filter that x goes through first, and its epilogue in words.
    """

    digest: str
    shape: tuple[int, int]
    nonzeros: int
    n: int
    dtype: str
    bias: bool
    activation: str | None
    residual: str
    target: str
    window: str | None = None
    depthwise: str | None = None

    @classmethod
    def of(cls, layer: "Layer", target: str) -> "LayerKey":
        return cls(
            digest=matrix_digest(layer.matrix),
            shape=layer.matrix.shape,
            nonzeros=layer.matrix.nonzeros,
            n=layer.columns,
            dtype=layer.dtype,
            bias=layer.bias is not None,
            activation=layer.activation,
            residual=layer.residual,
            target=target,
            window=None if layer.window is None else str(layer.window),
            depthwise=None if layer.depthwise is None else _depthwise_key(layer.depthwise),
        )

    def check(self, other: "LayerKey") -> None:
        """Raise TuningRecordError, naming the difference, unless `other` is the same."""
        for field in fields(self):
            mine, its = getattr(self, field.name), getattr(other, field.name)
            if mine != its:
                raise TuningRecordError(
                    f"tuning record: expected one for {field.name} = {its}, got one for {mine};"
                    " tune again, or pass its schedule alone"
                )


@dataclass(frozen=True, kw_only=True)
class TuningRecord:
    """The winner and every candidate, for one layer on one device.

    us:       of the winner.
    complete: whether all candidates were tried: not after Ctrl-C or at a time limit.
    device:   what it was measured on; versions: of what built it.
    """

    layer: LayerKey
    device: str
    versions: dict[str, str]
    schedule: Schedule
    us: float
    complete: bool
    candidates: tuple[CandidateReport, ...]

    def to_json(self) -> str:
        """A JSON document; `from_json` reads it."""
        document = {"kind": KIND, "schema": SCHEMA_VERSION, **asdict(self)}
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TuningRecord":
        """Raises TuningRecordError for anything but a record of this schema."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TuningRecordError(f"tuning record: expected JSON, got {error}") from error
        if not isinstance(document, dict) or cast(Any, document).get("kind") != KIND:
            raise TuningRecordError(f"tuning record: expected a JSON object of kind {KIND}")
        version = cast(Any, document).get("schema")
        if version != SCHEMA_VERSION:
            raise TuningRecordError(
                f"tuning record: expected schema {SCHEMA_VERSION}, got {version!r}; tune again"
            )
        try:
            return _record(cast(dict[str, Any], document))
        except (KeyError, TypeError, ValueError, ScheduleError) as error:
            raise TuningRecordError(f"tuning record: malformed ({error})") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, at once or not at all. Raises FileWriteError."""
        write_atomically(path, self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TuningRecord":
        """Raises TuningRecordError, also for a file that cannot be read."""
        file = path_of(path)
        try:
            size = file.stat().st_size
            if size > _LARGEST_FILE:
                raise TuningRecordError(
                    f"{file}: expected at most {_LARGEST_FILE} bytes, got {size}"
                )
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TuningRecordError(f"{file}: cannot be read: {error}") from error
        try:
            return cls.from_json(text)
        except TuningRecordError as error:
            raise TuningRecordError(f"{file}: {error}") from error


def matrix_digest(matrix: "SparseMatrix") -> str:
    """SHA-256, in hex, of shape, element type, pattern and values."""
    digest = hashlib.sha256(f"{matrix.shape} {matrix.values.dtype.name}".encode())
    for part in (matrix.row_offsets, matrix.column_indices, matrix.values):
        digest.update(part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def _depthwise_key(depthwise: "Depthwise") -> str:
    bias = "no bias" if depthwise.bias is None else "bias"
    return f"{matrix_digest(depthwise.matrix)}, {bias}, {depthwise.activation}"


def _record(document: dict[str, Any]) -> TuningRecord:
    key = dict(document["layer"])
    rows, depth = key.pop("shape")
    us = document["us"]
    if not isinstance(us, int | float) or not isinstance(document["complete"], bool):
        raise ValueError("us must be a number and complete a truth value")
    return TuningRecord(
        layer=LayerKey(**key, shape=(int(rows), int(depth))),
        device=str(document["device"]),
        versions={str(name): str(version) for name, version in dict(document["versions"]).items()},
        schedule=Schedule(**document["schedule"]),
        us=float(us),
        complete=document["complete"],
        candidates=tuple(_candidate(dict(one)) for one in document["candidates"]),
    )


def _candidate(fields_of_one: dict[str, Any]) -> CandidateReport:
    knobs = fields_of_one.pop("schedule")
    return CandidateReport(schedule=None if knobs is None else Schedule(**knobs), **fields_of_one)
