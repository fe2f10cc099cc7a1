"""What the taps of a strided window see, and the way back to what they saw."""

import operator
from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

At = tuple[slice, slice, slice]


def taps(
    x: Float[Array, "b h w c"], window: tuple[int, ...], strides: tuple[int, ...]
) -> list[Float[Array, "b h2 w2 c"]]:
    """What each place of the window sees, by rows; rows that fill no window are left out."""
    rows, columns = _spans(x, window, strides)
    return [
        x[:, i : i + rows : strides[0], j : j + columns : strides[1]]
        for i in range(window[0])
        for j in range(window[1])
    ]


def map_taps(
    each: Callable[[Float[Array, "b h2 w2 c"]], Array],
    x: Float[Array, "b h w c"],
    window: tuple[int, ...],
    strides: tuple[int, ...],
) -> Float[Array, "taps ..."]:
    """`each` of what each place of the window sees: in a loop, which keeps `x` and cuts it.

    Written out, XLA's CPU backend makes the map anew, of what it was made of, for every tap. But
    several devices would have to add up their sums at every turn.
    """
    if jax.device_count() > 1:
        return jnp.stack([each(seen) for seen in taps(x, window, strides)])
    spans = _spans(x, window, strides)

    def at(place: tuple[Array, Array]) -> Array:
        cut = lax.dynamic_slice(x, (0, *place, 0), (x.shape[0], *spans, x.shape[-1]))
        return each(cut[:, :: strides[0], :: strides[1]])

    return lax.map(at, tuple(jnp.indices(window).reshape(2, -1)))


def _spans(x, window: tuple[int, ...], strides: tuple[int, ...]) -> list[int]:
    """How many rows and columns lie between the first and the last that a tap sees."""
    sides = zip(x.shape[1:3], window, strides, strict=True)
    return [((side - k) // step) * step + 1 for side, k, step in sides]


def margins(window: tuple[int, ...], stride: int) -> tuple[tuple[int, ...], ...]:
    """The padding of a map of outputs, (b, h2, w2, c), that `seen_by` cuts its parts out of."""
    rows, columns = ((k - 1) // stride for k in window)
    return (0, 0), (rows, rows), (columns, columns), (0, 0)


def seen_by(
    window: tuple[int, ...],
    stride: int,
    padded: tuple[int, ...],
    term: Callable[[int, int, At], Float[Array, "b h2 w2 c"]],
) -> Float[Array, "b h w c"]:
    """Give each input what the taps that saw it send back.

    Row r of the input is seen by the taps i = r mod stride, so that the rows (and columns) of each
    remainder are a sum of their own, and are interleaved at the end. `term` is what tap (i, j)
    sends back, given its slices of the map of outputs with its `margins`, whose sides are `padded`.
    """
    (_, (more_h, _), (more_w, _), _) = margins(window, stride)
    rows, columns = padded[0] - more_h, padded[1] - more_w  # of each remainder

    def remainder(row: int, column: int) -> Float[Array, "b h2 w2 c"]:
        terms = [
            term(i, j, (slice(None), slice(top, top + rows), slice(left, left + columns)))
            for i in range(row, window[0], stride)
            for j in range(column, window[1], stride)
            for top, left in [(more_h - i // stride, more_w - j // stride)]
        ]
        return reduce(operator.add, terms)

    parts = jnp.stack(
        [jnp.stack([remainder(r, s) for s in range(stride)], 3) for r in range(stride)], 2
    )
    return parts.reshape(parts.shape[0], rows * stride, columns * stride, parts.shape[-1])
