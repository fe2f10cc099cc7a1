"""Random erasing: an image without one of its rectangles.

Source: Zhong et al. 2020, "Random Erasing Data Augmentation", arXiv:1708.04896. Here the area goes
up to 20 % of the image, not 40 %, for a fracture may be all there is to see, and what is erased
gets the image's mean, not noise, which has edges of its own.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, Scalar

from fracjax.augment.histogram import Image

SMALLEST, LARGEST = 0.02, 0.2  # of a rectangle, as fractions of the image's area
ASPECT = 3.3  # height by width, as fractions of the image's, is between 1 / ASPECT and this


def erase(key: Key[Array, ""], image: Image, fraction: float | Scalar) -> Image:
    """Fill a rectangle with the mean of each channel, in this fraction of the draws.

    Its area is drawn evenly, its proportions evenly in their logarithm, and its place evenly among
    those where all of it lies within the image: sides are at most sqrt(LARGEST * ASPECT), 81 %.
    """
    coin, of_shape, of_place = jax.random.split(key, 3)
    area, aspect = jax.random.uniform(of_shape, (2,))
    area = SMALLEST + (LARGEST - SMALLEST) * area
    aspect = jnp.exp(math.log(ASPECT) * (2.0 * aspect - 1.0))
    down, across = jax.random.uniform(of_place, (2,))
    rows = _span(image.shape[0], jnp.sqrt(area * aspect), down)
    columns = _span(image.shape[1], jnp.sqrt(area / aspect), across)
    inside = rows[:, None] & columns[None, :] & jax.random.bernoulli(coin, fraction)
    mean = jnp.mean(image, axis=(0, 1), keepdims=True)
    return jnp.where(inside[..., None], mean, image)


def _span(length: int, fraction: Scalar, place: Scalar) -> Bool[Array, " length"]:
    """Pixels along a side of a span of this fraction of it, at `place` in [0, 1) of all there are.

    At least one, rounded.
    """
    pixels = jnp.maximum(jnp.round(length * fraction), 1.0)
    first = jnp.floor(place * (length - pixels + 1.0))
    position = jnp.arange(length)
    return (position >= first) & (position < first + pixels)
