"""Brightness, contrast and noise of values in [0, 255], as by Keras's layers of these names."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar


def brightness(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Add up to `strength` of the full range, either way."""
    shift = 255.0 * strength * jax.random.uniform(key, minval=-1.0)
    return jnp.clip(image + shift, 0.0, 255.0)


def contrast(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Stretch the distance from each channel's mean by a factor in [1 - strength, 1 + strength]."""
    change = strength * jax.random.uniform(key, minval=-1.0)
    mean = jnp.mean(image, axis=(0, 1), keepdims=True)
    return jnp.clip(image + change * (image - mean), 0.0, 255.0)


def noise(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """Add Gaussian noise with a standard deviation of `strength` of the full range."""
    # Drawn flat: XLA's CPU compiler takes long over random arrays of many axes.
    drawn = jax.random.normal(key, (image.size,)).reshape(image.shape)
    return jnp.clip(image + 255.0 * strength * drawn, 0.0, 255.0)
