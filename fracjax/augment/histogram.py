"""Histogram equalisation, contrast stretching and CLAHE, by the 256 grey values.

In colour the histogram is that of the luminance, and where nothing else is said the three channels
of a pixel are shifted by its change.

Source of CLAHE: Zuiderveld 1994, "Contrast limited adaptive histogram equalization", Graphics Gems
IV; the rule by which clipped counts are given back is OpenCV's (createCLAHE).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key

Image = Float[Array, "h w c"]

LOW, HIGH = 2.0, 98.0  # percentiles that a stretch takes to black and white
TILES = 8  # of CLAHE, to each side of the image
CLIP = 2.0  # largest count of a value in CLAHE, as a multiple of the mean count
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # ITU-R BT.601


def luminance(image: Float[Array, "*b h w c"]) -> Int32[Array, "*b h w"]:
    """Luminance of values in [0, 255], or the only channel, rounded to whole grey values."""
    if image.shape[-1] == 1:
        grey = image[..., 0]
    else:
        grey = _RED * image[..., 0] + _GREEN * image[..., 1] + _BLUE * image[..., 2]
    return jnp.clip(jnp.round(grey), 0, 255).astype(jnp.int32)


def histogram(grey: Int32[Array, "..."]) -> Int32[Array, "256"]:
    """Count each of the 256 values.

    Whole numbers, so that the order in which a device adds them does not matter. On a CPU adding
    one by one is forty times as fast as products of indicator matrices.
    """
    ones = jnp.ones(grey.size, jnp.int32)
    return jnp.zeros(256, jnp.int32).at[grey.reshape(-1)].add(ones, mode="promise_in_bounds")


def equalise(key: Key[Array, ""], image: Image) -> Image:
    """Spread the grey values so that their cumulative histogram becomes a straight line.

    The darkest value becomes 0 and the brightest 255; an image of one value stays as it is.

    Source: OpenCV's equalizeHist.
    """
    grey = luminance(image)
    counts = histogram(grey)
    below = jnp.cumsum(counts) - counts[jnp.argmax(counts > 0)]
    table = jnp.round(below * (255.0 / jnp.maximum(below[-1], 1)))
    return _replace_luminance(image, grey, table[grey], below[-1] > 0)


def stretch(key: Key[Array, ""], image: Image) -> Image:
    """Take the `LOW` and `HIGH` percentiles linearly to 0 and 255, and what lies beyond as well.

    The percentiles are NumPy's, between neighbours in order if need be. An image in which they
    are the same stays as it is. In colour, all three channels are taken by the same line.
    """
    grey = luminance(image)
    below = jnp.cumsum(histogram(grey))
    low, high = _percentile(below, grey.size, LOW), _percentile(below, grey.size, HIGH)
    wide = high > low
    line = (image - low) * (255.0 / jnp.where(wide, high - low, 1.0))
    return jnp.where(wide, jnp.clip(line, 0.0, 255.0), image)


def clahe(key: Key[Array, ""], image: Image) -> Image:
    """Equalise each of 8x8 tiles with a limit on its contrast, and blend between the tiles."""
    grey = luminance(image)
    tiles = _tiles(grey)
    tables = jax.vmap(_table)(tiles.reshape(TILES * TILES, -1))
    new = _interpolate(grey, tables, *tiles.shape[2:])
    return _replace_luminance(image, grey, new)


def _tiles(grey: Int32[Array, "h w"]) -> Int32[Array, "8 8 th tw"]:
    """Cut the image, continued by its mirror image to a multiple of eight, into tiles."""
    height, width = grey.shape
    if height % TILES or width % TILES:
        # OpenCV adds eight rows to a height that eight divides, if it does not divide the width.
        more = [(0, TILES - side % TILES) for side in (height, width)]
        grey = jnp.pad(grey, more, mode="reflect")
    rows, columns = grey.shape[0] // TILES, grey.shape[1] // TILES
    return grey.reshape(TILES, rows, TILES, columns).transpose(0, 2, 1, 3)


def _table(tile: Int32[Array, " n"]) -> Float[Array, "256"]:
    """New value of each grey value, by the histogram of one tile."""
    size = tile.size
    limit = max(int(CLIP * size / 256), 1)
    counts = histogram(tile)
    excess = jnp.sum(jnp.maximum(counts - limit, 0))
    # What is left after an even part for all goes, one by one, to values evenly spaced.
    rest = excess % 256
    step = jnp.maximum(256 // jnp.maximum(rest, 1), 1)
    value = jnp.arange(256)
    gets_one = (value % step == 0) & (value // step < rest)
    even = jnp.minimum(counts, limit) + excess // 256 + gets_one
    return jnp.clip(jnp.round(jnp.cumsum(even) * (255.0 / size)), 0.0, 255.0)


def _interpolate(
    grey: Int32[Array, "h w"], tables: Float[Array, "64 256"], rows: int, columns: int
) -> Float[Array, "h w"]:
    """Blend what the four nearest tiles, of so many rows and columns, make of each pixel."""
    height, width = grey.shape
    top, bottom, down = _neighbours(height, rows)
    left, right, across = _neighbours(width, columns)
    flat = tables.reshape(-1)

    def look_up(row: Int32[Array, " h"], column: Int32[Array, " w"]) -> Float[Array, "h w"]:
        tile = TILES * row[:, None] + column[None, :]
        return flat.at[256 * tile + grey].get(mode="promise_in_bounds")

    down, across = down[:, None], across[None, :]
    upper = look_up(top, left) * (1 - across) + look_up(top, right) * across
    lower = look_up(bottom, left) * (1 - across) + look_up(bottom, right) * across
    return jnp.round(upper * (1 - down) + lower * down)


def _neighbours(side: int, tile: int) -> tuple[Array, Array, Array]:
    """The tiles whose centres lie before and after each pixel, and how far it is between them."""
    position = jnp.arange(side, dtype=jnp.float32) / tile - 0.5
    before = jnp.floor(position)
    first = before.astype(jnp.int32)
    return jnp.maximum(first, 0), jnp.minimum(first + 1, TILES - 1), position - before


def _replace_luminance(
    image: Image, old: Int32[Array, "h w"], new: Float[Array, "h w"], where: Array | bool = True
) -> Image:
    """Shift all channels of a pixel by the change of its luminance, within [0, 255]."""
    change = jnp.where(where, new - old, 0.0)
    return jnp.clip(image + change[..., None], 0.0, 255.0)


def _percentile(below: Int32[Array, "256"], size: int, percent: float) -> Float[Array, ""]:
    """Percentile of `size` values whose cumulative histogram is `below`."""
    position = percent / 100.0 * (size - 1)
    first = int(position)
    # The value at a position in the order is the first that has more values up to it than that.
    value = jnp.sum(below <= first)
    following = jnp.sum(below <= min(first + 1, size - 1))
    return value + (position - first) * (following - value)
