"""Pictures of matrices and kernels (extra `viz`), and a page that tells how one was compiled.

Each figure is a function that returns a `matplotlib.figure.Figure`; nothing is drawn on a screen.
"""

from sparsert_ir.viz.measured import Measured, load_measured
from sparsert_ir.viz.panels import panels_figure
from sparsert_ir.viz.pattern import pattern_figure
from sparsert_ir.viz.roofline import Point, predicted_point, roofline_figure
from sparsert_ir.viz.saving import save_figure
from sparsert_ir.viz.speedup import speedup_figure

__all__ = [
    "Measured",
    "Point",
    "load_measured",
    "panels_figure",
    "pattern_figure",
    "predicted_point",
    "roofline_figure",
    "save_figure",
    "speedup_figure",
]
