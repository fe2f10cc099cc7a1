"""Encoded files to squares of one form, each file once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from fracjax.imaging.decode_memory import decoding
from fracjax.imaging.read import DecodedImage, open_image

DECODE_VERSION = 5  # raise it with every change that alters pixels
# A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if that is still so many times the side that
# is asked for. Against the full decode, in grey levels: on radiographs no pixel differs by more
# than 12, and the mean by no more than 0.5; on noise and checkerboards, the worst there is, 32 and
# 2.5. A margin of 3 would be off by 8 in the mean of a checkerboard. Sides below 46, at which the
# bound does not hold, are decoded as if they were 46.
DRAFT_MARGIN, DRAFT_SIDE = 4, 46


@dataclass(frozen=True)
class ImageFormat:
    """What every image of a set is decoded to."""

    side: int  # height and width, pixels
    # stretched to the square, as in the paper (§7.3), or padded with black
    fit: Literal["stretch", "pad"] = "stretch"
    channels: int = 1  # 1 (grey) or 3 (colour)
    # bits of the values in files that have more than 8 and do not say how many; None where each is
    # read by its own values.
    depth: int | None = None


def decode(data: bytes, form: ImageFormat) -> UInt8[np.ndarray, "side side c"]:
    """Decode one file: upright, of 8 bits, in the form's size and channels.

    Shrinking averages over the pixels it merges, so that thin lines fade and do not vanish.
    `Unreadable` where it does not decode.
    """
    return decode_each(data, [form])[1][0]


@decoding()
def decode_each(
    data: bytes, forms: Sequence[ImageFormat]
) -> tuple[DecodedImage, list[UInt8[np.ndarray, "_ _ _"]]]:
    """A file's image, and what `decode` makes of it in each form, to the bit.

    It is decoded once for all forms; a JPEG once for each that differs, because the form says how
    little of one is decoded, and a file that declares no depth once for each depth.
    """
    coloured = max(forms, key=lambda form: form.channels)
    opened = _open(data, coloured)
    squares, notes = {coloured: _square(opened, coloured)}, [*opened.notes]
    for form in {*forms} - {coloured}:
        of_form, undeclared = opened, opened.undeclared_bits and form.depth != coloured.depth
        if opened.kind == "JPEG" or undeclared:
            of_form = _open(data, form)
        if undeclared:
            notes += of_form.notes
        squares[form] = _square(of_form, form)
    opened = replace(opened, notes=(*dict.fromkeys(notes),))
    return opened, [squares[form] for form in forms]


def _open(data: bytes, form: ImageFormat) -> DecodedImage:
    least = reduced_side(form.side)
    return open_image(data, grey=form.channels == 1, at_least=least, depth=form.depth)


def _square(opened: DecodedImage, form: ImageFormat) -> UInt8[np.ndarray, "side side c"]:
    if form.channels == 1 and opened.stored.mode != "L":
        opened = replace(opened, stored=opened.stored.convert("L"))
    top, left, height, width = letterbox_box((opened.width, opened.height), form)
    image = opened.resized(width, height)
    if form.channels == 3:
        image = image.convert("RGB")
    pixels = np.asarray(image).reshape(height, width, form.channels)
    if (height, width) == (form.side, form.side):
        return pixels
    square = np.zeros((form.side, form.side, form.channels), np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square


def reduced_side(side: int) -> int:
    """The smallest side to which a JPEG may be decoded for an image of this side, pixels."""
    return DRAFT_MARGIN * max(side, DRAFT_SIDE)


def letterbox_box(size: tuple[int, int], form: ImageFormat) -> tuple[int, int, int, int]:
    """Top, left, height and width, in pixels of its square, of an image of (width, height)."""
    if form.fit == "stretch":
        return 0, 0, form.side, form.side
    longer = max(size)
    width, height = (max(1, round(form.side * edge / longer)) for edge in size)
    return (form.side - height) // 2, (form.side - width) // 2, height, width
