"""The ROC curve, the area under it, and average precision: exact, no threshold grid.

A study is called positive when score >= threshold.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import inputs


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Counts at every distinct score, from "call none" to "call all" (m points).

    Attributes:
      thresholds: falling; the first is +inf, the others are the distinct scores.
      true_positives: fractures with score >= threshold.
      false_positives: normal studies with score >= threshold.
    """

    thresholds: Float[np.ndarray, "m"]
    true_positives: Integer[np.ndarray, "m"]
    false_positives: Integer[np.ndarray, "m"]

    @property
    def n_positive(self) -> int:
        """Fractures."""
        return int(self.true_positives[-1])

    @property
    def n_negative(self) -> int:
        """Normal studies."""
        return int(self.false_positives[-1])

    @property
    def tpr(self) -> Float[np.ndarray, "m"]:
        """Sensitivity at each threshold."""
        return self.true_positives / self.n_positive

    @property
    def fpr(self) -> Float[np.ndarray, "m"]:
        """1 - specificity at each threshold."""
        return self.false_positives / self.n_negative

    @property
    def auc(self) -> float:
        """Area under the curve by the trapezoid rule, in integers: one rounding, at the end."""
        heights = self.true_positives[1:] + self.true_positives[:-1]
        doubled = int(np.sum(np.diff(self.false_positives) * heights))
        return doubled / (2 * self.n_positive * self.n_negative)


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The exact ROC curve: no threshold grid, no points dropped.

    Args:
      labels: int[n], 0 (normal) or 1 (fracture).
      scores: float[n], finite, higher meaning more likely fracture. Any monotone scale.

    Returns:
      The curve, with tied scores sharing one point. It starts at (0, 0) with threshold +inf.

    Raises:
      ValueError: shapes differ, scores are not finite, labels are not 0/1, or a class is absent
        (the rates would be 0/0; we do not invent a number for that). All problems are named.

    Source: Fawcett 2006, "An introduction to ROC analysis", Algorithm 2.
    """
    y, s = inputs.binary(labels, scores, both_classes=True)
    order, last_of_tie = _falling(s)
    tp = np.cumsum(y[order])[last_of_tie]
    fp = 1 + last_of_tie - tp
    return RocCurve(
        thresholds=np.append(np.inf, s[order][last_of_tie]),
        true_positives=np.append(0, tp),
        false_positives=np.append(0, fp),
    )


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: P(a fracture scores higher than a normal study) + half of ties.

    Arguments and errors as for `roc_curve`.
    """
    return roc_curve(labels, scores).auc


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the precision-recall curve as a sum of steps: sum of (R_i - R_(i-1)) P_i.

    No interpolation between points (the trapezoid rule is too optimistic here). Tied scores make
    one step. A scorer that knows nothing gets the prevalence, not 0.5. Arguments and errors as for
    `roc_curve`.

    Source: Davis and Goadrich 2006; the same definition as scikit-learn's.
    """
    y, s = inputs.binary(labels, scores, both_classes=True)
    return float(weighted_average_precision(y, s, np.ones((1, y.size)))[0])


def weighted_average_precision(
    labels: Integer[np.ndarray, "n"],
    scores: Float[np.ndarray, "n"],
    weights: Float[np.ndarray, "b n"],
) -> Float[np.ndarray, "b"]:
    """Average precision of b resamples at once; `weights` says how often each study was drawn.

    NaN where a resample has no fracture or no normal study.
    """
    order, last_of_tie = _falling(scores)
    drawn = weights[:, order]
    called = np.cumsum(drawn, axis=1)[:, last_of_tie]
    tp = np.cumsum(drawn * labels[order], axis=1)[:, last_of_tie]
    # Before the first study drawn, nothing is called and nothing found: a step of height 0.
    precision = np.divide(tp, called, out=np.zeros_like(tp), where=called > 0)
    positives = tp[:, -1]
    area = np.sum(np.diff(tp, axis=1, prepend=0) * precision, axis=1)
    defined = (positives > 0) & (positives < called[:, -1])
    return np.divide(area, positives, out=np.full_like(area, np.nan), where=defined)


def _falling(
    scores: Float[np.ndarray, "n"],
) -> tuple[Integer[np.ndarray, "n"], Integer[np.ndarray, "m"]]:
    """The order of falling scores, and where in that order each run of equal scores ends."""
    order = np.argsort(-scores, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
