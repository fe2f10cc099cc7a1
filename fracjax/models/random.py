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


class Dropout(nnx.Dropout):
    """Zero a share `rate` of the values and scale up the rest, in training mode."""

    def __call__(
        self, inputs: Float[Array, "*dims"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "*dims"]:
        if self.deterministic or self.rate == 0.0:
            return inputs
        if rngs is None:
            raise ValueError("dropout in training mode draws from `rngs`: pass a key or streams")
        keep = 1.0 - self.rate
        mask = jax.random.bernoulli(rngs.dropout(), keep, (inputs.size,)).reshape(inputs.shape)
        return jnp.where(mask, inputs / keep, 0.0)
