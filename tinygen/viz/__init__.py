"""viz: pictures. matplotlib is imported when the first one is drawn; functions return a Figure.

Those with `axes=` draw into axes that are there, and return the figure these belong to: `panels`
makes some. Tensors and ndarrays are taken alike.
"""

from .animation import images_gif, points_gif
from .attention import attention_maps
from .curves import gradient_flow, loss_curve
from .figures import COLOURS, GREY, INK, bare, panels
from .images import interpolation, sample_grid, traversal
from .plane import density, scatter, score_field, trajectories
from .tape import graph

__all__ = [
    "COLOURS", "GREY", "INK", "attention_maps", "bare", "density", "gradient_flow", "graph",
    "images_gif", "interpolation", "loss_curve", "panels", "points_gif", "sample_grid", "scatter",
    "score_field", "trajectories", "traversal",
]  # fmt: skip
