"""Where the columns of a window, a convolution's virtual matrix, lie in the array of images."""

from dataclasses import dataclass

from xdsl.ir import SSAValue

from sparsert_ir.building import Code
from sparsert_ir.window import Window


@dataclass(frozen=True)
class WindowColumn:
    """One column of the window: where its pixel (oy * sy, ox * sx) of channel 0 lies, its place in
    the image, and whether the column exists.
    """

    offset: SSAValue
    down: SSAValue
    right: SSAValue
    exists: SSAValue

    @classmethod
    def of(cls, code: Code, window: Window, column: SSAValue) -> "WindowColumn":
        """Column number `column`; the last one's place where there is none of that number."""
        by_image, _, by_row, by_column = window.element_strides
        last = code.index(window.columns - 1)
        image, pixel = code.divide(code.minimum(column, last), window.pixels)
        oy, ox = code.divide(pixel, window.output[1])
        down = code.multiply(oy, code.index(window.strides[0]))
        right = code.multiply(ox, code.index(window.strides[1]))
        offset = code.add(
            code.multiply(image, code.index(by_image)),
            code.add(
                code.multiply(down, code.index(by_row)),
                code.multiply(right, code.index(by_column)),
            ),
        )
        exists = code.compare(column, "ult", code.index(window.columns))
        return cls(offset, down, right, exists)
