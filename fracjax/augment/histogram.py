"""Histogram equalisation and contrast stretching, by the 256 grey values.

Of a picture in colour the histogram is that of the luminance.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key, Scalar

from fracjax.augment.blend import blend
from fracjax.augment.luminance import luminance

LOW, HIGH = 2.0, 98.0  # percentiles that a stretch takes to black and white


def histogram(grey: Int32[Array, "..."]) -> Int32[Array, "256"]:
    """Count each of the 256 values.

    Whole numbers, so that the order in which a device adds them does not matter. On a CPU adding
    one by one is forty times as fast as products of indicator matrices.
    """
    ones = jnp.ones(grey.size, jnp.int32)
    return jnp.zeros(256, jnp.int32).at[grey.reshape(-1)].add(ones, mode="promise_in_bounds")


def equalise(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Spread the grey values so that their cumulative histogram becomes a straight line.

    The darkest value becomes 0 and the brightest 255; a picture of one value stays as it is. In
    colour, the luminance changes so and the three channels are shifted by its change.

    Source: OpenCV's equalizeHist.
    """
    del key
    grey = luminance(image)
    counts = histogram(grey)
    below = jnp.cumsum(counts) - counts[jnp.argmax(counts > 0)]
    table = jnp.round(below * (255.0 / jnp.maximum(below[-1], 1)))
    return blend(image, replace_luminance(image, grey, table[grey], below[-1] > 0), strength)


def stretch(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Take the `LOW` and `HIGH` percentiles linearly to 0 and 255, and what lies beyond as well.

    The percentiles are NumPy's, between neighbours in order if need be. A picture in which they
    are the same stays as it is. In colour, they are those of the luminance, and all three channels
    are taken by the same line.
    """
    del key
    grey = luminance(image)
    below = jnp.cumsum(histogram(grey))
    low, high = _percentile(below, grey.size, LOW), _percentile(below, grey.size, HIGH)
    wide = high > low
    line = (image - low) * (255.0 / jnp.where(wide, high - low, 1.0))
    return blend(image, jnp.where(wide, jnp.clip(line, 0.0, 255.0), image), strength)


def replace_luminance(
    image: Float[Array, "h w c"],
    old: Int32[Array, "h w"],
    new: Float[Array, "h w"],
    where: Array | bool = True,
) -> Float[Array, "h w c"]:
    """Shift all channels of a pixel by the change of its luminance, within [0, 255]."""
    change = jnp.where(where, new - old, 0.0)
    return jnp.clip(image + change[..., None], 0.0, 255.0)


def _percentile(below: Int32[Array, "256"], size: int, percent: float) -> Float[Array, ""]:
    """Percentile of `size` values whose cumulative histogram is `below`."""
    place = percent / 100.0 * (size - 1)
    first = int(place)
    # The value at a place in the order is the first that has more values up to it than that.
    value = jnp.sum(below <= first)
    following = jnp.sum(below <= min(first + 1, size - 1))
    return value + (place - first) * (following - value)
