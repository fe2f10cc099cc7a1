"""Encoded files to squares of one form, each file once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from fracjax.datasets.picture import open_picture

DECODE_VERSION = 2  # raise it with every change that alters pixels
# A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if that is still so many times the side that
# is asked for. Against the full decode, in grey levels: on radiographs no pixel differs by more
# than 12, and the mean by no more than 0.5; on noise and checkerboards, the worst there is, 32 and
# 2.5. A margin of 3 would be off by 8 in the mean of a checkerboard. Sides below 46, at which the
# bound does not hold, are decoded as if they were 46.
DRAFT_MARGIN, DRAFT_SIDE = 4, 46


@dataclass(frozen=True)
class Form:
    """What every picture of a set is decoded to.

    Attributes:
      side: height and width, pixels.
      fit: stretched to the square, as in the paper (§7.3), or padded with black.
      channels: 1 (grey) or 3 (colour).
    """

    side: int
    fit: Literal["stretch", "pad"] = "stretch"
    channels: int = 1


def decode(data: bytes, form: Form) -> UInt8[np.ndarray, "side side c"]:
    """Decode one file: upright, of 8 bits, in the form's size and channels.

    Shrinking averages over the pixels it merges, so that thin lines fade and do not vanish.

    Raises:
      Unreadable: it does not decode. The audit has refused such files before.
    """
    opened = open_picture(data, grey=form.channels == 1, at_least=reduced_side(form.side))
    width, height = _inner_size((opened.width, opened.height), form)
    image = opened.resized(width, height)
    if form.channels == 3:
        image = image.convert("RGB")
    pixels = np.asarray(image).reshape(height, width, form.channels)
    if (height, width) == (form.side, form.side):
        return pixels
    square = np.zeros((form.side, form.side, form.channels), np.uint8)
    top, left = (form.side - height) // 2, (form.side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def reduced_side(side: int) -> int:
    """The smallest side to which a JPEG may be decoded for a picture of this side, pixels."""
    return DRAFT_MARGIN * max(side, DRAFT_SIDE)


def _inner_size(size: tuple[int, int], form: Form) -> tuple[int, int]:
    """Width and height of the picture within its square."""
    if form.fit == "stretch":
        return form.side, form.side
    longer = max(size)
    width, height = (max(1, round(form.side * edge / longer)) for edge in size)
    return width, height
