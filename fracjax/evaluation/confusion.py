"""Confusion matrices as counts, checked; `metrics` reads accuracy, recall and the like off them.

A matrix has the true class in rows and the called class in columns. For the two classes normal (0)
and fracture (1) the entries are [[TN, FP], [FN, TP]].
"""

import numpy as np
from jaxtyping import Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import metrics, validation
from fracjax.evaluation.sample import Sample


def confusion_matrix(
    labels: ArrayLike, predictions: ArrayLike, k: int
) -> Integer[np.ndarray, "{k} {k}"]:
    """Count studies by true class (row) and called class (column).

    Args:
      labels: int[n], the true classes, 0 .. k-1.
      predictions: int[n], the called classes, 0 .. k-1.
      k: number of classes; a class without studies keeps its row and column.

    Raises:
      InputError: shapes differ or a class is out of range.
    """
    y, p = validation.class_indices(labels, predictions, k)
    return metrics.confusion_matrix(y, p, np.ones(y.size), k).astype(np.int64)


def confusion_at(
    labels: ArrayLike, scores: ArrayLike, threshold: float
) -> Integer[np.ndarray, "2 2"]:
    """[[TN, FP], [FN, TP]] when score >= threshold is called a fracture.

    Args:
      labels: int[n], 0 (normal) or 1 (fracture); one class may be absent.
      scores: float[n], finite.
      threshold: on the scale of the scores; +inf calls no study, -inf every one.

    Raises:
      InputError: shapes differ, scores are not finite, labels are not 0/1, threshold is NaN.
    """
    wrong = ["the threshold is NaN; expected a number"] if np.isnan(threshold) else []
    sample = Sample.checked(labels, scores, problems=wrong)
    called = metrics.calls(sample.scores, threshold).astype(np.int64)
    return confusion_matrix(sample.labels, called, 2)
