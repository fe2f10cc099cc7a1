"""Are the probabilities too high, or too extreme? Intercept and slope of logistic recalibration."""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float
from numpy.typing import ArrayLike

from fracjax.evaluation.estimate import Estimate, undefined
from fracjax.evaluation.intervals import Z
from fracjax.evaluation.sample import Groups, Labels, Sample, Scores

_METHOD = "sandwich, by group"
_RESOLUTION = 2.0**-24  # of float32 below 1: what networks give as 0 or 1 is at least as close


@dataclass(frozen=True)
class Recalibration:
    """What a logistic regression of the outcome on the log odds that a network gives, finds."""

    # calibration in the large: what is to be added to all log odds so that as many fractures are
    # predicted as there are. 0 is ideal; below 0, probabilities are too high.
    intercept: Estimate
    # what log odds are to be multiplied by. 1 is ideal; below 1, probabilities are too extreme. It
    # is one over the temperature, but for the intercept that is fitted with it.
    slope: Estimate


def recalibration(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None
) -> Recalibration:
    """Calibration intercept (at slope 1) and slope, each +- 1.96 standard errors by group.

    Undefined with one class only; the slope also where all probabilities are the same, or a
    threshold separates the classes without error, so that no slope is steep enough. Probabilities
    within 2^-24 of 0 or 1 are taken as that: their log odds are infinite, or what rounding left.

    Source: Cox 1958, Biometrika 45:562-565; Van Calster and others 2019, BMC Medicine 17:230;
    standard errors: Liang and Zeger 1986, Biometrika 73:13-22.
    """
    sample = Sample.checked(labels, probabilities, groups, probabilities=True)
    y, group, n = sample.labels, sample.groups, sample.n
    x = scipy.special.logit(sample.scores.clip(_RESOLUTION, 1 - _RESOLUTION))
    if note := sample.missing_class:
        return Recalibration(undefined(n, _METHOD, note), undefined(n, _METHOD, note))
    normal, fracture = x[y == 0], x[y == 1]
    one = np.ones((n, 1))
    intercept = _last_coefficient(y, one, x, group)
    if x.min() == x.max():
        slope = undefined(n, _METHOD, "all probabilities are the same")
    elif normal.max() <= fracture.min() or fracture.max() <= normal.min():
        slope = undefined(n, _METHOD, "a threshold parts the classes without error")
    else:
        slope = _last_coefficient(y, np.hstack([one, x[:, None]]), 0 * x, group)
    return Recalibration(intercept, slope)


def _last_coefficient(
    labels: Labels, columns: Float[np.ndarray, "n m"], offset: Scores, groups: Groups
) -> Estimate:
    """Of a logistic regression, with the interval of a variance that sums scores by group."""
    n, m = columns.shape

    def loss(coefficients: np.ndarray) -> float:
        line = offset + columns @ coefficients
        return float(np.mean(np.logaddexp(0, line) - labels * line))

    def expected(coefficients: np.ndarray) -> np.ndarray:
        return scipy.special.expit(offset + columns @ coefficients)

    def information(coefficients: np.ndarray) -> np.ndarray:
        p = expected(coefficients)
        return (columns * (p * (1 - p))[:, None]).T @ columns

    coefficients = scipy.optimize.minimize(
        loss,
        np.zeros(m),
        jac=lambda c: columns.T @ (expected(c) - labels) / n,
        hess=lambda c: information(c) / n,
        method="trust-exact",
        options={"gtol": 1e-10},
    ).x
    value = float(coefficients[-1])
    g = int(groups.max()) + 1
    if g <= m:
        return Estimate(value, None, None, n, _METHOD, f"{g} groups are too few for an interval")
    scores = np.zeros((g, m))
    np.add.at(scores, groups, columns * (labels - expected(coefficients))[:, None])
    bread = np.linalg.inv(information(coefficients))
    # The usual correction for few groups, as in statsmodels and Stata.
    factor = g / (g - 1) * (n - 1) / (n - m)
    error = float(np.sqrt(factor * (bread @ scores.T @ scores @ bread)[-1, -1]))
    return Estimate(value, value - Z * error, value + Z * error, n, _METHOD)
