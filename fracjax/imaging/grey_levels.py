"""What the numbers in a file mean: how many are too many, and which grey each of them is."""

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image, ImageChops

MAX_PIXELS = 2**30 // 12  # Pillow's own limit; a radiograph has a fifth of it
BIT_DEPTHS = (8, 10, 12, 14, 16)  # of detectors and of the files written from them
COLOUR_DIFFERENCE = 20  # grey levels between two channels; the chroma noise of JPEG stays below
COLOUR_FRACTION = 0.001  # of the pixels


class Unreadable(ValueError):
    """Why a file is not read. The message begins with the kind of reason, then a colon."""


def check_size(width: int, height: int) -> None:
    """Refuse an image that would fill the memory, before anything of it is decoded."""
    if width * height > MAX_PIXELS:
        raise Unreadable(
            f"decompression bomb: {width:,} x {height:,} pixels, "
            f"more than the {MAX_PIXELS:,} allowed"
        )


def nominal_range(values: Num[np.ndarray, "..."]) -> tuple[float, float]:
    """The range of the detector that gave such whole numbers: which of them is black, which white.

    The smallest of 8, 10, 12, 14 and 16 bits that holds them: many radiographs come as 12 bits in
    a file of 16, whose full range would leave them nearly black. Not their own minimum and maximum:
    one marker, or one dead pixel, would set the contrast.
    """
    low, high = int(values.min()), int(values.max())
    needed = max(high, -low - 1).bit_length() + (low < 0)
    bits = next((depth for depth in BIT_DEPTHS if depth >= needed), needed)
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if low < 0 else (0.0, 2.0**bits - 1)


def eight_bits(
    values: Num[np.ndarray, "*shape"], low: float, high: float
) -> UInt8[np.ndarray, "*shape"]:
    """Grey levels 0 (at `low` and below) to 255 (at `high` and above), rounded to the nearest."""
    grey = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.rint(grey.clip(0, 255)).astype(np.uint8)


def has_colour(image: Image.Image) -> bool:
    """Whether more than 0.1 % of the pixels differ by over 20 grey levels between channels."""
    if image.mode != "RGB":
        return False
    red, green, blue = image.split()
    highest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    lowest = ImageChops.darker(ImageChops.darker(red, green), blue)
    differences = ImageChops.subtract(highest, lowest).histogram()
    coloured = sum(differences[COLOUR_DIFFERENCE + 1 :])
    return coloured > COLOUR_FRACTION * image.width * image.height
