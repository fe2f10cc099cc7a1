"""The metrics of scores and probabilities themselves: JAX functions, for `jit` and `vmap`.

All take labels [n] (0 normal, 1 fracture), scores [n] (no NaN; higher: more likely a fracture) and
weights [n] (how often each study counts, not below 0: ones, or the counts of a resample). A study
is called positive when score >= threshold, so studies of one score are called together. Shapes do
not depend on values, and a metric is NaN where it is 0/0 or a class that it needs has no weight.
Nothing is checked; the type is that of what is given. `confusion` has what is read off matrices.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real, Shaped

Labels = Real[Array, "n"]
Floats = Float[Array, "n"]
Grid = Float[Array | np.ndarray, "m"]
Curve = Float[Array, "m"]
Scalar = Float[Array, ""]


class SortedScores(NamedTuple):
    """n studies from the highest score to the lowest; those of one score carry the same counts."""

    scores: Floats  # falling
    true_positives: Floats  # weight of fractures with at least this score
    false_positives: Floats  # weight of normal studies with at least this score
    true_positives_above: Floats  # weight of fractures with a higher score
    last: Shaped[Array, "n"]  # whether this is the last study of its score

    @property
    def positives(self) -> Scalar:
        """Weight of all fractures."""
        return self.true_positives[-1]

    @property
    def negatives(self) -> Scalar:
        """Weight of all normal studies."""
        return self.false_positives[-1]

    @property
    def defined(self) -> Bool[Array, ""]:
        """Whether both classes have weight; asked, as minimum and maximum may lose a NaN."""
        return (self.positives > 0) & (self.negatives > 0)

    @property
    def roc(self) -> tuple[Float[Array, "n1"], Float[Array, "n1"]]:
        """1 - specificity and sensitivity from "call none" to "call all" (Fawcett 2006, Alg. 2)."""
        return (
            jnp.append(0.0, quotient(self.false_positives, self.negatives)),
            jnp.append(0.0, quotient(self.true_positives, self.positives)),
        )


def sort_by_score(labels: Labels, scores: Floats, weights: Floats) -> SortedScores:
    """Sort, and count above and down to each score. Exact where weights are whole numbers."""
    order = jnp.argsort(-scores)
    s, w = scores[order], weights[order]
    fractures, normals = jnp.cumsum(w * labels[order]), jnp.cumsum(w * (1 - labels[order]))
    # Where the first and where the last study of the same score stands.
    positions, new = jnp.arange(s.size), jnp.append(True, s[1:] != s[:-1])
    first = jax.lax.cummax(jnp.where(new, positions, 0))
    ends = jnp.append(new[1:], True)
    last = jax.lax.cummin(jnp.where(ends, positions, s.size), reverse=True)
    return SortedScores(
        scores=s,
        true_positives=fractures[last],
        false_positives=normals[last],
        true_positives_above=jnp.where(first > 0, fractures[first - 1], 0),
        last=last == positions,
    )


def quotient(counts: Float[Array, "*n"], total: Scalar) -> Float[Array, "*n"]:
    """`counts / total`, each rounded once, in every program.

    Where XLA sees that all are divided by one number, it multiplies by that number's reciprocal
    instead, and 49 / 49 becomes less than 1: no threshold would then reach a sensitivity of 1.
    """
    return counts / jax.lax.optimization_barrier(jnp.broadcast_to(total, counts.shape))


def standardised_partial_auc(
    labels: Labels, scores: Floats, weights: Floats, max_fpr: float
) -> Scalar:
    """Area under the ROC curve up to 1 - specificity = `max_fpr`: 0.5 by chance, 1 without error.

    `max_fpr` lies above 0, up to 1. As scikit-learn's `roc_auc_score(max_fpr=...)`.

    Source: McClish 1989, Medical Decision Making 9:190-195.
    """
    studies = sort_by_score(labels, scores, weights)
    x, y = studies.roc
    left, right = jnp.minimum(x[:-1], max_fpr), jnp.minimum(x[1:], max_fpr)
    width = x[1:] - x[:-1]
    slope = jnp.where(width > 0, (y[1:] - y[:-1]) / jnp.where(width > 0, width, 1), 0)
    height = y[:-1] + slope * (right - left) / 2
    area = jnp.where(studies.defined, jnp.sum((right - left) * height), jnp.nan)
    chance = max_fpr**2 / 2
    return (1 + (area - chance) / (max_fpr - chance)) / 2


def average_precision(labels: Labels, scores: Floats, weights: Floats) -> Scalar:
    """Area under the precision-recall curve as a sum of steps: sum of (R_i - R_(i-1)) P_i.

    Without interpolation, which is too optimistic here; tied scores make one step.

    Source: Davis and Goadrich 2006; the same definition as scikit-learn's.
    """
    studies = sort_by_score(labels, scores, weights)
    called = studies.true_positives + studies.false_positives
    found = studies.true_positives - studies.true_positives_above
    # Where nothing is called yet, nothing is found: a step of height 0.
    precision = studies.true_positives / jnp.where(called > 0, called, 1)
    area = jnp.sum(jnp.where(studies.last, found * precision, 0))
    return jnp.where(studies.defined, area / studies.positives, jnp.nan)


def sensitivity_at(labels: Labels, scores: Floats, weights: Floats, fpr: Grid) -> Curve:
    """Sensitivity at each 1 - specificity in `fpr`, 0 .. 1: the height of the ROC curve there.

    Where the curve rises straight up, its upper end; between points, the straight line.
    """
    studies = sort_by_score(labels, scores, weights)
    x, y = studies.roc
    left = jnp.searchsorted(x, fpr, side="right") - 1
    right = jnp.minimum(left + 1, x.size - 1)
    width = x[right] - x[left]
    fraction = jnp.where(width > 0, (fpr - x[left]) / jnp.where(width > 0, width, 1), 0)
    return jnp.where(studies.defined, y[left] + fraction * (y[right] - y[left]), jnp.nan)


def precision_at(
    labels: Labels, scores: Floats, weights: Floats, recall: Grid
) -> Float[Array, "2 m"]:
    """Precision at each recall, 0 .. 1, and the weight of the studies that are called there.

    It is that of the highest threshold reaching the recall, so that its mean over recall is the
    average precision. At recall 0, that of the first fracture found.
    """
    studies = sort_by_score(labels, scores, weights)
    first = jnp.searchsorted(studies.true_positives, 0.0, side="right")
    reached = jnp.searchsorted(
        quotient(studies.true_positives, studies.positives), recall, side="left"
    )
    at = jnp.maximum(reached, first)
    called = studies.true_positives[at] + studies.false_positives[at]
    precision = jnp.where(studies.defined, studies.true_positives[at] / called, jnp.nan)
    return jnp.stack([precision, called])


def calls(scores: Any, threshold: Any) -> Any:
    """Which studies are called positive: those whose score reaches the threshold; NumPy or JAX."""
    return scores >= threshold


def youden_threshold(labels: Labels, scores: Floats, weights: Floats) -> Scalar:
    """The threshold that maximises J = sensitivity + specificity - 1, of equals the highest.

    +inf where no threshold beats chance (J <= 0 everywhere).

    Source: Youden 1950, Cancer 3:32-35.
    """
    studies = sort_by_score(labels, scores, weights)
    p, q = studies.positives, studies.negatives
    # J times both class sizes: whole numbers, no rounding noise that could decide a tie.
    j = jnp.append(0.0, studies.true_positives * q - studies.false_positives * p)
    best = jnp.append(jnp.inf, studies.scores)[jnp.argmax(j)]
    return jnp.where(p * q > 0, best, jnp.nan)


def sensitivity_threshold(
    labels: Labels, scores: Floats, weights: Floats, target: float | Scalar
) -> Scalar:
    """The highest threshold with sensitivity >= target, which lies above 0, up to 1."""
    studies = sort_by_score(labels, scores, weights)
    # A quotient and a typed decimal of the same value are the same float64: both are rounded once.
    reached = quotient(studies.true_positives, studies.positives) >= target
    return jnp.where(studies.defined, studies.scores[jnp.argmax(reached)], jnp.nan)


def brier(labels: Labels, probabilities: Floats, weights: Floats) -> Scalar:
    """Mean squared difference of probability and outcome; 0.25 for a constant 0.5.

    For two classes, half of what Brier summed over both; as scikit-learn's `brier_score_loss`.

    Source: Brier 1950, Monthly Weather Review 78:1-3.
    """
    return jnp.sum(weights * (probabilities - labels) ** 2) / weights.sum()


def net_benefit(labels: Labels, probabilities: Floats, weights: Floats, thresholds: Grid) -> Curve:
    """Net benefit of calling the studies whose probability reaches each threshold probability.

    TP/n - FP/n · t / (1 - t), in fractures found per study. Calling no study is worth 0. At t = 1
    it is -inf, or NaN without any false alarm.

    Source: Vickers and Elkin 2006, Medical Decision Making 26:565-574; as the package dcurves.
    """
    called = calls(probabilities[:, None], thresholds[None, :])
    true_positives = (weights * labels) @ called.astype(weights.dtype)
    false_positives = (weights * (1 - labels)) @ called.astype(weights.dtype)
    return (true_positives - false_positives * thresholds / (1 - thresholds)) / weights.sum()
