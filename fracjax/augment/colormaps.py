"""Colour maps of the grey values: matplotlib's jet, hot, bone and viridis.

Of a picture in colour it is the luminance that is mapped.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Key, Scalar

from fracjax.augment.blend import blend
from fracjax.augment.luminance import luminance


def _transformation(name: str) -> Callable[[Array, Array, float | Scalar], Array]:
    """The map of that name as a function of (key, image, strength)."""

    def change(
        key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
    ) -> Float[Array, "h w 3"]:
        del key
        return _mapped(image, name, strength)

    return change


jet = _transformation("jet")  # dark blue, blue, cyan, yellow, red, dark red
hot = _transformation("hot")  # black, red, yellow, white
bone = _transformation("bone")  # grey with a tinge of blue
viridis = _transformation("viridis")  # violet, green, yellow, with evenly growing lightness


def map_colours(images: Float[Array, "b h w c"], name: str) -> Float[Array, "b h w c2"]:
    """Map a batch of values in [0, 255], on every part of a split; `none` leaves it as it is."""
    if name == "none":
        return images
    return jax.vmap(lambda image: _mapped(image, name, 1.0))(images)


@functools.cache
def table(name: str) -> Float32[np.ndarray, "256 3"]:
    """Red, green and blue in [0, 255] of each grey value, from matplotlib's map of that name."""
    # Imported late: a run without a colour map need not wait for it.
    import matplotlib as mpl

    return (255.0 * mpl.colormaps[name](np.arange(256))[:, :3]).astype(np.float32)


def _mapped(
    image: Float[Array, "h w c"], name: str, strength: float | Scalar
) -> Float[Array, "h w 3"]:
    """Values that are no whole numbers are rounded to the nearest."""
    colour = jnp.asarray(table(name)).at[luminance(image)].get(mode="promise_in_bounds")
    return blend(jnp.broadcast_to(image, colour.shape), colour, strength)
