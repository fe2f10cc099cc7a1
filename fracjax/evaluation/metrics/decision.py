"""What calling studies by a probability is worth; arrays and conventions as in `calibration`."""

from jaxtyping import Array, Float, Real

from fracjax.evaluation.metrics.thresholds import calls


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
    found = (weights * labels) @ called.astype(weights.dtype)
    false = (weights * (1 - labels)) @ called.astype(weights.dtype)
    return (found - false * thresholds / (1 - thresholds)) / weights.sum()


def net_benefit_of_all(
    labels: Real[Array, "n"], weights: Float[Array, "n"], thresholds: Float[Array, "m"]
) -> Float[Array, "m"]:
    """Net benefit of calling every study: prevalence - (1 - prevalence) · t / (1 - t)."""
    prevalence = weights @ labels / weights.sum()
    return prevalence - (1 - prevalence) * thresholds / (1 - thresholds)
