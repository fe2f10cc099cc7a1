"""Are the probabilities too high, or too extreme? Intercept and slope of logistic recalibration."""

from dataclasses import asdict, dataclass

import numpy as np
import scipy
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import validation
from fracjax.evaluation.estimate import Estimate, undefined
from fracjax.evaluation.intervals import Z

_METHOD = "sandwich, by group"
_RESOLUTION = 2.0**-24  # of float32 below 1: what networks give as 0 or 1 is at least as close


@dataclass(frozen=True)
class Recalibration:
    """What a logistic regression of the outcome on the log odds that a network gives, finds.

    Attributes:
      intercept: calibration in the large: what is to be added to all log odds so that as many
        fractures are foretold as there are. 0 is ideal; below 0, probabilities are too high.
      slope: what log odds are to be multiplied by. 1 is ideal; below 1, probabilities are too
        extreme. It is one over the temperature, but for the intercept that is fitted with it.
    """

    intercept: Estimate
    slope: Estimate

    def to_dict(self) -> dict:
        """A dict that strict JSON can hold."""
        return asdict(self)


def recalibration(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None
) -> Recalibration:
    """Calibration intercept (at slope 1) and slope, each +- 1.96 standard errors by group.

    Undefined with one class only; the slope also where all probabilities are the same, or a
    threshold parts the classes without error, so that no slope is steep enough. Probabilities
    within 2^-24 of 0 or 1 are taken as that: their log odds are infinite, or what rounding left.

    Args:
      labels: int[n], 0 (normal) or 1 (fracture).
      probabilities: float[n], 0 .. 1.
      groups: near-duplicate group of each study, of any type; None if every study stands alone.

    Raises:
      InputError: shapes differ, labels are not 0/1, probabilities are not finite or outside [0, 1],
        no studies.

    Source: Cox 1958, Biometrika 45:562-565; Van Calster and others 2019, BMC Medicine 17:230;
    standard errors: Liang and Zeger 1986, Biometrika 73:13-22.
    """
    y, p = validation.binary(labels, probabilities)
    outside = int(((p < 0) | (p > 1)).sum())
    what = f"{outside} of {p.size} are below 0 or above 1"
    validation.raise_problems([what] if outside else [], "probabilities")
    group = validation.group_indices(groups, y.size)
    x = scipy.special.logit(p.clip(_RESOLUTION, 1 - _RESOLUTION))
    n, n_positive = y.size, int(y.sum())
    if n_positive in (0, n):
        note = f"no {'normal study' if n_positive else 'fracture'} among {n}"
        return Recalibration(undefined(n, _METHOD, note), undefined(n, _METHOD, note))
    one = np.ones((n, 1))
    intercept = _estimate(_fit(y, one, x), y, one, x, group)
    if x.min() == x.max():
        slope = undefined(n, _METHOD, "all probabilities are the same")
    elif _parted(x[y == 0], x[y == 1]) or _parted(x[y == 1], x[y == 0]):
        slope = undefined(n, _METHOD, "a threshold parts the classes without error")
    else:
        both = np.stack([one[:, 0], x], axis=1)
        slope = _estimate(_fit(y, both, 0 * x), y, both, 0 * x, group)
    return Recalibration(intercept, slope)


def _parted(below: Float[np.ndarray, "m"], above: Float[np.ndarray, "n"]) -> bool:
    return bool(below.max() <= above.min())


def _fit(
    labels: Integer[np.ndarray, "n"], columns: Float[np.ndarray, "n m"], offset: np.ndarray
) -> Float[np.ndarray, "m"]:
    """Coefficients of the likeliest logistic regression."""

    def loss(coefficients: np.ndarray) -> float:
        line = offset + columns @ coefficients
        return float(np.mean(np.logaddexp(0, line) - labels * line))

    def gradient(coefficients: np.ndarray) -> np.ndarray:
        chances = scipy.special.expit(offset + columns @ coefficients)
        return columns.T @ (chances - labels) / labels.size

    def curvature(coefficients: np.ndarray) -> np.ndarray:
        chances = scipy.special.expit(offset + columns @ coefficients)
        return _information(chances, columns) / labels.size

    start = np.zeros(columns.shape[1])
    options = {"gtol": 1e-10}
    return scipy.optimize.minimize(
        loss, start, jac=gradient, hess=curvature, method="trust-exact", options=options
    ).x


def _information(
    chances: Float[np.ndarray, "n"], columns: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, "m m"]:
    return (columns * (chances * (1 - chances))[:, None]).T @ columns


def _estimate(
    coefficients: Float[np.ndarray, "m"],
    labels: Integer[np.ndarray, "n"],
    columns: Float[np.ndarray, "n m"],
    offset: Float[np.ndarray, "n"],
    groups: Integer[np.ndarray, "n"],
) -> Estimate:
    """The last coefficient, with the interval of a variance that sums scores by group."""
    n, m = columns.shape
    value = float(coefficients[-1])
    g = int(groups.max()) + 1
    if g <= m:
        return Estimate(value, None, None, n, _METHOD, f"{g} groups are too few for an interval")
    chances = scipy.special.expit(offset + columns @ coefficients)
    scores = np.zeros((g, m))
    np.add.at(scores, groups, columns * (labels - chances)[:, None])
    bread = np.linalg.inv(_information(chances, columns))
    # The usual correction for few groups, as in statsmodels and Stata.
    factor = g / (g - 1) * (n - 1) / (n - m)
    error = float(np.sqrt(factor * (bread @ scores.T @ scores @ bread)[-1, -1]))
    return Estimate(value, value - Z * error, value + Z * error, n, _METHOD)
