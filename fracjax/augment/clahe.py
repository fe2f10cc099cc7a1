"""Contrast-limited adaptive histogram equalisation.

Source: Zuiderveld 1994, "Contrast limited adaptive histogram equalization", Graphics Gems IV; the
rule by which clipped counts are given back is OpenCV's (createCLAHE).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key, Scalar

from fracjax.augment.blend import blend
from fracjax.augment.histogram import histogram, replace_luminance
from fracjax.augment.luminance import luminance

TILES = 8  # to each side of the picture
CLIP = 2.0  # largest count of a value, as a multiple of the mean count


def clahe(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Equalise each of 8x8 tiles with a limit on its contrast, and blend between the tiles.

    In colour, the luminance changes so and the three channels are shifted by its change.
    """
    del key
    grey = luminance(image)
    tiles = _tiles(grey)
    tables = jax.vmap(_table)(tiles.reshape(TILES * TILES, -1))
    new = _interpolate(grey, tables, *tiles.shape[2:])
    return blend(image, replace_luminance(image, grey, new), strength)


def _tiles(grey: Int32[Array, "h w"]) -> Int32[Array, "8 8 th tw"]:
    """Cut the picture, continued by its mirror image to a multiple of eight, into tiles."""
    height, width = grey.shape
    if height % TILES or width % TILES:
        # OpenCV adds eight rows to a height that eight divides, if it does not divide the width.
        grey = jnp.pad(
            grey,
            ((0, TILES - height % TILES), (0, TILES - width % TILES)),
            mode="reflect",
        )
    rows, columns = grey.shape[0] // TILES, grey.shape[1] // TILES
    return grey.reshape(TILES, rows, TILES, columns).transpose(0, 2, 1, 3)


def _table(tile: Int32[Array, " n"]) -> Float[Array, "256"]:
    """New value of each grey value, by the histogram of one tile."""
    size = tile.size
    limit = max(int(CLIP * size / 256), 1)
    counts = histogram(tile)
    excess = jnp.sum(jnp.maximum(counts - limit, 0))
    # What is left after an even share for all goes, one by one, to values evenly spaced.
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


def _neighbours(
    side: int, tile: int
) -> tuple[Int32[Array, " n"], Int32[Array, " n"], Float[Array, " n"]]:
    """The tiles whose centres lie before and after each pixel, and how far it is between them."""
    place = jnp.arange(side, dtype=jnp.float32) / tile - 0.5
    before = jnp.floor(place)
    first = before.astype(jnp.int32)
    return jnp.maximum(first, 0), jnp.minimum(first + 1, TILES - 1), place - before
