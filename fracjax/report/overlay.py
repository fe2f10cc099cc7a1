"""A picture with its class activation map laid over it, and the boxes of the findings, as PNG."""

import io

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from fracjax.datasets.sources.archive import NO_BOXES

COLOURS = "inferno"  # perceptually uniform
STRONGEST = 0.6  # share of the map's colour where the map is 1
FADING = 1.5  # power of the map by which that share falls: what says little covers no bone
SMALLEST = 384  # pixels; a smaller picture is enlarged


def overlay_png(
    picture: UInt8[np.ndarray, "h w c"],
    map: Float[np.ndarray, "h w"],
    boxes: Float[np.ndarray, "k 4"] = NO_BOXES,
) -> bytes:
    """Lay a map over a picture: where it says more, it covers more of the picture.

    Args:
      picture: as decoded; colour is shown as grey.
      map: in [0, 1], as `explain` makes it; where it is 0 the picture is as it was.
      boxes: (ymin, xmin, ymax, xmax), pixels of the picture; drawn in white, edged in black.

    Returns:
      An encoded PNG, the picture enlarged a whole number of times to `SMALLEST` or more.
    """
    grey = picture.astype(np.float32).mean(axis=-1)
    times = max(1, -(-SMALLEST // max(grey.shape)))
    shown = _enlarged(grey, times, Image.Resampling.BICUBIC).clip(0, 255)
    heat = _enlarged(map.astype(np.float32), times, Image.Resampling.BILINEAR)
    colour = 255 * mpl.colormaps[COLOURS](heat)[..., :3]
    alpha = STRONGEST * heat[..., None] ** FADING
    blend = (1 - alpha) * shown[..., None] + alpha * colour
    image = Image.fromarray(np.rint(blend).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for box in times * boxes:
        top, left, bottom, right = box.round().astype(int).tolist()
        for out, width, ink in ((2, 4, "black"), (1, 2, "white")):
            edges = (left - out, top - out, right - 1 + out, bottom - 1 + out)
            draw.rectangle(edges, outline=ink, width=width)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _enlarged(
    image: Float[np.ndarray, "h w"], times: int, how: Image.Resampling
) -> Float[np.ndarray, "h2 w2"]:
    height, width = image.shape
    return np.asarray(Image.fromarray(image).resize((width * times, height * times), how))
