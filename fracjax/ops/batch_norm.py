"""Batch normalisation in training, with the gradient written out, as a CPU is fast at it.

Flax's is differentiated term by term, which sums four maps and keeps the centred one. Written out
(Ioffe and Szegedy 2015, section 3) the gradient needs two sums, of what is there anyway. Elsewhere,
in bfloat16, and with running statistics the layer is Flax's own.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from fracjax.ops import backend


class _Statistic(nnx.BatchStat):
    """A running statistic, replaced whole.

    Flax would ask where the value that takes its place lies. While a network is traced, JAX answers
    with a search of all that was traced so far, which took a third of the tracing.
    """

    def __setitem__(self, key: Any, value: Array) -> None:
        assert key is Ellipsis, key
        self.set_value(value)


class BatchNorm(nnx.BatchNorm):
    """`nnx.BatchNorm` of the last axis, by `normalise`."""

    def __init__(self, num_features: int, **options: Any):
        super().__init__(num_features, **options)
        self.mean, self.var = _Statistic(self.mean[...]), _Statistic(self.var[...])

    def __call__(
        self, x: Float[Array, "... c"], use_running_average: bool | None = None, **options
    ) -> Float[Array, "... c"]:
        running = self.use_running_average if use_running_average is None else use_running_average
        if running or options or not _written_out(self.dtype):
            return super().__call__(x, use_running_average, **options)
        # Statistics are of float32 at least, as Flax's.
        maps = x.reshape(-1, x.shape[-1]).astype(jnp.promote_types(x.dtype, jnp.float32))
        ones = jnp.ones(x.shape[-1], maps.dtype)
        scale = ones if self.scale is None else self.scale[...].astype(maps.dtype)
        bias = 0 * ones if self.bias is None else self.bias[...].astype(maps.dtype)
        y, *statistics = normalise(maps, scale, bias, self.epsilon)
        for kept, value in zip((self.mean, self.var), statistics, strict=True):
            moved = self.momentum * kept[...] + (1 - self.momentum) * value
            kept[...] = lax.stop_gradient(moved)
        return y.astype(self.dtype or x.dtype).reshape(x.shape)


def _written_out(dtype: Any) -> bool:
    return dtype is None and backend.cpu_forms()


@jax.custom_vjp
def normalise(
    x: Float[Array, "n c"], scale: Float[Array, "c"], bias: Float[Array, "c"], epsilon: Any
) -> tuple[Float[Array, "n c"], Float[Array, "c"], Float[Array, "c"]]:
    """`x` with a mean of `bias` and a deviation of `scale`; and its mean and variance before that.

    No gradient flows back through the mean and variance given, which running averages are made of.
    """
    mean = x.mean(0)
    var = jnp.maximum(0, (x * x).mean(0) - mean * mean)
    by = lax.rsqrt(var + epsilon) * scale
    return (x - mean[None]) * by[None] + bias[None], mean, var


def _forward(x, scale, bias, epsilon):
    y, mean, var = normalise(x, scale, bias, epsilon)
    return (y, mean, var), (x, scale, mean, lax.rsqrt(var + epsilon))


def _backward(residuals, gradients):
    x, scale, mean, over_deviation = residuals
    g, _, _ = gradients
    to_bias = g.sum(0)
    to_scale = over_deviation * ((g * x).sum(0) - mean * to_bias)
    through_mean, through_deviation = to_bias / len(x), over_deviation * to_scale / len(x)
    own = g - through_mean[None] - (x - mean[None]) * through_deviation[None]
    return (over_deviation * scale)[None] * own, to_scale, to_bias, None


normalise.defvjp(_forward, _backward)
