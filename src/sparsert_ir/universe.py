"""What plain `xdsl-opt` and `xdsl-gui` find through the `xdsl.universe` entry point.

Only names that xDSL does not have itself: our `gpu` and `llvm` are known to `sparsert-opt` alone.
"""

from xdsl.universe import Universe

from sparsert_ir.context import load_nvgpu, load_nvvm, load_sparsert
from sparsert_ir.passes import PASSES

SPARSERT_UNIVERSE = Universe(
    all_dialects={"sparsert": load_sparsert, "nvgpu": load_nvgpu, "nvvm": load_nvvm},
    all_passes=dict(PASSES),
)
