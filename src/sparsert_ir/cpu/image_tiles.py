"""How the images of a convolution's result are cut into tiles on a CPU."""

from dataclasses import dataclass
from functools import cached_property

from sparsert_ir.cpu.column_tiles import ColumnTiles, checked_lane
from sparsert_ir.cpu.padding import PaddedCopy, padded_copy
from sparsert_ir.window import Window


@dataclass(frozen=True)
class ImageTiles:
    """Tiles of `lines` whole lines of an image each, image by image, from top to bottom.

    The last tile of an image may reach past its end; what is computed there is dropped.
    """

    window: Window
    lines: int

    @property
    def per_image(self) -> int:
        return -(-self.window.output[0] // self.lines)

    @property
    def count(self) -> int:
        return self.window.batch * self.per_image

    @cached_property
    def copy(self) -> PaddedCopy:
        """What a tile reads."""
        return padded_copy(self.window, self.lines)

    @property
    def copy_elements(self) -> int:
        return self.window.channels * self.copy.planes * self.copy.plane

    @property
    def row_stride(self) -> int:
        """Elements between rows of a buffer with the columns of a tile."""
        return ColumnTiles(self.copy.columns, self.copy.columns).row_stride

    def lane(self, columns: int) -> int:
        """Columns that are summed together, at most `columns`; ScheduleError for too many."""
        return checked_lane(min(columns, self.copy.columns))


def image_tiles(window: Window, columns: int) -> ImageTiles:
    """Tiles of about the same height, of one line or of as many as `columns` columns hold."""
    height, width = window.output
    pitch = padded_copy(window, 1).pitch
    most = 1 + max(0, columns - width) // pitch
    tiles = -(-height // most)
    return ImageTiles(window, -(-height // tiles))
