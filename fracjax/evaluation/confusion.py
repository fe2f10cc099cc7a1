"""Confusion matrices, and the figures that are read off them.

A matrix has the true class in rows and the called class in columns. The figures take any number of
matrices at once (`... k k`), of counts or of bootstrap weights, and are NaN where they are 0/0; a
report turns that into "undefined". For the two classes normal (0) and fracture (1) the entries are
[[TN, FP], [FN, TP]].
"""

import numpy as np
from jaxtyping import Float, Integer, Real
from numpy.typing import ArrayLike

from fracjax.evaluation import inputs


def confusion_matrix(
    labels: ArrayLike, predictions: ArrayLike, k: int
) -> Integer[np.ndarray, "{k} {k}"]:
    """Count studies by true class (row) and called class (column).

    Args:
      labels: int[n], the true classes, 0 .. k-1.
      predictions: int[n], the called classes, 0 .. k-1.
      k: number of classes; a class without studies keeps its row and column.

    Raises:
      ValueError: shapes differ or a class is out of range.
    """
    y, p = inputs.class_indices(labels, predictions, k)
    return np.bincount(y * k + p, minlength=k * k).reshape(k, k)


def confusion_at(
    labels: ArrayLike, scores: ArrayLike, threshold: float
) -> Integer[np.ndarray, "2 2"]:
    """[[TN, FP], [FN, TP]] when score >= threshold is called a fracture.

    Args:
      labels: int[n], 0 (normal) or 1 (fracture); one class may be absent.
      scores: float[n], finite.
      threshold: on the scale of the scores; +inf calls no study, -inf every one.

    Raises:
      ValueError: shapes differ, scores are not finite, labels are not 0/1, threshold is NaN.
    """
    y, s = inputs.binary(labels, scores)
    inputs.refuse(["it is NaN; expected a number"] if np.isnan(threshold) else [], "the threshold")
    return confusion_matrix(y, (s >= threshold).astype(np.int64), 2)


def accuracy(matrix: Real[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Studies called by their true class / all studies."""
    right = np.trace(matrix, axis1=-2, axis2=-1)
    return _ratio(np.asarray(right), np.asarray(matrix.sum((-2, -1))))


def recall(matrix: Real[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b k"]:
    """Per class: rightly called / all of the class. Undefined for a class without studies."""
    return _ratio(_diagonal(matrix), matrix.sum(-1))


def precision(matrix: Real[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b k"]:
    """Per class: rightly called / all called so. Undefined for a class never called.

    Of the two classes normal and fracture, [1] is the positive and [0] the negative predictive
    value (NPV).
    """
    return _ratio(_diagonal(matrix), matrix.sum(-2))


def f1(matrix: Real[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b k"]:
    """Per class: 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    From the counts, so that a class with studies that is never called has 0 (it found none of
    them), and only a class neither present nor called is undefined.
    """
    return _ratio(2 * _diagonal(matrix), matrix.sum(-1) + matrix.sum(-2))


def sensitivity(matrix: Real[np.ndarray, "*b 2 2"]) -> Float[np.ndarray, "*b"]:
    """Fractures found / fractures: TP / (TP + FN)."""
    return recall(matrix)[..., 1]


def specificity(matrix: Real[np.ndarray, "*b 2 2"]) -> Float[np.ndarray, "*b"]:
    """Normal studies let pass / normal studies: TN / (TN + FP)."""
    return recall(matrix)[..., 0]


def youden_j(matrix: Real[np.ndarray, "*b 2 2"]) -> Float[np.ndarray, "*b"]:
    """Youden's J = sensitivity + specificity - 1, from -1 to 1; 0 is chance."""
    return np.asarray(sensitivity(matrix) + specificity(matrix) - 1)


def macro(per_class: Float[np.ndarray, "*b k"]) -> Float[np.ndarray, "*b"]:
    """The unweighted mean over classes; undefined (NaN) as soon as one class is.

    A mean over the classes that happen to be defined would rise when a model stops calling a hard
    class, so it is not offered.
    """
    return np.asarray(per_class.mean(-1))


def _diagonal(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    undefined = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
