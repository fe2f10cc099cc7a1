"""An image with a map laid over it, the boxes of the findings, and marks, as PNG."""

import io

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

COLOURS = "inferno"  # perceptually uniform
STRONGEST = 0.6  # fraction of the map's colour where the map is 1
FADING = 1.5  # power of the map by which that fraction falls: what says little covers no bone
MARK = "#56b4e9"  # of a mark: light blue, which neither the map nor a film has
FONT = 13  # of a mark's score, pixels of the enlarged image
SMALLEST = 384  # pixels; a smaller image is enlarged


def overlay_png(
    image: UInt8[np.ndarray, "h w c"],
    map: Float[np.ndarray, "h w"],
    boxes: Float[np.ndarray, "k 4"] | None = None,
    marks: Float[np.ndarray, "m 4"] | None = None,
    scores: Float[np.ndarray, "m"] | None = None,
) -> bytes:
    """Lay a map in [0, 1] over an image, which it covers more where it says more.

    Colour is shown as grey, and the image enlarged a whole number of times to `SMALLEST` pixels or
    more. `boxes` are (ymin, xmin, ymax, xmax) in its pixels, drawn in white and edged in black;
    `marks` likewise, in blue, each with its score where `scores` has it.
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
    for group, ink in ((boxes, "white"), (marks, MARK)):
        for box in () if group is None else times * group:
            _draw_box(draw, box, ink)
    for box, score in () if marks is None or scores is None else zip(marks, scores, strict=True):
        _draw_score(draw, times * box, f"{score:.2f}", drawn.size)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    return buffer.getvalue()


def _draw_box(draw: ImageDraw.ImageDraw, box: Float[np.ndarray, "4"], colour: str) -> None:
    top, left, bottom, right = box.round().astype(int).tolist()
    for out, width, ink in ((2, 4, "black"), (1, 2, colour)):
        edges = (left - out, top - out, right - 1 + out, bottom - 1 + out)
        draw.rectangle(edges, outline=ink, width=width)


def _draw_score(
    draw: ImageDraw.ImageDraw, box: Float[np.ndarray, "4"], text: str, size: tuple[int, int]
) -> None:
    """A mark's score above its box, or below where there is no room, within the image."""
    top, left, bottom, _ = box.round().astype(int).tolist()
    wide, high = draw.textbbox((0, 0), text, font_size=FONT)[2:]
    x = max(0, min(left, round(size[0] - wide) - 1))
    y = top - high - 4 if top - high >= 4 else min(bottom + 3, size[1] - high - 1)
    draw.text((x, y), text, MARK, font_size=FONT, stroke_width=2, stroke_fill="black")


def _enlarged(
    image: Float[np.ndarray, "h w"], times: int, how: Image.Resampling
) -> Float[np.ndarray, "h2 w2"]:
    height, width = image.shape
    return np.asarray(Image.fromarray(image).resize((width * times, height * times), how))
