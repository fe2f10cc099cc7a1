"""Another hue of the same saturation and value."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar


def hue(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Turn the hue by up to 180 degrees times `strength`, either way, in HSV; grey stays grey.

    Source: Smith 1978, "Color gamut transform pairs"; HSV keeps the largest and the smallest of
    the three channels, and the hue says how they lie between them.
    """
    if image.shape[-1] == 1:
        return image
    turn = 3.0 * strength * jax.random.uniform(key, minval=-1.0)  # in sextants
    red, green, blue = (image[..., i] for i in range(3))
    value = jnp.max(image, axis=-1)
    chroma = value - jnp.min(image, axis=-1)
    divisor = jnp.where(chroma > 0, chroma, 1.0)
    sextant = jnp.where(
        value == red,
        (green - blue) / divisor,
        jnp.where(value == green, 2.0 + (blue - red) / divisor, 4.0 + (red - green) / divisor),
    )
    channels = []
    for first in (5.0, 3.0, 1.0):  # where on the circle red, green and blue are smallest
        place = jnp.mod(first + sextant + turn, 6.0)
        channels.append(value - chroma * jnp.clip(jnp.minimum(place, 4.0 - place), 0.0, 1.0))
    turned = jnp.clip(jnp.stack(channels, axis=-1), 0.0, 255.0)
    # There and back again is not exact; no turn is.
    return jnp.where(turn == 0, image, turned)
