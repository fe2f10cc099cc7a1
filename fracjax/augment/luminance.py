"""The grey value of a pixel, which indexes histograms and colour maps."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # ITU-R BT.601


def luminance(image: Float[Array, "h w c"]) -> Int32[Array, "h w"]:
    """Luminance of values in [0, 255], rounded to the nearest of the 256 grey values.

    Of a picture with one channel, it is that channel.
    """
    if image.shape[-1] == 1:
        grey = image[..., 0]
    else:
        grey = _RED * image[..., 0] + _GREEN * image[..., 1] + _BLUE * image[..., 2]
    return jnp.clip(jnp.round(grey), 0, 255).astype(jnp.int32)
