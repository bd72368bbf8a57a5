"""The manifest: everything about a stored kernel but its code and arrays."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

from sparsert_ir.artefact.container import MANIFEST
from sparsert_ir.cpu.work_shares import Part
from sparsert_ir.element_types import DTYPES
from sparsert_ir.errors import ArtefactError, ScheduleError
from sparsert_ir.runtime.launch import KernelSignature, LaunchShape
from sparsert_ir.schedule import Schedule

KIND = "sparsert-kernel"
SCHEMA_VERSION = 2
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_TARGET = re.compile(r"cpu|sm_[0-9]{2,3}[af]?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LARGEST_EXTENT = 2**31 - 1
_MOST_THREADS = 1024
_MOST_PARTS = 2**16
_RANKS = (2, 4)
"""Dimensions of a matrix and of a batch of images."""
_MOST_SHARED_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """See `KernelBinary` for what is not explained here.

    matrix:    digest, shape and nonzeros of the weight; all but the shape for people.
    versions:  of what made the code, for people.
    digests:   SHA-256 of each other member.
    constants: names of the arrays that a launch passes, in order.
    """

    name: str
    target: str
    signature: KernelSignature
    launch: LaunchShape
    has_loops: bool
    cubin_arch: str
    schedule: Schedule | None
    matrix: dict[str, Any]
    versions: dict[str, str]
    digests: dict[str, str]
    constants: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    threads: int = 1
    copy_bytes: int = 0

    def to_json(self) -> bytes:
        document = {"kind": KIND, "schema": SCHEMA_VERSION, **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def read_manifest(content: bytes) -> Manifest:
    """Raises ArtefactError for anything that `to_json` could not have written."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{MANIFEST}: expected JSON, got {error}") from error
    if not isinstance(document, dict) or cast(Any, document).get("kind") != KIND:
        raise ArtefactError(f"{MANIFEST}: expected kind {KIND}")
    version = cast(Any, document).get("schema")
    if version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{MANIFEST}: expected schema {SCHEMA_VERSION}, got {version!r}; build it again"
        )
    try:
        return _manifest(_Reader(cast(dict[str, Any], document), MANIFEST))
    except ScheduleError as error:
        raise ArtefactError(f"{MANIFEST}: {error}") from error


def _manifest(reader: "_Reader") -> Manifest:
    signature, launch = reader.inner("signature"), reader.inner("launch")
    schedule = reader.value("schedule")
    return Manifest(
        name=reader.text("name", _NAME),
        target=reader.text("target", _TARGET),
        signature=KernelSignature(
            x_shape=signature.extents("x_shape", *_RANKS),
            y_shape=signature.extents("y_shape", *_RANKS),
            dtype=signature.text("dtype", re.compile("|".join(DTYPES))),
            has_residual=signature.truth("has_residual"),
            alignment=signature.number("alignment", 1, 256),
        ),
        launch=_launch(launch),
        has_loops=reader.truth("has_loops"),
        cubin_arch=reader.text("cubin_arch", re.compile("|sm_[0-9]{2,3}")),
        schedule=None if schedule is None else _schedule(reader.inner("schedule")),
        matrix=_matrix(reader.inner("matrix")),
        versions={str(k): str(v) for k, v in reader.inner("versions").document.items()},
        digests=_digests(reader.inner("digests")),
        constants=reader.names("constants"),
        parts=tuple(map(_part, reader.objects("parts", _MOST_PARTS))),
        threads=reader.number("threads", 1, _MOST_THREADS),
        copy_bytes=reader.number("copy_bytes", 0, _LARGEST_EXTENT),
    )


def _matrix(reader: "_Reader") -> dict[str, Any]:
    reader.extents("shape", 2)
    return reader.document


def _part(reader: "_Reader") -> Part:
    names = ("first_tile", "last_tile", "first_panel", "last_panel")
    return Part(*(reader.number(name, 0, _LARGEST_EXTENT) for name in names))


def _launch(reader: "_Reader") -> LaunchShape:
    (gx, gy, gz), (bx, by, bz) = reader.extents("grid", 3), reader.extents("block", 3)
    if bx * by * bz > _MOST_THREADS:
        raise reader.wrong("block", f"at most {_MOST_THREADS} threads")
    return LaunchShape(
        grid=(gx, gy, gz),
        block=(bx, by, bz),
        shared_bytes=reader.number("shared_bytes", 0, _MOST_SHARED_BYTES),
        overlapped=reader.truth("overlapped"),
    )


def _schedule(reader: "_Reader") -> Schedule:
    known = Schedule.__dataclass_fields__
    unknown = sorted(set(reader.document) - set(known))
    if unknown:
        raise ArtefactError(f"{MANIFEST}: schedule: unknown knob {unknown[0]!r}")
    return Schedule(**reader.document)


def _digests(reader: "_Reader") -> dict[str, str]:
    return {name: reader.text(name, _DIGEST) for name in reader.document}


@dataclass(frozen=True)
class _Reader:
    """Typed values of a JSON object; ArtefactError where one is missing or another type."""

    document: dict[str, Any]
    place: str

    def wrong(self, name: str, expected: str) -> ArtefactError:
        got = repr(self.document.get(name, "nothing"))[:100]
        return ArtefactError(f"{self.place}: {name}: expected {expected}, got {got}")

    def value(self, name: str) -> Any:
        if name not in self.document:
            raise self.wrong(name, "a value")
        return self.document[name]

    def _checked(self, name: str, expected: str, right: Callable[[Any], bool]) -> Any:
        value = self.value(name)
        if not right(value):
            raise self.wrong(name, expected)
        return value

    def inner(self, name: str) -> "_Reader":
        found = self._checked(name, "an object", lambda value: isinstance(value, dict))
        return _Reader(found, f"{self.place}: {name}")

    def truth(self, name: str) -> bool:
        return self._checked(name, "true or false", lambda value: isinstance(value, bool))

    def text(self, name: str, pattern: re.Pattern[str]) -> str:
        def right(value: Any) -> bool:
            return isinstance(value, str) and pattern.fullmatch(value) is not None

        return self._checked(name, f"text like {pattern.pattern}", right)

    def number(self, name: str, least: int, most: int) -> int:
        def right(value: Any) -> bool:
            return type(value) is int and least <= value <= most

        return self._checked(name, f"a whole number from {least} to {most}", right)

    def extents(self, name: str, *counts: int) -> tuple[int, ...]:
        """As many sizes as one of `counts` says."""

        def right(value: Any) -> bool:
            return (
                isinstance(value, list)
                and len(cast(Any, value)) in counts
                and all(
                    type(one) is int and 1 <= one <= _LARGEST_EXTENT for one in cast(Any, value)
                )
            )

        wanted = " or ".join(map(str, counts))
        return tuple(self._checked(name, f"{wanted} numbers of 1 or more", right))

    def objects(self, name: str, most: int) -> "list[_Reader]":
        """A list of at most `most` objects."""

        def right(value: Any) -> bool:
            return (
                isinstance(value, list)
                and len(cast(Any, value)) <= most
                and all(isinstance(one, dict) for one in cast(Any, value))
            )

        found = self._checked(name, f"at most {most} objects", right)
        return [_Reader(one, f"{self.place}: {name}") for one in found]

    def names(self, name: str) -> tuple[str, ...]:
        def right(value: Any) -> bool:
            return isinstance(value, list) and all(
                isinstance(one, str) and _NAME.fullmatch(one) for one in cast(Any, value)
            )

        return tuple(self._checked(name, "a list of names", right))
