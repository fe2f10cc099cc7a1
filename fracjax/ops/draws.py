"""Initial parameters and dropout, drawn as flat vectors.

The numbers are those that Flax would draw, but XLA's CPU compiler takes five to ten times as long
over the index arithmetic of a random array of four dimensions (`benchmarks/RESULTS.md`). They are
drawn in a few sizes, of which each array takes what it needs: element i of a draw depends on the
key and on i alone, and a network has fifty shapes to compile a draw for. InceptionV3 starts six
seconds earlier so.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float

from fracjax.ops.backend import native


def glorot_uniform(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32, **_) -> Array:
    """Uniform in ±√(6 / (fan in + fan out)), Keras's default (Glorot and Bengio 2010, eq. 16)."""
    window = math.prod(shape[:-2])
    limit = math.sqrt(6.0 / (window * (shape[-2] + shape[-1])))
    return _drawn(_uniform, key, shape, dtype, limit)


def fan_out_normal(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32, **_) -> Array:
    """Normal of variance 2 / fan out, cut at two deviations and scaled up to make up for it.

    Keras's `VarianceScaling(2.0, "fan_out", "truncated_normal")`, from which EfficientNet starts.
    """
    fan_out = math.prod(shape[:-2]) * shape[-1]
    deviation = math.sqrt(2.0 / fan_out) / 0.87962566103423978  # that of the cut normal
    return _drawn(_cut_normal, key, shape, dtype, deviation)


def normal_002(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32, **_) -> Array:
    """Normal of deviation 0.02 before it is cut at two deviations, for embeddings."""
    return _drawn(_cut_normal, key, shape, dtype, 0.02)


@partial(jax.jit, static_argnums=(1, 2))
def _uniform(key: Array, shape: tuple[int, ...], dtype: Any, limit: Any) -> Array:
    return jax.random.uniform(key, shape, dtype, -limit, limit)


@partial(jax.jit, static_argnums=(1, 2))
def _cut_normal(key: Array, shape: tuple[int, ...], dtype: Any, deviation: Any) -> Array:
    return deviation * jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)


def _drawn(draw: Any, key: Array, shape: tuple[int, ...], dtype: Any, scale: float) -> Array:
    if native():
        return draw(key, shape, dtype, scale)
    count = math.prod(shape)
    enough = draw(key, (1 << (count - 1).bit_length(),), dtype, scale)
    if isinstance(enough, Tracer):
        return enough[:count].reshape(shape)
    # On the host, where taking a part of an array needs no program.
    return jnp.asarray(np.asarray(enough)[:count].reshape(shape))


class Dropout(nnx.Dropout):
    """Zero the fraction `rate` of the values and scale up the rest, in training mode.

    Axes in `broadcast_dims` share one draw.
    """

    def __call__(
        self, inputs: Float[Array, "*dims"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "*dims"]:
        if self.deterministic or self.rate == 0.0:
            return inputs
        if rngs is None:
            raise ValueError("dropout in training mode draws from `rngs`: pass a key or streams")
        if native():
            return super().__call__(inputs, rngs=rngs)
        keep = 1.0 - self.rate
        shape = [1 if i in self.broadcast_dims else n for i, n in enumerate(inputs.shape)]
        mask = jax.random.bernoulli(rngs.dropout(), keep, (math.prod(shape),)).reshape(shape)
        return jnp.where(mask, inputs / keep, 0.0)


class DropPath(Dropout):
    """Stochastic depth (Huang et al. 2016): zero whole branches, in a fraction `rate` of images."""

    def __init__(self, rate: float):
        super().__init__(rate, broadcast_dims=(1, 2, 3), deterministic=True)
