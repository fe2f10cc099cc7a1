"""How far probabilities are from outcomes, and what calling studies by them is worth.

Functions take labels [n] (0 normal, 1 fracture), probabilities of a fracture [n] (0 .. 1) and
weights [n] (how often each study counts, not below 0). Metrics are NaN without any weight.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from fracjax.evaluation.metrics.thresholds import calls


def brier(
    labels: Real[Array, "n"], probabilities: Float[Array, "n"], weights: Float[Array, "n"]
) -> Float[Array, ""]:
    """Mean squared difference of probability and outcome; 0.25 for a constant 0.5.

    For two classes, half of what Brier summed over both; as scikit-learn's `brier_score_loss`.

    Source: Brier 1950, Monthly Weather Review 78:1-3.
    """
    return jnp.sum(weights * (probabilities - labels) ** 2) / weights.sum()


def net_benefit(
    labels: Real[Array, "n"],
    probabilities: Float[Array, "n"],
    weights: Float[Array, "n"],
    thresholds: Float[Array, "m"],
) -> Float[Array, "m"]:
    """Net benefit of calling the studies whose probability reaches each threshold probability.

    TP/n - FP/n · t / (1 - t), in fractures found per study: a false alarm costs t / (1 - t) of a
    fracture found. Calling no study is worth 0. Without weight it is NaN; at t = 1 false alarms
    cost infinitely much, and it is -inf, or NaN without any.

    Source: Vickers and Elkin 2006, Medical Decision Making 26:565-574; as the package dcurves.
    """
    called = calls(probabilities[:, None], thresholds[None, :])
    true_positives = (weights * labels) @ called.astype(weights.dtype)
    false_positives = (weights * (1 - labels)) @ called.astype(weights.dtype)
    return (true_positives - false_positives * thresholds / (1 - thresholds)) / weights.sum()


def net_benefit_of_all(
    labels: Real[Array, "n"], weights: Float[Array, "n"], thresholds: Float[Array, "m"]
) -> Float[Array, "m"]:
    """Net benefit of calling every study: prevalence - (1 - prevalence) · t / (1 - t)."""
    prevalence = weights @ labels / weights.sum()
    return prevalence - (1 - prevalence) * thresholds / (1 - thresholds)
