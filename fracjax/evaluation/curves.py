"""Curves of a detector with the band that resampling gives them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from fracjax.evaluation import metrics
from fracjax.evaluation.bootstrap import Resampled
from fracjax.evaluation.intervals import (
    fraction,
    mover_difference,
    times,
    wilson,
    wilson_of_mean,
)
from fracjax.evaluation.validation import Sample


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over an increasing grid `x`, with a pointwise 95 % interval; NaN: undefined."""

    x: Float[np.ndarray, "m"]
    y: Float[np.ndarray, "m"]
    low: Float[np.ndarray, "m"]
    high: Float[np.ndarray, "m"]
    n: int
    method: str


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit over threshold probabilities; that of calling no study is 0 throughout."""

    model: Band
    treat_all: Float[np.ndarray, "m"]


_FRACTIONS = np.arange(101) / 100
_THRESHOLDS = np.arange(1, 100) / 100
_roc = partial(metrics.sensitivity_at, fpr=_FRACTIONS)
_pr = partial(metrics.precision_at, recall=_FRACTIONS[1:])
_decision = partial(metrics.net_benefit, thresholds=_THRESHOLDS)


def roc_band(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None, **resampling: int
) -> Band:
    """Sensitivity over 1 - specificity, 0 .. 1 by 0.01: the ROC curve, read vertically.

    The band is pointwise: it holds the curve at one x in 95 % of samples, not the whole curve.
    Where all resamples are the same, it is Wilson's interval over the fractures, as if the
    threshold there had been given; at x = 1, where every study is called, sensitivity is 1 and
    certain. Both classes must be there.

    Source: Fawcett 2006, section 8.1 (vertical averaging), with percentiles for the average.
    """
    sample = Sample.checked(labels, scores, groups, both_classes=True)
    made = sample.bootstrap(_roc, **resampling)

    def closed_form(i: int) -> tuple[float, float]:
        certain = _FRACTIONS[i] == 1
        return (1.0, 1.0) if certain else wilson_of_mean(made.value[i], sample.n_positive_groups)

    return pointwise(_FRACTIONS, made, "Wilson over positive studies", closed_form)


def pr_band(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None, **resampling: int
) -> Band:
    """Precision over recall, 0.01 .. 1 by 0.01: at each, that of the highest threshold reaching it.

    Where all resamples are the same, the band is Wilson's interval over the studies called at that
    threshold. Otherwise as `roc_band`.
    """
    sample = Sample.checked(labels, scores, groups, both_classes=True)
    both = sample.bootstrap(_pr, **resampling)
    m = _FRACTIONS[1:].size
    made, called = both[slice(m)], both.value[m:]

    def closed_form(i: int) -> tuple[float, float]:
        # No spread is seen: a group counts as one study.
        fraction = made.n_groups / made.n
        return wilson(fraction * round(made.value[i] * called[i]), fraction * called[i])

    return pointwise(_FRACTIONS[1:], made, "Wilson over studies called", closed_form)


def decision_curve(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None, **resampling: int
) -> DecisionCurve:
    """Net benefit over threshold probabilities, 0.01 .. 0.99 by 0.01.

    The band of `metrics.net_benefit` is pointwise, as `roc_band`'s; where all resamples are the
    same, mostly because none calls a study, it is made of Wilson's intervals of TP/n and FP/n
    (MOVER). One class may be absent.
    """
    sample = Sample.checked(labels, probabilities, groups, probabilities=True)
    y, prevalence = sample.labels, sample.n_positive / sample.n
    made = sample.bootstrap(_decision, **resampling)

    def closed_form(i: int) -> tuple[float, float]:
        called = metrics.calls(sample.scores, _THRESHOLDS[i])
        price = _THRESHOLDS[i] / (1 - _THRESHOLDS[i])
        false, hits = (fraction(called & (y == label), sample.groups) for label in (0, 1))
        return mover_difference(times(price, false), hits)

    return DecisionCurve(
        model=pointwise(_THRESHOLDS, made, "MOVER of Wilson's", closed_form),
        treat_all=prevalence - (1 - prevalence) * _THRESHOLDS / (1 - _THRESHOLDS),
    )


def pointwise(
    x: Float[np.ndarray, "m"],
    made: Resampled,
    name: str,
    closed_form: Callable[[int], tuple[float, float]],
) -> Band:
    """Each point's percentile interval, as `Resampled.estimate` has it."""
    points = [made.estimate(i, name, partial(closed_form, i)) for i in range(x.size)]
    ends = np.array([(e.low, e.high) for e in points], np.float64)  # None becomes NaN
    method = f"bootstrap of {made.n_groups} groups, {len(made.draws)} resamples, pointwise"
    if any(e.method == name for e in points):
        method += f"; {name} where all are the same"
    return Band(x, made.value, ends[:, 0], ends[:, 1], made.n, method)
