"""Confusion matrices, and the metrics that are read off them, of JAX or of NumPy arrays.

A matrix has the true class in rows and the called class in columns, as counts or weights of
studies. The metrics take any number of matrices at once (`... k k`) and are NaN where they are 0/0.
For the two classes normal (0) and fracture (1) the entries are [[TN, FP], [FN, TP]].
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer, Real

Array = Any  # jax.Array or np.ndarray; what goes in comes out
Matrices = Real[Array, "*b k k"]


def one_hot_cells(
    labels: Integer[Array, "n"], called: Integer[Array, "n"] | Bool[Array, "n"], k: int
) -> Float[Array, "n cells"]:
    """For each study, 1 in the cell of the k×k matrix that it is counted in, and 0 elsewhere."""
    return labels.__array_namespace__().eye(k * k)[labels * k + called]


def confusion_matrix(
    labels: Integer[np.ndarray, "n"],
    called: Integer[np.ndarray, "n"] | Bool[np.ndarray, "n"],
    k: int,
) -> Integer[np.ndarray, "{k} {k}"]:
    """Count studies by true and by called class, each 0 .. k-1; n may be 0."""
    return one_hot_cells(labels, called, k).sum(axis=0).reshape(k, k).astype(np.int64)


def recall(matrix: Matrices) -> Float[Array, "*b k"]:
    """Per class: rightly called / all of the class. Undefined for a class without studies.

    Of the two classes normal and fracture, [0] is the specificity and [1] the sensitivity.
    """
    return _ratio(_diagonal(matrix), matrix.sum(-1))


def precision(matrix: Matrices) -> Float[Array, "*b k"]:
    """Per class: rightly called / all called so. Undefined for a class never called.

    Of the two classes normal and fracture, [1] is the positive and [0] the negative predictive
    value (PPV, NPV), at the prevalence of these studies.
    """
    return _ratio(_diagonal(matrix), matrix.sum(-2))


def f1(matrix: Matrices) -> Float[Array, "*b k"]:
    """Per class: 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    A class with studies that is never called has 0; one neither present nor called is undefined.
    """
    return _ratio(2 * _diagonal(matrix), matrix.sum(-1) + matrix.sum(-2))


def macro(per_class: Float[Array, "*b k"]) -> Float[Array, "*b"]:
    """The unweighted mean over classes; undefined (NaN) as soon as one class is.

    A mean over the defined ones would rise when a model stops calling a hard class.
    """
    return per_class.mean(-1)


def balanced_accuracy(matrix: Matrices) -> Float[Array, "*b"]:
    """The mean of the classes' recall; of two, the mean of sensitivity and specificity."""
    return macro(recall(matrix))


def youden_j(matrix: Real[Array, "*b 2 2"]) -> Float[Array, "*b"]:
    """Youden's J = sensitivity + specificity - 1, from -1 to 1; 0 is chance."""
    of_class = recall(matrix)
    return of_class[..., 1] + of_class[..., 0] - 1


def mcc(matrix: Matrices) -> Float[Array, "*b"]:
    """Matthews' correlation coefficient, for any number of classes: 1 without error, 0 by chance.

    Undefined where all studies are of one class, or all are called one class; scikit-learn says 0.

    Source: Matthews 1975; Gorodkin 2004, Computational Biology and Chemistry 28:367-374.
    """
    matrix = matrix * 1.0  # fourth powers of counts are too large for integers
    of, called = matrix.sum(-1), matrix.sum(-2)
    n = matrix.sum((-2, -1))
    covariance = matrix.trace(axis1=-2, axis2=-1) * n - (of * called).sum(-1)
    variances = (n**2 - (of**2).sum(-1)) * (n**2 - (called**2).sum(-1))
    return _ratio(covariance, matrix.__array_namespace__().sqrt(variances))


def _diagonal(matrix: Matrices) -> Real[Array, "*b k"]:
    return matrix.diagonal(axis1=-2, axis2=-1)


def _ratio(a: Any, b: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN and infinity are answers here
        return a / b
