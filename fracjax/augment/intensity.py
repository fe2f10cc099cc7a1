"""Brightness and contrast of grey values in [0, 255]."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def brightness(
    key: Key[Array, ""], image: Float[Array, "h w 1"], strength: float
) -> Float[Array, "h w 1"]:
    """Add up to `strength` of the full range, either way."""
    return image + 255.0 * strength * jax.random.uniform(key, minval=-1.0)


def contrast(
    key: Key[Array, ""], image: Float[Array, "h w 1"], strength: float
) -> Float[Array, "h w 1"]:
    """Stretch the distance from the picture's mean by a factor in [1 - strength, 1 + strength]."""
    factor = 1.0 + strength * jax.random.uniform(key, minval=-1.0)
    return (image - jnp.mean(image)) * factor + jnp.mean(image)
