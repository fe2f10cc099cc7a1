"""Batch normalisation in training, with the gradient written out, as a CPU is fast at it.

Flax's is differentiated term by term, which sums four maps and keeps the centred one. Written out
(Ioffe and Szegedy 2015, section 3) the gradient needs two sums, of what is there anyway. Elsewhere, in
bfloat16, and with running statistics the layer is Flax's own.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from fracjax.ops import backend

_PLACES = (0, 1, 2)


class BatchNorm(nnx.BatchNorm):
    """`nnx.BatchNorm` of maps, by `normalise`."""

    def __call__(
        self, x: Float[Array, "b h w c"], use_running_average: bool | None = None, **options
    ) -> Float[Array, "b h w c"]:
        running = self.use_running_average if use_running_average is None else use_running_average
        if running or options or self.dtype is not None or not backend.cpu_forms():
            return super().__call__(x, use_running_average, **options)
        ones = jnp.ones(x.shape[-1], x.dtype)
        scale = ones if self.scale is None else self.scale[...].astype(x.dtype)
        bias = 0 * ones if self.bias is None else self.bias[...].astype(x.dtype)
        y, mean, var = normalise(x, scale, bias, self.epsilon)
        for running_value, value in ((self.mean, mean), (self.var, var)):
            kept = self.momentum * running_value[...] + (1 - self.momentum) * value
            running_value[...] = lax.stop_gradient(kept)
        return y


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise(
    x: Float[Array, "b h w c"], scale: Float[Array, "c"], bias: Float[Array, "c"], epsilon: float
) -> tuple[Float[Array, "b h w c"], Float[Array, "c"], Float[Array, "c"]]:
    """The maps with mean and variance of their own made `bias` and `scale`²; both as they were.

    No gradient flows back through mean and variance themselves: they go into running averages.
    """
    mean = x.mean(_PLACES)
    var = jnp.maximum(0, (x * x).mean(_PLACES) - mean * mean)
    return (x - mean) * (lax.rsqrt(var + epsilon) * scale) + bias, mean, var


def _forward(x, scale, bias, epsilon):
    y, mean, var = normalise(x, scale, bias, epsilon)
    return (y, mean, var), (x, scale, mean, lax.rsqrt(var + epsilon))


def _backward(epsilon, residuals, gradients):
    x, scale, mean, over_deviation = residuals
    g, _, _ = gradients
    to_bias = g.sum(_PLACES)
    to_scale = over_deviation * ((g * x).sum(_PLACES) - mean * to_bias)
    n = x.size // x.shape[-1]
    through_both = to_bias / n + (x - mean) * (over_deviation * to_scale / n)
    return over_deviation * scale * (g - through_both), to_scale, to_bias


normalise.defvjp(_forward, _backward)
