"""Gamma and the negative: each value of [0, 255] by itself."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from fracjax.augment.blend import blend


def gamma(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """255 (x / 255)^g, with g up to a factor of 2^strength above or below 1."""
    exponent = jnp.exp2(strength * jax.random.uniform(key, minval=-1.0))
    # A factor on x, so that an exponent of 1 is exact; black stays black, whatever its factor.
    share = jnp.maximum(image / 255.0, 1e-6)
    return jnp.clip(image * share ** (exponent - 1.0), 0.0, 255.0)


def negative(
    key: Key[Array, ""], image: Float[Array, "h w c"], strength: float | Scalar
) -> Float[Array, "h w c"]:
    """255 - x."""
    del key
    return blend(image, 255.0 - image, strength)
