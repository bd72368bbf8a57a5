"""How the columns of x and y are cut into tiles, and a tile's lane into pieces, on a CPU."""

from dataclasses import dataclass
from typing import TypeAlias

from sparsert_ir.errors import ScheduleError

Piece: TypeAlias = tuple[int, int]
"""First column within the lane, and columns."""

GRAIN = 16
"""Columns of f32 in a cache line, which is what the widest SIMD register holds."""

_WIDEST_LANE = 4096
"""Columns. Far fewer fill all registers; many more make LLVM slow, or end the process."""


@dataclass(frozen=True)
class ColumnTiles:
    """`columns` cut into tiles of `width`; the last one may be narrower."""

    columns: int
    width: int

    @property
    def whole(self) -> int:
        """Tiles of the full width."""
        return self.columns // self.width

    @property
    def tail(self) -> int:
        """Columns of the narrower tile after them; 0: there is none."""
        return self.columns % self.width

    @property
    def count(self) -> int:
        return self.whole + bool(self.tail)

    def width_of(self, tile: int) -> int:
        return self.width if tile < self.whole else self.tail

    @property
    def row_stride(self) -> int:
        """Elements between the rows of a copied tile: rows begin on cache lines of f32."""
        if self.width >= GRAIN:
            return -(-self.width // GRAIN) * GRAIN
        return 1 << (self.width - 1).bit_length()


def column_tiles(columns: int, width: int) -> ColumnTiles:
    """Tiles of at most `width` columns. Raises ScheduleError as `checked_lane` does."""
    return ColumnTiles(columns, checked_lane(min(width, columns)))


def checked_lane(width: int) -> int:
    """`width` itself; ScheduleError for lanes of more columns than LLVM can handle."""
    if width > _WIDEST_LANE:
        raise ScheduleError(
            f"schedule: columns_per_thread must be at most {_WIDEST_LANE} on a CPU, got {width}"
        )
    return width


def pieces(width: int) -> list[Piece]:
    """A lane of any width as vectors of powers of two, which is what LLVM cuts into registers well.

    What is left after whole grains is one piece: exact where it is a power of two, else a piece
    moved back over its neighbour. Columns in two pieces are computed twice, with the same result.
    """
    whole = width // GRAIN * GRAIN
    found = _powers_of_two(whole)
    rest = width - whole
    if rest == 0:
        return found
    largest = 1 << (rest.bit_length() - 1)
    if largest == rest:
        return [*found, (whole, rest)]
    if whole:
        return [*found, (width - GRAIN, GRAIN)]
    return [(0, largest), (width - largest, largest)]


def _powers_of_two(width: int) -> list[Piece]:
    found: list[Piece] = []
    start = 0
    while start < width:
        size = 1 << ((width - start).bit_length() - 1)
        found.append((start, size))
        start += size
    return found


def vectors(width: int) -> int:
    """Registers of `GRAIN` columns that a lane fills, whole or in part."""
    return -(-width // GRAIN)
