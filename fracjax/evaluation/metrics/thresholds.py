"""Calls at a threshold, and thresholds chosen by a rule; conventions as in `roc_pr`."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from fracjax.evaluation.metrics.sorted_scores import sort_by_score


def calls(scores: Any, threshold: Any) -> Any:
    """Which studies are called positive: those whose score reaches the threshold.

    NumPy or JAX, and in the type of what is given.
    """
    return scores >= threshold


def youden_threshold(
    labels: Real[Array, "n"], scores: Float[Array, "n"], weights: Float[Array, "n"]
) -> Float[Array, ""]:
    """The threshold that maximises J = sensitivity + specificity - 1.

    Ties go to the highest threshold, i.e. to the fewest false alarms. +inf where no threshold beats
    chance (J <= 0 everywhere), NaN when a class has no weight.

    Source: Youden 1950, Cancer 3:32-35.
    """
    studies = sort_by_score(labels, scores, weights)
    p, q = studies.positives, studies.negatives
    # J times both class sizes: whole numbers, no rounding noise that could decide a tie.
    j = jnp.append(0.0, studies.true_positives * q - studies.false_positives * p)
    best = jnp.append(jnp.inf, studies.scores)[jnp.argmax(j)]
    return jnp.where(p * q > 0, best, jnp.nan)


def sensitivity_threshold(
    labels: Real[Array, "n"],
    scores: Float[Array, "n"],
    weights: Float[Array, "n"],
    target: float | Float[Array, ""],
) -> Float[Array, ""]:
    """The highest threshold with sensitivity >= target; NaN when a class has no weight.

    Args:
      labels: 0 (normal) or 1 (fracture).
      scores: no NaN.
      weights: how often each study counts.
      target: above 0, up to 1.
    """
    studies = sort_by_score(labels, scores, weights)
    # A quotient and a typed decimal of the same value are the same float64: both are rounded once.
    reached = studies.true_positives / studies.positives >= target
    defined = (studies.positives > 0) & (studies.negatives > 0)
    return jnp.where(defined, studies.scores[jnp.argmax(reached)], jnp.nan)
