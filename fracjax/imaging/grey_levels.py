"""What the numbers in a file mean: how many are too many, and which grey each of them is.

The rules, each with its source, are in docs/pictures.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image, ImageChops

MAX_PIXELS = 2**30 // 12  # Pillow's own limit; a radiograph has a fifth of it
BIT_DEPTHS = (8, 12, 14, 16)  # of files that declare nothing: a detector of 10 bits says so
OUTLIERS = 0.01  # the part of the pixels at either end that does not set the depth
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


@dataclass(frozen=True)
class Declared:
    """How many bits a file says that its values have, where it says more than its container."""

    name: str  # of the element, tag or chunk that says so
    bits: int
    signed: bool = False  # whether one of the bits is of the sign
    beyond: int = 0  # the least depth, where the values need more bits than that


@dataclass(frozen=True)
class GreyRange:
    """Which stored value is black and which is white, and what is doubtful about it."""

    low: float
    high: float
    notes: tuple[str, ...] = ()
    undeclared_bits: int = 0  # that 99 % of the values need, 8 at least; 0 where some are declared


def grey_range(
    values: Num[np.ndarray, "..."], declared: Declared | None = None, depth: int | None = None
) -> GreyRange:
    """Black and white of whole numbers that no window or table gives a meaning.

    What a file declares is a lower bound. Without it the range is of `depth` bits, the one of all
    such files of a dataset. Where there is none, or more than 1 % of the values are above what is
    declared, the smallest of 8, 12, 14 and 16 bits that holds the other 99 %. Never the minimum and
    maximum themselves: one dead pixel would set the contrast, and two exposures of one limb would
    come out in two greys. Negative values count as such if more than 1 % are so:
    zero is in the middle of the range then.
    """
    low, high = quantiles(values)
    signed = low < 0
    needed = max(high, -low - 1 if signed else 0).bit_length() + signed
    usual = usual_depth(needed)
    notes = []
    if declared is None:
        bits = depth or usual
        if bits < needed or usual < bits:
            fit = f"need {needed}" if bits < needed else f"fit into {usual}"
            notes.append(
                f"depth: nothing is declared; read as {bits} bits, as all such files of the "
                f"dataset, but 99 % of the values {fit}"
            )
    else:
        own = declared.bits - (declared.signed and not signed)  # one bit is of the sign
        bits = own if needed <= own else max(usual, declared.beyond)
        if bits > own:
            notes.append(
                f"depth: {declared.name} declares {declared.bits} bits, but 99 % of the values "
                f"need {needed} bits; read as {bits}"
            )
        elif usual < own:
            notes.append(
                f"depth: {declared.name} declares {declared.bits} bits, but 99 % of the values "
                f"fit into {usual} bits; read as declared, and dark"
            )
    black, white = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    notes += _depth_of_a_few(values, low, high, bits)
    beyond = int(((values < black) | (values > white)).sum())
    if beyond:
        notes.append(
            f"depth: {beyond:,} of {values.size:,} values lie outside {black} to {white} "
            f"({values.min()} to {values.max()}) and are clipped"
        )
    undeclared_bits = 0 if declared else max(needed, BIT_DEPTHS[0])
    return GreyRange(float(black), float(white), tuple(notes), undeclared_bits)


def _depth_of_a_few(
    values: Num[np.ndarray, "..."], low: int, high: int, bits: int
) -> Iterator[str]:
    """Notes, if fewer than half of the values, but more than 1 %, set the depth or the zero.

    They are a marker or a background, all of one value or with a gap below; or negative values that
    are all of one value, or next to nothing beside the positive ones.
    """
    signed, half = low < 0, values.size / 2
    at_one = np.count_nonzero(values == high) > OUTLIERS * values.size
    others = values[values < (high if at_one else high // 2)]
    if others.size > half:
        most = quantiles(others)[1]
        usual = usual_depth(max(most, 0).bit_length() + signed)
        depth = min(bits, usual_depth(high.bit_length() + signed))  # what they make it
        if usual < depth and (at_one or 4 * most < high):
            part = 1 - others.size / values.size
            yield (
                f"depth: {part:.1%} of the values are far above the others, which fit into {usual} "
                f"bits (a marker or a background?); read as {bits}, and dark"
            )
    negative = values[values < 0]
    if signed and negative.size < half and (-16 * low <= high or negative.min() == negative.max()):
        yield (
            f"depth: {negative.size / values.size:.1%} of the values are negative, from "
            f"{negative.min()} on (padding?); zero is read as middle grey"
        )


def usual_depth(bits: int) -> int:
    """The smallest of 8, 12, 14 and 16 bits that so many fit into; themselves if none is."""
    return next((depth for depth in BIT_DEPTHS if depth >= bits), bits)


def quantiles(values: Num[np.ndarray, "..."]) -> tuple[int, int]:
    """The values below and above which 1 % lie."""
    tail = int(OUTLIERS * values.size)
    ordered = np.partition(values, (tail, values.size - 1 - tail), axis=None)
    return int(ordered[tail]), int(ordered[values.size - 1 - tail])


def eight_bits(
    values: Num[np.ndarray, "*shape"], low: float, high: float
) -> UInt8[np.ndarray, "*shape"]:
    """Grey levels 0 (at `low` and below) to 255 (at `high` and above), rounded to the nearest."""
    grey = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.rint(grey.clip(0, 255)).astype(np.uint8)


def single_grey(image: Image.Image) -> str:
    """A note, if all pixels are alike."""
    levels = [place % 256 for place, count in enumerate(image.histogram()) if count]
    if len(levels) > len(image.getbands()):
        return ""
    return f"one single grey: every pixel is {', '.join(map(str, levels))}"


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
