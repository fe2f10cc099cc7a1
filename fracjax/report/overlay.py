"""An image with its class activation map laid over it, and the boxes of the findings, as PNG."""

import io

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

COLOURS = "inferno"  # perceptually uniform
STRONGEST = 0.6  # fraction of the map's colour where the map is 1
FADING = 1.5  # power of the map by which that fraction falls: what says little covers no bone
SMALLEST = 384  # pixels; a smaller image is enlarged


def overlay_png(
    image: UInt8[np.ndarray, "h w c"],
    map: Float[np.ndarray, "h w"],
    boxes: Float[np.ndarray, "k 4"] | None = None,
) -> bytes:
    """Lay a map in [0, 1] over an image, which it covers more where it says more.

    Colour is shown as grey, and the image enlarged a whole number of times to `SMALLEST` pixels or
    more. `boxes` are (ymin, xmin, ymax, xmax) in its pixels, drawn in white and edged in black.
    """
    grey = image.astype(np.float32).mean(axis=-1)
    times = max(1, -(-SMALLEST // max(grey.shape)))
    shown = _enlarged(grey, times, Image.Resampling.BICUBIC).clip(0, 255)
    heat = _enlarged(map.astype(np.float32), times, Image.Resampling.BILINEAR)
    colour = 255 * mpl.colormaps[COLOURS](heat)[..., :3]
    alpha = STRONGEST * heat[..., None] ** FADING
    blend = (1 - alpha) * shown[..., None] + alpha * colour
    drawn = Image.fromarray(np.rint(blend).astype(np.uint8))
    draw = ImageDraw.Draw(drawn)
    for box in () if boxes is None else times * boxes:
        top, left, bottom, right = box.round().astype(int).tolist()
        for out, width, ink in ((2, 4, "black"), (1, 2, "white")):
            edges = (left - out, top - out, right - 1 + out, bottom - 1 + out)
            draw.rectangle(edges, outline=ink, width=width)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    return buffer.getvalue()


def _enlarged(
    image: Float[np.ndarray, "h w"], times: int, how: Image.Resampling
) -> Float[np.ndarray, "h2 w2"]:
    height, width = image.shape
    return np.asarray(Image.fromarray(image).resize((width * times, height * times), how))
