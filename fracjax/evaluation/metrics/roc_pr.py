"""How well scores order studies: ROC and precision-recall curves, the areas under them.

Every function takes labels [n] (0 normal, 1 fracture), scores [n] (higher: more likely a fracture)
and weights [n] (how often each study counts: ones, or the counts of a bootstrap's resample; not
below 0), and is made for `jit` and `vmap`. A study is called positive when score >= threshold, and
studies of one score are called together. Metrics are NaN when a class has no weight.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from fracjax.evaluation.metrics.sorted_scores import SortedScores, sort_by_score


class RocPoints(NamedTuple):
    """Points of the ROC curve from "call none" to "call all", one per study and one before.

    Attributes:
      thresholds: falling; the first is +inf.
      fpr: 1 - specificity, rising.
      tpr: sensitivity, rising. Studies of one score stand at the same point.
    """

    thresholds: Float[Array, "n1"]
    fpr: Float[Array, "n1"]
    tpr: Float[Array, "n1"]


def roc_points(
    labels: Real[Array, "n"], scores: Float[Array, "n"], weights: Float[Array, "n"]
) -> RocPoints:
    """The ROC curve, exact: no grid of thresholds, no points dropped.

    Source: Fawcett 2006, "An introduction to ROC analysis", Algorithm 2.
    """
    return _roc(sort_by_score(labels, scores, weights))


def auc(
    labels: Real[Array, "n"], scores: Float[Array, "n"], weights: Float[Array, "n"]
) -> Float[Array, ""]:
    """Area under the ROC curve: P(a fracture scores higher than a normal study) + half of ties.

    Whole weights are counted in whole numbers, with one rounding at the end.

    Source: Bamber 1975, Journal of Mathematical Psychology 12:387-415.
    """
    studies = sort_by_score(labels, scores, weights)
    # A score's normal studies, once, beside the fractures above them and those beside them.
    normals = studies.false_positives - studies.false_positives_above
    heights = studies.true_positives + studies.true_positives_above
    doubled = jnp.sum(jnp.where(studies.last, normals * heights, 0))
    return doubled / (2 * studies.positives * studies.negatives)


def partial_auc(
    labels: Real[Array, "n"],
    scores: Float[Array, "n"],
    weights: Float[Array, "n"],
    max_fpr: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Area under the ROC curve where 1 - specificity is at most `max_fpr`; it is 0 .. max_fpr.

    `max_fpr` lies above 0, up to 1. Between two points the curve is a straight line.

    Source: McClish 1989, Medical Decision Making 9:190-195.
    """
    studies = sort_by_score(labels, scores, weights)
    _, x, y = _roc(studies)
    left, right = jnp.minimum(x[:-1], max_fpr), jnp.minimum(x[1:], max_fpr)
    width = x[1:] - x[:-1]
    slope = jnp.where(width > 0, (y[1:] - y[:-1]) / jnp.where(width > 0, width, 1), 0)
    height = y[:-1] + slope * (right - left) / 2
    return jnp.where(_defined(studies), jnp.sum((right - left) * height), jnp.nan)


def standardised_partial_auc(
    labels: Real[Array, "n"],
    scores: Float[Array, "n"],
    weights: Float[Array, "n"],
    max_fpr: float | Float[Array, ""],
) -> Float[Array, ""]:
    """The partial AUC on a scale where chance is 0.5 and no error is 1.

    As scikit-learn's `roc_auc_score(max_fpr=...)`.

    Source: McClish 1989, Medical Decision Making 9:190-195.
    """
    area = partial_auc(labels, scores, weights, max_fpr)
    chance = max_fpr**2 / 2
    return (1 + (area - chance) / (max_fpr - chance)) / 2


def average_precision(
    labels: Real[Array, "n"], scores: Float[Array, "n"], weights: Float[Array, "n"]
) -> Float[Array, ""]:
    """Area under the precision-recall curve as a sum of steps: sum of (R_i - R_(i-1)) P_i.

    No interpolation between points (the trapezoid rule is too optimistic here). Tied scores make
    one step. A scorer that knows nothing gets the prevalence, not 0.5.

    Source: Davis and Goadrich 2006; the same definition as scikit-learn's.
    """
    studies = sort_by_score(labels, scores, weights)
    called = studies.true_positives + studies.false_positives
    found = studies.true_positives - studies.true_positives_above
    # Where nothing is called yet, nothing is found: a step of height 0.
    precision = studies.true_positives / jnp.where(called > 0, called, 1)
    area = jnp.sum(jnp.where(studies.last, found * precision, 0))
    return jnp.where(_defined(studies), area / studies.positives, jnp.nan)


def sensitivity_at(
    labels: Real[Array, "n"],
    scores: Float[Array, "n"],
    weights: Float[Array, "n"],
    fpr: Float[Array, "m"],
) -> Float[Array, "m"]:
    """Sensitivity at each 1 - specificity in `fpr`, 0 .. 1: the height of the ROC curve there.

    Where the curve rises straight up, its upper end; between points, the straight line.
    """
    studies = sort_by_score(labels, scores, weights)
    _, x, y = _roc(studies)
    left = jnp.searchsorted(x, fpr, side="right") - 1
    right = jnp.minimum(left + 1, x.size - 1)
    width = x[right] - x[left]
    fraction = jnp.where(width > 0, (fpr - x[left]) / jnp.where(width > 0, width, 1), 0)
    return jnp.where(_defined(studies), y[left] + fraction * (y[right] - y[left]), jnp.nan)


def precision_at(
    labels: Real[Array, "n"],
    scores: Float[Array, "n"],
    weights: Float[Array, "n"],
    recall: Float[Array, "m"],
) -> Float[Array, "m"]:
    """Precision at each recall in `recall`, 0 .. 1: that of the highest threshold reaching it.

    So its mean over recall is the average precision. At recall 0, that of the first fracture found.
    """
    studies = sort_by_score(labels, scores, weights)
    true, false = _counts_at_recall(studies, recall)
    return jnp.where(_defined(studies), true / (true + false), jnp.nan)


def counts_at_recall(
    labels: Real[Array, "n"],
    scores: Float[Array, "n"],
    weights: Float[Array, "n"],
    recall: Float[Array, "m"],
) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
    """Weights of the fractures and of the normal studies that `precision_at` is a ratio of."""
    return _counts_at_recall(sort_by_score(labels, scores, weights), recall)


def _counts_at_recall(
    studies: SortedScores, recall: Float[Array, "m"]
) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
    reached = studies.true_positives / studies.positives
    first = jnp.searchsorted(studies.true_positives, 0.0, side="right")
    at = jnp.maximum(jnp.searchsorted(reached, recall, side="left"), first)
    return studies.true_positives[at], studies.false_positives[at]


def _roc(studies: SortedScores) -> RocPoints:
    return RocPoints(
        jnp.append(jnp.inf, studies.scores),
        jnp.append(0.0, studies.false_positives / studies.negatives),
        jnp.append(0.0, studies.true_positives / studies.positives),
    )


def _defined(studies: SortedScores) -> Bool[Array, ""]:
    """Whether both classes have weight; asked, as minimum and maximum may lose a NaN on a CPU."""
    return (studies.positives > 0) & (studies.negatives > 0)
