"""Part of the way from a picture to its transform, for transforms that have nothing to draw."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar


def blend(
    image: Float[Array, "h w c"], full: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """`image` at strength 0, bit for bit, and `full` at strength 1; grey values in [0, 255]."""
    return jnp.clip(image + strength * (full - image), 0.0, 255.0)
