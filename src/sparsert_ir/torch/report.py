"""What `sparsify` decided about each layer, and why; prints as a table."""

from collections.abc import Iterator
from dataclasses import dataclass

_HEAD = ("layer", "M x K", "N", "zeros", "dense us", "sparse us", "decision", "reason")
_RIGHT = {"M x K", "N", "zeros", "dense us", "sparse us"}


@dataclass(frozen=True)
class Decision:
    """About one linear layer or convolution.

    name:      of the module in the model.
    shape:     of its matrix, M x K.
    n:         columns of the product for one call of the model; None where not known.
    sparsity:  zeros over all elements of its weight.
    taken:     whether a sparse module has its place now.
    dense_us, sparse_us: microseconds of all its calls in one call of the model, each in front of
               what was folded; None where they were not needed or cannot be known.
    folded:    names of what its kernel does besides: batch norm, residual, ReLU.
    reason:    why it was taken or kept.
    """

    name: str
    kind: str
    shape: tuple[int, int]
    n: int | None
    sparsity: float
    taken: bool
    dense_us: float | None
    sparse_us: float | None
    folded: tuple[str, ...]
    reason: str

    @property
    def cells(self) -> tuple[str, ...]:
        """Of its row in the table."""
        taken = " + ".join(("sparse", *self.folded)) if self.taken else "dense"
        return (
            self.name,
            f"{self.shape[0]} x {self.shape[1]}",
            "?" if self.n is None else str(self.n),
            f"{self.sparsity:.1%}",
            _microseconds(self.dense_us),
            _microseconds(self.sparse_us),
            taken,
            self.reason,
        )


@dataclass(frozen=True)
class Report:
    """All decisions, in the model's order.

    target: "cpu" or the architecture of a GPU.
    notes:  what holds for the whole model.
    """

    decisions: tuple[Decision, ...]
    target: str
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)

    def __len__(self) -> int:
        return len(self.decisions)

    @property
    def taken(self) -> tuple[Decision, ...]:
        """Those about layers that are sparse now."""
        return tuple(one for one in self.decisions if one.taken)

    def __str__(self) -> str:
        rows = [_HEAD, *(one.cells for one in self.decisions)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
        lines = [
            "  ".join(
                cell.rjust(width) if name in _RIGHT else cell.ljust(width)
                for cell, width, name in zip(row, widths, _HEAD, strict=True)
            ).rstrip()
            for row in rows
        ]
        count = f"{len(self.taken)} of {len(self.decisions)} layers are sparse, for {self.target}"
        return "\n".join([*lines, count, *self.notes])


def _microseconds(time: float | None) -> str:
    return "-" if time is None else f"{time:.1f}"
