"""Confusion matrices and the figures read off them: `figures.confusion`, checked and in float64.

A matrix has the true class in rows and the called class in columns. The figures take any number of
matrices at once (`... k k`), of counts or of weights, and are NaN where they are 0/0; a report
turns that into "undefined". For the two classes normal (0) and fracture (1) the entries are
[[TN, FP], [FN, TP]].
"""

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import validation
from fracjax.evaluation.float64 import exact
from fracjax.evaluation.metrics import confusion as figures
from fracjax.evaluation.metrics.thresholds import calls


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
      InputError: shapes differ, scores are not finite, labels are not 0/1, threshold is NaN.
    """
    y, s = validation.binary(labels, scores)
    validation.raise_problems(
        ["it is NaN; expected a number"] if np.isnan(threshold) else [], "the threshold"
    )
    return confusion_matrix(y, calls(s, threshold).astype(np.int64), 2)


def accuracy(matrix: ArrayLike) -> Float[np.ndarray, "*b"]:
    """Studies called by their true class / all; also micro precision, recall and F1.

    This and all below raise InputError for what is no confusion matrix, or not of two classes where
    these are asked for.
    """
    return exact(figures.accuracy, validation.matrices(matrix))


def recall(matrix: ArrayLike) -> Float[np.ndarray, "*b k"]:
    """Per class: rightly called / all of the class. Undefined for a class without studies."""
    return exact(figures.recall, validation.matrices(matrix))


def precision(matrix: ArrayLike) -> Float[np.ndarray, "*b k"]:
    """Per class: rightly called / all called so; of two, [1] is the PPV and [0] the NPV."""
    return exact(figures.precision, validation.matrices(matrix))


def f1(matrix: ArrayLike) -> Float[np.ndarray, "*b k"]:
    """Per class: 2 TP / (2 TP + FP + FN); undefined for a class neither present nor called."""
    return exact(figures.f1, validation.matrices(matrix))


def specificity_per_class(matrix: ArrayLike) -> Float[np.ndarray, "*b k"]:
    """Per class: studies of the others not called so / studies of the others."""
    return exact(figures.specificity_per_class, validation.matrices(matrix))


def balanced_accuracy(matrix: ArrayLike) -> Float[np.ndarray, "*b"]:
    """The mean of the classes' recall; of two, the mean of sensitivity and specificity."""
    return exact(figures.balanced_accuracy, validation.matrices(matrix))


def mcc(matrix: ArrayLike) -> Float[np.ndarray, "*b"]:
    """Matthews' correlation coefficient; undefined where all are of one class, or called one."""
    return exact(figures.mcc, validation.matrices(matrix))


def sensitivity(matrix: ArrayLike) -> Float[np.ndarray, "*b"]:
    """Fractures found / fractures: TP / (TP + FN)."""
    return exact(figures.sensitivity, validation.matrices(matrix, 2))


def specificity(matrix: ArrayLike) -> Float[np.ndarray, "*b"]:
    """Normal studies let pass / normal studies: TN / (TN + FP)."""
    return exact(figures.specificity, validation.matrices(matrix, 2))


def youden_j(matrix: ArrayLike) -> Float[np.ndarray, "*b"]:
    """Youden's J = sensitivity + specificity - 1, from -1 to 1; 0 is chance."""
    return exact(figures.youden_j, validation.matrices(matrix, 2))


def positive_likelihood_ratio(matrix: ArrayLike) -> Float[np.ndarray, "*b"]:
    """Sensitivity / (1 - specificity); infinite without a false alarm."""
    return exact(figures.positive_likelihood_ratio, validation.matrices(matrix, 2))


def negative_likelihood_ratio(matrix: ArrayLike) -> Float[np.ndarray, "*b"]:
    """(1 - sensitivity) / specificity; infinite when some fracture and no normal study passes."""
    return exact(figures.negative_likelihood_ratio, validation.matrices(matrix, 2))


def macro(per_class: ArrayLike) -> Float[np.ndarray, "*b"]:
    """The unweighted mean over classes; undefined (NaN) as soon as one class is."""
    return exact(figures.macro, np.asarray(per_class, np.float64))
