"""Studies in the order of falling scores, with those of one score kept together.

What all curves are made of. Shapes are those of the studies, whatever the ties: a study carries the
counts at its own score, and so studies of one score carry the same.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Real, Shaped

_BLOCK = 32


class SortedScores(NamedTuple):
    """n studies from the highest score to the lowest.

    Attributes:
      scores: falling.
      true_positives: weight of fractures with at least this score.
      false_positives: weight of normal studies with at least this score.
      true_positives_above: weight of fractures with a higher score.
      false_positives_above: weight of normal studies with a higher score.
      last: whether this is the last study of its score.
    """

    scores: Float[Array, "n"]
    true_positives: Float[Array, "n"]
    false_positives: Float[Array, "n"]
    true_positives_above: Float[Array, "n"]
    false_positives_above: Float[Array, "n"]
    last: Shaped[Array, "n"]

    @property
    def positives(self) -> Float[Array, ""]:
        """Weight of all fractures."""
        return self.true_positives[-1]

    @property
    def negatives(self) -> Float[Array, ""]:
        """Weight of all normal studies."""
        return self.false_positives[-1]


def sort_by_score(
    labels: Real[Array, "n"], scores: Float[Array, "n"], weights: Float[Array, "n"]
) -> SortedScores:
    """Sort, and count above and down to each score. Exact where weights are whole numbers.

    Args:
      labels: 0 (normal) or 1 (fracture).
      scores: no NaN.
      weights: how often each study counts, not below 0.
    """
    order = jnp.argsort(-scores)
    s, w = scores[order], weights[order]
    fractures = cumulative(w * labels[order])
    normals = cumulative(w * (1 - labels[order]))
    first, last = _ends_of_ties(s)
    return SortedScores(
        scores=s,
        true_positives=fractures[last],
        false_positives=normals[last],
        true_positives_above=_before(fractures, first),
        false_positives_above=_before(normals, first),
        last=last == jnp.arange(s.size),
    )


def cumulative(x: Float[Array, "n"]) -> Float[Array, "n"]:
    """The running sum, as products with triangles of ones.

    On the CPU XLA's own running sum of many rows takes two to four times as long.
    """
    n = x.size
    if n <= _BLOCK:
        return _times_triangle(x)
    blocks = jnp.pad(x, (0, -n % _BLOCK)).reshape(-1, _BLOCK)
    within = _times_triangle(blocks)
    before = cumulative(within[:, -1]) - within[:, -1]
    return (within + before[:, None]).reshape(-1)[:n]


def _times_triangle(x: Float[Array, "*rows n"]) -> Float[Array, "*rows n"]:
    triangle = jnp.triu(jnp.ones((x.shape[-1], x.shape[-1]), x.dtype))
    return jnp.matmul(x, triangle, precision=jax.lax.Precision.HIGHEST)


def _ends_of_ties(
    scores: Float[Array, "n"],
) -> tuple[Integer[Array, "n"], Integer[Array, "n"]]:
    """Where the first and where the last study of the same score stands."""
    positions = jnp.arange(scores.size)
    new = jnp.append(True, scores[1:] != scores[:-1])
    first = jax.lax.cummax(jnp.where(new, positions, 0))
    ends = jnp.append(new[1:], True)
    last = jax.lax.cummin(jnp.where(ends, positions, scores.size), reverse=True)
    return first, last


def _before(counts: Float[Array, "n"], first: Integer[Array, "n"]) -> Float[Array, "n"]:
    return jnp.where(first > 0, counts[first - 1], 0)
