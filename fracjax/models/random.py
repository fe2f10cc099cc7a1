"""Random numbers of the networks: initial kernels and dropout masks, drawn as flat vectors.

The numbers are those that Flax would draw, but XLA's CPU compiler takes five to ten times as long
over the index arithmetic of a random array of four dimensions (`benchmarks/compile_random.py`).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key


def glorot_uniform(
    key: Key[Array, ""], shape: tuple[int, ...], dtype: Any = jnp.float32, **_: Any
) -> Float[Array, "*shape"]:
    """Uniform in ±√(6 / (fan in + fan out)), Keras's default (Glorot and Bengio 2010, eq. 16)."""
    window = math.prod(shape[:-2])
    limit = math.sqrt(6.0 / (window * (shape[-2] + shape[-1])))
    flat = jax.random.uniform(key, (math.prod(shape),), dtype, -limit, limit)
    return flat.reshape(shape)


def fan_out_normal(
    key: Key[Array, ""], shape: tuple[int, ...], dtype: Any = jnp.float32, **_: Any
) -> Float[Array, "*shape"]:
    """Normal of variance 2 / fan out, cut at two deviations and scaled up to make up for it.

    Keras's `VarianceScaling(2.0, "fan_out", "truncated_normal")`, from which EfficientNet starts.
    """
    fan_out = math.prod(shape[:-2]) * shape[-1]
    deviation = math.sqrt(2.0 / fan_out) / 0.87962566103423978  # that of the cut normal
    flat = jax.random.truncated_normal(key, -2.0, 2.0, (math.prod(shape),), dtype)
    return (deviation * flat).reshape(shape)


class Dropout(nnx.Dropout):
    """Zero a share `rate` of the values and scale up the rest, in training mode.

    Axes in `broadcast_dims` share one draw.
    """

    def __call__(
        self, inputs: Float[Array, "*dims"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "*dims"]:
        if self.deterministic or self.rate == 0.0:
            return inputs
        if rngs is None:
            raise ValueError("dropout in training mode draws from `rngs`: pass a key or streams")
        keep = 1.0 - self.rate
        shape = [1 if i in self.broadcast_dims else n for i, n in enumerate(inputs.shape)]
        mask = jax.random.bernoulli(rngs.dropout(), keep, (math.prod(shape),)).reshape(shape)
        return jnp.where(mask, inputs / keep, 0.0)


class DropPath(Dropout):
    """Stochastic depth (Huang et al. 2016): zero the whole branch of a share `rate` of pictures."""

    def __init__(self, rate: float):
        super().__init__(rate, broadcast_dims=(1, 2, 3), deterministic=True)
