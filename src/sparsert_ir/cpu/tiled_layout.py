"""What a call of a CPU kernel must know about how its product was tiled."""

from dataclasses import dataclass

from sparsert_ir.cpu.column_tiles import ColumnTiles, column_tiles
from sparsert_ir.cpu.image_tiles import image_tiles
from sparsert_ir.cpu.work_shares import Part, panel_work, work_parts
from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.frontend import Layer
from sparsert_ir.layout.dealing import deal_rows
from sparsert_ir.schedule import Schedule


@dataclass(frozen=True)
class TiledLayout:
    """parts:      what threads take one by one.
    copy_bytes: of the copy of a tile of x; 0: none is made.
    """

    parts: tuple[Part, ...]
    copy_bytes: int


def tiled_layout(layer: Layer, threads: int) -> TiledLayout:
    """The layout of a layer with a schedule: what `sparsert-partition` and `sparsert-map-to-cpu`
    make of it, dealt to `threads`.
    """
    schedule = layer.schedule
    assert schedule is not None
    tiles, elements = _tiles(layer, schedule)
    matrix = layer.matrix
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, schedule)
    parts = work_parts(tiles, panel_work(matrix.row_lengths, panels), threads)
    sum_bytes = ELEMENT_BYTES[layer.dtype if schedule.accumulation == "plain" else "f32"]
    return TiledLayout(tuple(parts), elements * sum_bytes)


def _tiles(layer: Layer, schedule: Schedule) -> tuple[ColumnTiles, int]:
    """The tiles, and the elements of a copy of one of them."""
    if layer.window is not None:
        images = image_tiles(layer.window, schedule.columns_per_thread)
        elements = images.copy_elements
        if layer.depthwise is not None:
            elements = layer.depthwise.matrix.shape[0] * images.row_stride
        # All of them are equal work.
        return ColumnTiles(images.count, 1), elements
    tiles = column_tiles(layer.columns, schedule.columns_per_thread)
    copied = schedule.staging == "copy"
    return tiles, layer.matrix.shape[1] * tiles.row_stride if copied else 0
