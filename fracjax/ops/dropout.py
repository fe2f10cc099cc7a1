"""Dropout whose masks are drawn as flat vectors, for the reason that `initializers` gives."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fracjax.ops.backend import native


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
