"""Measured times out of the JSON files that `benchmarks/spmm.py` records."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.errors import ArgumentError

_LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True)
class Measured:
    """One kernel's time.

    shape: M x K; n: columns of x; us: microseconds per launch; gpu: name of the GPU.
    peers: microseconds of other libraries for the same product, by name; the dense ones of `cublas`
           include "cublas f32".
    """

    label: str
    shape: tuple[int, int]
    n: int
    nonzeros: int
    dtype: str
    us: float
    gpu: str
    peers: Mapping[str, float]

    @property
    def sparsity(self) -> float:
        return 1.0 - self.nonzeros / (self.shape[0] * self.shape[1])


def load_measured(path: Path) -> list[Measured]:
    """The results that have a time, in the order of the file.

    Raises ArgumentError for a file that is not one of `benchmarks/spmm.py`.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ArgumentError(f"{path}: expected results of at most {_LARGEST_FILE} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"{path}: cannot read results: {error}") from error
    try:
        gpu = _gpu(document["machine"])
        return [_result(one, gpu) for one in document["results"] if one["us"] is not None]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(
            f"{path}: expected results as benchmarks/spmm.py writes them, got something else:"
            f" {type(error).__name__}: {error}"
        ) from error


def _gpu(machine: Any) -> str:
    # Drivers fill names up with zero bytes.
    return str(machine["gpu"]).split("\0")[0].strip()


def _result(one: Any, gpu: str) -> Measured:
    rows, depth = (_positive(number) for number in one["shape"])
    if one["dtype"] not in ELEMENT_BYTES:
        raise ValueError(f"dtype {one['dtype']!r}")
    peers = cast(dict[str, Any], one["peers"])
    return Measured(
        label=str(one["label"]),
        shape=(rows, depth),
        n=_positive(one["n"]),
        nonzeros=_positive(one["nonzeros"]),
        dtype=one["dtype"],
        us=_time(one["us"]),
        gpu=gpu,
        peers={
            str(name): _time(peer["us"])
            for name, peer in peers.items()
            if peer["us"] is not None and peer["ok"]
        },
    )


def _positive(number: Any) -> int:
    if type(number) is not int or number < 1:
        raise ValueError(f"expected a whole number of 1 or more, got {number!r}")
    return number


def _time(number: Any) -> float:
    if type(number) not in (int, float) or not 0 < number < float("inf"):
        raise ValueError(f"expected microseconds, got {number!r}")
    return float(number)
