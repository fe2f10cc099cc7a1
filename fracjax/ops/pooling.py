"""Max pooling of stride 2 with a backward pass that is fast on CPUs, too.

XLA turns the gradient of a max pooling into a search for the place of each maximum, which is slow
on CPUs (`benchmarks/levers.py`). Here the way forward keeps the place, one byte a value.
Dimension names: b batch, h height, w width, c channels.
"""

from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

STRIDE = 2


def max_pool(x: Float[Array, "b h w c"], side: int) -> Float[Array, "b h2 w2 c"]:
    """Max pooling with stride 2, VALID: rows and columns that fill no window are left out.

    The values and gradients of `nnx.max_pool`: the first of equal values takes the gradient.

    Args:
      x: maps.
      side: of the square window, 2 or more.
    """
    return _pool(x, side)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pool(x, side) -> Any:
    return reduce(jnp.maximum, _taps(x, side))


def _forward(x, side):
    best, *others = _taps(x, side)
    place = jnp.zeros(best.shape, jnp.uint8)
    for number, tap in enumerate(others, start=1):
        # A NaN must come through from wherever it is.
        better = (tap > best) | (jnp.isnan(tap) & ~jnp.isnan(best))
        best, place = jnp.where(better, tap, best), jnp.where(better, jnp.uint8(number), place)
    # Of x only the shape is needed on the way back, and an empty picture carries it.
    return best, (place, x[:0])


def _backward(side, residuals, g):
    # Row r of the input is seen by the window's rows i = r mod 2, so that each of the remainders is
    # a sum of its own, and they are interleaved at the end.
    place, empty = residuals
    more = (side - 1) // STRIDE
    around = ((0, 0), (more, more), (more, more), (0, 0))
    g, place = jnp.pad(g, around), jnp.pad(place, around, constant_values=side * side)
    rows, columns = g.shape[1] - more, g.shape[2] - more

    def remainder(row: int, column: int):
        total = 0.0
        for i in range(row, side, STRIDE):
            for j in range(column, side, STRIDE):
                top, left = more - i // STRIDE, more - j // STRIDE
                at = (slice(None), slice(top, top + rows), slice(left, left + columns))
                total += jnp.where(place[at] == side * i + j, g[at], 0.0)
        return total

    parts = jnp.stack(
        [jnp.stack([remainder(r, s) for s in range(STRIDE)], 3) for r in range(STRIDE)], 2
    )
    (b, _, _, c), (_, h, w, _) = g.shape, empty.shape
    whole = parts.reshape(b, rows * STRIDE, columns * STRIDE, c)
    # A last row that fills no window has no gradient.
    whole = jnp.pad(whole, ((0, 0), (0, STRIDE), (0, STRIDE), (0, 0)))
    return (whole[:, :h, :w],)


_pool.defvjp(_forward, _backward)


def _taps(x: Float[Array, "b h w c"], side: int) -> list[Float[Array, "b h2 w2 c"]]:
    """What each place of the window sees, by rows."""
    h2, w2 = ((n - side) // STRIDE + 1 for n in x.shape[1:3])
    rows, columns = (h2 - 1) * STRIDE + 1, (w2 - 1) * STRIDE + 1
    return [
        x[:, i : i + rows : STRIDE, j : j + columns : STRIDE]
        for i in range(side)
        for j in range(side)
    ]
