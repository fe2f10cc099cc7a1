"""Max pooling of stride 2, and the mean of every place's neighbours, in forms fast on CPUs, too.

XLA turns the gradient of a max pooling into a search for the place of each maximum, which is slow
on CPUs. Here the way forward keeps the place, one byte a value. Its sum over windows is slow there
as well, forwards and backwards: it is the sum of three rows, and of three columns of that. What all
forms of this folder are worth together, `benchmarks/levers.py --levers native` measures.
"""

import operator
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fracjax.ops import _strided, backend

STRIDE = 2


def max_pool(x: Float[Array, "b h w c"], side: int) -> Float[Array, "b h2 w2 c"]:
    """Max pooling with stride 2, VALID: rows and columns that fill no window are left out.

    The values and gradients of `nnx.max_pool`: the first of equal values takes the gradient. The
    window is square, its side 2 or more.
    """
    if backend.native():
        return nnx.max_pool(x, (side, side), (STRIDE, STRIDE))
    return _pool(x, side)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pool(x, side) -> Any:
    return reduce(jnp.maximum, _strided.taps(x, (side, side), (STRIDE, STRIDE)))


def _forward(x, side):
    best, *others = _strided.taps(x, (side, side), (STRIDE, STRIDE))
    place = jnp.zeros(best.shape, jnp.uint8)
    for number, tap in enumerate(others, start=1):
        # A NaN must come through from wherever it is.
        better = (tap > best) | (jnp.isnan(tap) & ~jnp.isnan(best))
        best, place = jnp.where(better, tap, best), jnp.where(better, jnp.uint8(number), place)
    # Of x only the shape is needed on the way back, and an empty image carries it.
    return best, (place, x[:0])


def _backward(side, residuals, g):
    place, empty = residuals
    around = _strided.margins((side, side), STRIDE)
    g, place = jnp.pad(g, around), jnp.pad(place, around, constant_values=side * side)
    whole = _strided.seen_by(
        (side, side),
        STRIDE,
        g.shape[1:3],
        lambda i, j, at: jnp.where(place[at] == side * i + j, g[at], 0.0),
    )
    # A last row that fills no window has no gradient.
    whole = jnp.pad(whole, ((0, 0), (0, STRIDE), (0, STRIDE), (0, 0)))
    _, h, w, _ = empty.shape
    return (whole[:, :h, :w],)


_pool.defvjp(_forward, _backward)


def mean_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Mean of the 3×3 places around each, of as many as there are at a border; float32 at least.

    TensorFlow leaves the border's padding out of the mean; Flax counts it by default.
    """
    # A sum of bfloat16 would lose digits with each of its nine terms.
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if backend.cpu_forms():
        return _mean(x)
    # By name: jax2onnx puts a function of its own here, which takes nothing by position.
    return nnx.avg_pool(
        x, window_shape=(3, 3), strides=(1, 1), padding="SAME", count_include_pad=False
    )


@jax.custom_vjp
def _mean(x) -> Any:
    return _sums(x) / _counts(x)


def _sums(x):
    rows = _strided.taps(jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0))), (3, 1), (1, 1))
    columns = jnp.pad(reduce(operator.add, rows), ((0, 0), (0, 0), (1, 1), (0, 0)))
    return reduce(operator.add, _strided.taps(columns, (1, 3), (1, 1)))


def _counts(x):
    return _sums(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


# A place is in the mean of those that are in its own.
_mean.defvjp(lambda x: (_mean(x), None), lambda _, g: (_sums(g / _counts(g)),))
