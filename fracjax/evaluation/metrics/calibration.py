"""Do probabilities mean what they say? For `jit` and `vmap`.

Binary functions take labels [n] (0 normal, 1 fracture), probabilities of a fracture [n] (0 .. 1)
and weights [n] (how often each study counts, not below 0). Figures are NaN without any weight.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Real

from fracjax.evaluation.metrics.sorted_scores import cumulative


class Bins(NamedTuple):
    """Studies by probability, in m bins.

    Attributes:
      edges: rising; bin i lies between edges i and i + 1.
      weight: of the studies in each bin; 0 is possible.
      mean_score: mean probability in each; NaN where there is no weight.
      observed: share of fractures in each; likewise.
    """

    edges: Float[Array, "m1"]
    weight: Float[Array, "m"]
    mean_score: Float[Array, "m"]
    observed: Float[Array, "m"]


def brier(
    labels: Real[Array, "n"], probabilities: Float[Array, "n"], weights: Float[Array, "n"]
) -> Float[Array, ""]:
    """Mean squared difference of probability and outcome; 0.25 for a constant 0.5.

    For two classes, half of what Brier summed over both; as scikit-learn's `brier_score_loss`.

    Source: Brier 1950, Monthly Weather Review 78:1-3.
    """
    return jnp.sum(weights * (probabilities - labels) ** 2) / weights.sum()


def brier_of_classes(
    labels: Integer[Array, "n"], probabilities: Float[Array, "n k"], weights: Float[Array, "n"]
) -> Float[Array, ""]:
    """Mean over studies of the squared differences summed over k classes, 0 .. 2.

    Source: Brier 1950, equation 2.
    """
    right = jax.nn.one_hot(labels, probabilities.shape[1], dtype=probabilities.dtype)
    return jnp.sum(weights * ((probabilities - right) ** 2).sum(axis=1)) / weights.sum()


def log_loss(
    labels: Integer[Array, "n"], probabilities: Float[Array, "n k"], weights: Float[Array, "n"]
) -> Float[Array, ""]:
    """Mean of -log(probability of the true class), in nats.

    Infinite where a probability of 0 came true; scikit-learn puts the smallest float there.

    Source: Good 1952, "Rational decisions".
    """
    chosen = jnp.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    lost = jnp.where(weights > 0, -weights * jnp.log(chosen), 0)  # 0 · inf: not drawn, not lost
    return lost.sum() / weights.sum()


def equal_width_bins(
    labels: Real[Array, "n"],
    probabilities: Float[Array, "n"],
    weights: Float[Array, "n"],
    bins: int,
) -> Bins:
    """Bins of equal width over [0, 1]; a study is in one when low <= probability < high.

    A probability of 1 is in the last one. `bins` is static. scikit-learn's `calibration_curve` has
    low < probability <= high instead, which differs for probabilities that are edges.
    """
    # NumPy's: compiled, a division by a constant becomes a multiplication, and 0.3 is 0.30…04.
    edges = jnp.asarray(np.arange(bins + 1) / bins, probabilities.dtype)
    # Against the edges themselves: probability · bins would be rounded.
    at = jnp.clip(jnp.searchsorted(edges, probabilities, side="right") - 1, 0, bins - 1)
    one_hot = jax.nn.one_hot(at, bins, dtype=probabilities.dtype)
    columns = (one_hot, one_hot * probabilities[:, None], one_hot * labels[:, None])
    weight, score, fractures = (weights @ column for column in columns)
    return Bins(edges, weight, score / weight, fractures / weight)


def equal_mass_bins(
    labels: Real[Array, "n"],
    probabilities: Float[Array, "n"],
    weights: Float[Array, "n"],
    bins: int,
) -> Bins:
    """Bins of about as many studies each, between quantiles of the probabilities.

    A study is in a bin when low < probability <= high, in the first one when it is its low end, so
    that ties stay together and a bin may be empty. Quantiles are NumPy's (linear), of the studies
    repeated as often as `weights`, whole numbers, say. `bins` is static. The bins are those of
    scikit-learn's `calibration_curve(strategy="quantile")`, which leaves out the empty ones.
    """
    order = jnp.argsort(probabilities)
    p, w = probabilities[order], weights[order]
    below = cumulative(w)
    total = below[-1]
    # Study number h of the repeated ones, from 0; whole where it is, with a single rounding.
    # (Behind a barrier, or the compiler multiplies by a rounded 1 / bins.)
    h = (total - 1) * jnp.arange(bins + 1) / jax.lax.optimization_barrier(total.dtype.type(bins))
    lower = jnp.searchsorted(below, jnp.floor(h), side="right")
    upper = jnp.searchsorted(below, jnp.minimum(jnp.floor(h) + 1, total - 1), side="right")
    edges = p[lower] + (h - jnp.floor(h)) * (p[upper] - p[lower])
    # In the order of probabilities a bin is a run of studies: a difference of running sums.
    ends = jnp.searchsorted(p, edges, side="right")
    ends = ends.at[0].set(0).at[-1].set(p.size)

    def within(values: Float[Array, "n"]) -> Float[Array, "m"]:
        return jnp.diff(jnp.append(0.0, cumulative(values))[ends])

    weight, fractures = within(w), within(w * labels[order])
    return Bins(edges, weight, within(w * p) / weight, fractures / weight)


def calibration_error(bins: Bins) -> Float[Array, ""]:
    """Expected calibration error: mean over studies of |mean probability - share| of their bin.

    It is at least 0, and above 0 for a perfectly calibrated network too: the fewer studies, the
    more.

    Source: Naeini, Cooper and Hauskrecht 2015, AAAI.
    """
    gap = jnp.abs(bins.mean_score - bins.observed)
    return jnp.sum(jnp.where(bins.weight > 0, bins.weight * gap, 0)) / bins.weight.sum()
