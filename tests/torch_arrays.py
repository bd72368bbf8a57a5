"""Arrays of numpy as tensors of torch."""

from typing import Any

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.element_types import numpy_type


def to_torch(torch: Any, array: Array) -> Any:
    """A copy in memory of the host: torch does not read the bf16 of ml_dtypes."""
    if array.dtype != numpy_type("bf16"):
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
