"""A sheet of phantoms, one of each kind, with the box of the break."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fracjax.datasets.phantom.drawing import FRACTURE_TYPES, draw


def phantoms_png(path: Path, *, seed: int = 0, side: int = 256) -> None:
    """Draw two healthy phantoms and one of each of the ten types.

    Args:
      path: PNG file to write.
      seed: of the first phantom; each one is of another limb.
      side: of a phantom, in pixels.
    """
    kinds = (None, None, *FRACTURE_TYPES)
    figure = Figure(figsize=(9, 7.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for place, kind in enumerate(kinds):
        phantom = draw(seed + place, kind, side)
        axes = figure.add_subplot(3, 4, place + 1)
        axes.imshow(phantom.image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(kind or "healthy", fontsize=9)
        axes.set_axis_off()
        if phantom.box is not None:
            y0, x0, y1, x1 = phantom.box
            axes.add_patch(
                Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color="orange", linewidth=1)
            )
    figure.savefig(path, metadata={"Software": None})
