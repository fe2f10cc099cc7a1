"""The ROC curve, the areas under it, and average precision: exact, no threshold grid.

A study is called positive when score >= threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import validation
from fracjax.evaluation.float64 import exact, padded, round_size
from fracjax.evaluation.metrics import roc_pr as figures


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
      InputError: shapes differ, scores are not finite, labels are not 0/1, or a class is absent
        (the rates would be 0/0; we do not invent a number for that). All problems are named.

    Source: Fawcett 2006, "An introduction to ROC analysis", Algorithm 2.
    """
    y, s = validation.binary(labels, scores, both_classes=True)
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
    """Area under the precision-recall curve as a sum of steps; by chance it is the prevalence.

    Arguments and errors as for `roc_curve`; see `figures.average_precision`.
    """
    return _exact(figures.average_precision, labels, scores)


def partial_auc(
    labels: ArrayLike, scores: ArrayLike, max_fpr: float, *, standardised: bool = True
) -> float:
    """Area under the ROC curve where 1 - specificity is at most `max_fpr`.

    Args:
      labels: int[n], 0 (normal) or 1 (fracture).
      scores: float[n], finite.
      max_fpr: above 0, up to 1.
      standardised: as McClish, 0.5 by chance and 1 without error (as scikit-learn's
        `roc_auc_score`); otherwise the area itself, 0 .. max_fpr.

    Raises:
      InputError: as `roc_curve`, or `max_fpr` is outside.
    """
    if not 0 < max_fpr <= 1:
        validation.raise_problems(
            [f"it is {max_fpr:g}; expected a share above 0, up to 1"], "max_fpr"
        )
    figure = figures.standardised_partial_auc if standardised else figures.partial_auc
    return _exact(figure, labels, scores, np.asarray(max_fpr, np.float64))


def _exact(
    figure: Callable[..., Any], labels: ArrayLike, scores: ArrayLike, *arguments: np.ndarray
) -> float:
    studies = validation.binary(labels, scores, both_classes=True)
    size = round_size(studies[0].size)
    rows = [padded(array, size) for array in (*studies, np.ones(studies[0].size))]
    return float(exact(figure, *rows, *arguments))


def _falling(
    scores: Float[np.ndarray, "n"],
) -> tuple[Integer[np.ndarray, "n"], Integer[np.ndarray, "m"]]:
    """The order of falling scores, and where in that order each run of equal scores ends."""
    order = np.argsort(-scores, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
