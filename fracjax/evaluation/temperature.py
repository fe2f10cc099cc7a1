"""One number that makes a network less, or more, sure of itself: its logits divided by T.

Choose it on validation only, as a threshold. It moves no study past another: ROC curve, AUC and
the classes called stay as they were, and a threshold chosen after it finds the same studies.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import validation
from fracjax.evaluation.intervals import LEVEL, design_effect
from fracjax.evaluation.predictions import Predictions

RANGE = (0.05, 20.0)  # of the temperatures tried
_FAR = 1e-3  # on the log scale: an optimum closer than this to an end of RANGE lies at that end
_LEAST = 2.0**-149  # the smallest float32 above 0: what a probability of 0 counts as in the fit


@dataclass(frozen=True)
class Temperature:
    """A temperature and what it was fitted on."""

    # T; above 1 the network was too sure of itself. 1, where none is found; `note` says why.
    value: float
    n: int  # studies it was fitted on
    # its 95 % interval (profile likelihood, by group); None where there is none, or beyond the
    # temperatures tried.
    low: float | None
    high: float | None
    note: str = ""

    @classmethod
    def from_dict(cls, data: dict) -> "Temperature":
        """The way back from JSON, exactly; `InputError` names fields missing and unknown."""
        validation.check_fields(cls, data, "a stored temperature")
        _check_positive(data["value"])
        return cls(**data)


def fit_temperature(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None
) -> Temperature:
    """The temperature that makes the true classes of these studies most probable.

    It minimises the mean of -log softmax(log p / T)[true class] over T from 0.05 to 20; in 1 / T
    that is convex, so there is one minimum. Labels are int[n], 0 .. k-1; probabilities float[n, k].

    Groups enter the interval by the design effect on the score, the loss's slope in log T.

    Source: Guo, Pleiss, Sun and Weinberger 2017, ICML, section 4.2; groups: Rotnitzky and Jewell
    1990, Biometrika 77:485-497.
    """
    y, p = _checked(labels, probabilities)
    n, k = p.shape
    group = validation.group_indices(groups, n)
    if missing := sorted(set(range(k)) - set(y.tolist())):
        classes = ", ".join(map(str, missing))
        return Temperature(1.0, n, None, None, f"no study of class {classes} (of 0 .. {k - 1})")
    logits = np.log(np.maximum(p, _LEAST))

    def loss(log_t: float) -> float:
        log_p = scipy.special.log_softmax(logits / np.exp(log_t), axis=1)
        return -float(log_p[np.arange(n), y].sum())

    ends = np.log(RANGE)
    best = scipy.optimize.minimize_scalar(
        loss, bounds=ends, method="bounded", options={"xatol": 1e-8}
    )
    if min(best.x - ends[0], ends[1] - best.x) < _FAR:
        what = (
            f"below {RANGE[0]:g}: the classes are perfectly separated"
            if best.x < 0
            else f"above {RANGE[1]:g}: the probabilities say nothing of the classes"
        )
        return Temperature(1.0, n, None, None, f"the maximum-likelihood temperature is {what}")
    expected = (scipy.special.softmax(logits / np.exp(best.x), axis=1) * logits).sum(axis=1)
    slope = logits[np.arange(n), y] - expected
    limit = best.fun + design_effect(slope, group) * scipy.stats.chi2.ppf(LEVEL, 1) / 2

    def end(bound: float) -> float | None:
        if loss(bound) <= limit:
            return None
        return float(np.exp(scipy.optimize.brentq(lambda x: loss(x) - limit, bound, best.x)))

    return Temperature(float(np.exp(best.x)), n, end(ends[0]), end(ends[1]))


def scaled(predictions: Predictions, temperature: float) -> Predictions:
    """The same studies with probabilities softmax(log p / temperature).

    A temperature of 1 changes no bit. Probabilities of 0 and 1 stay. Of two classes, scores keep
    their order, and equal ones stay equal; different ones become equal only where float64 has one
    number for both. (Scores of exactly 1 are ordered by what was left for the negative class.)
    """
    probabilities = scale_probabilities(predictions.probabilities, temperature)
    return replace(predictions, probabilities=probabilities)


def scale_probabilities(p: Any, temperature: float) -> Any:
    """The probabilities of `scaled`, float[n, k], for arrays of NumPy or, in a program, of JAX."""
    _check_positive(temperature)
    if temperature == 1:
        return p
    if isinstance(p, np.ndarray):
        xp, special, softmax = np, scipy.special, scipy.special.softmax
    else:
        xp, special, softmax = jnp, jax.scipy.special, jax.nn.softmax
    with np.errstate(divide="ignore"):  # the log of 0 is -inf, and stays it
        if p.shape[1] > 2:
            return softmax(xp.log(p) / temperature, axis=1)
        # Of the score alone: the two probabilities are rounded each for itself, and a quotient of
        # both would set equal scores apart, in either order.
        negative, score = p[:, 0], p[:, 1]
        # Not below the log odds of the largest number under 1, whatever the rounding of p.
        largest = scipy.special.logit(np.nextafter(np.ones((), p.dtype), 0))
        saturated = xp.maximum(-xp.log(negative), largest)
        gap = xp.where(score == 1, saturated, special.logit(score)) / temperature
    return xp.stack([special.expit(-gap), special.expit(gap)], axis=1)


def _checked(
    labels: ArrayLike, probabilities: ArrayLike
) -> tuple[Integer[np.ndarray, "n"], Float[np.ndarray, "n k"]]:
    p = np.asarray(probabilities)
    problems = []
    if p.ndim != 2 or p.shape[1] < 2 or p.size == 0 or p.dtype.kind != "f":
        problems = [f"found {p.dtype}{p.shape}; expected floats of n studies, (n, k)"]
    elif not (valid := (p >= 0) & (p <= 1)).all():  # nor is NaN
        problems = [f"{(~valid).sum()} of {p.size} are not from 0 to 1"]
    validation.raise_problems(problems, "probabilities")
    y, _ = validation.class_indices(labels, p.argmax(axis=1), p.shape[1])
    return y, p.astype(np.float64)


def _check_positive(temperature: float) -> None:
    if not 0 < temperature < np.inf:
        wrong = f"it is {temperature:g}; expected a number above 0"
        validation.raise_problems([wrong], "the temperature")
