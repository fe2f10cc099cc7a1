"""Curves of a detector with the band that resampling gives them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import metrics
from fracjax.evaluation.bootstrap import RESAMPLES, Resampled
from fracjax.evaluation.float64 import run_float64
from fracjax.evaluation.intervals import wilson, wilson_of_mean
from fracjax.evaluation.sample import Sample


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over a grid, with a pointwise 95 % interval.

    Attributes:
      x: the grid, increasing.
      y: the curve; NaN where it is undefined.
      low: lower end of the interval at each x; NaN where there is none.
      high: upper end.
      n: studies.
      method: how the interval was made.
    """

    x: Float[np.ndarray, "m"]
    y: Float[np.ndarray, "m"]
    low: Float[np.ndarray, "m"]
    high: Float[np.ndarray, "m"]
    n: int
    method: str


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit over threshold probabilities; that of calling no study is 0 throughout.

    Attributes:
      model: of calling a study when its probability reaches the threshold.
      treat_all: of calling every study.
    """

    model: Band
    treat_all: Float[np.ndarray, "m"]


_FRACTIONS = np.arange(101) / 100
_THRESHOLDS = np.arange(1, 100) / 100


def roc_band(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Band:
    """Sensitivity over 1 - specificity, 0 .. 1 by 0.01: the ROC curve, read vertically.

    The band is pointwise: it holds the curve at one x in 95 % of samples, not the whole curve. It
    is the percentiles of resamples of whole groups. Where all resamples are the same, it is
    Wilson's interval over the fractures, as if the threshold there had been given; at x = 1, where
    every study is called, sensitivity is 1 and certain.

    Args:
      labels: int[n], 0 (normal) or 1 (fracture), both present.
      scores: float[n], finite.
      groups: near-duplicate group of each study, of any type; None if every study stands alone.
      seed: of the bootstrap.
      resamples: of the bootstrap.

    Raises:
      InputError: as `auc`, or there is not one group per study.

    Source: Fawcett 2006, section 8.1 (vertical averaging), with percentiles for the average.
    """
    sample = Sample.checked(labels, scores, groups, both_classes=True)
    made = sample.bootstrap(_roc, seed=seed, resamples=resamples)

    def closed_form(i: int) -> tuple[float, float]:
        certain = _FRACTIONS[i] == 1
        return (1.0, 1.0) if certain else wilson_of_mean(made.value[i], sample.n_positive)

    return pointwise(_FRACTIONS, made, ("Wilson over fractures", closed_form))


def pr_band(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Band:
    """Precision over recall, 0.01 .. 1 by 0.01: at each, that of the highest threshold reaching it.

    Where all resamples are the same, the band is Wilson's interval over the studies called at that
    threshold. Otherwise as `roc_band`.
    """
    sample = Sample.checked(labels, scores, groups, both_classes=True)
    made = sample.bootstrap(_pr, seed=seed, resamples=resamples)
    true, false = sample.measure(metrics.counts_at_recall, _FRACTIONS[1:])

    def closed_form(i: int) -> tuple[float, float]:
        return wilson(int(true[i]), int(true[i] + false[i]))

    return pointwise(_FRACTIONS[1:], made, ("Wilson over studies called", closed_form))


def decision_curve(
    labels: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> DecisionCurve:
    """Net benefit over threshold probabilities, 0.01 .. 0.99 by 0.01.

    It is in fractures found per study, less false alarms at their price, t / (1 - t); see
    `metrics.net_benefit`. The band is pointwise, as `roc_band`'s; where all resamples are the same,
    mostly because none calls a study, it is made of Wilson's intervals of TP/n and FP/n (MOVER).

    Args:
      labels: int[n], 0 (normal) or 1 (fracture); one class may be absent.
      probabilities: float[n], 0 .. 1.
      groups: near-duplicate group of each study, of any type; None if every study stands alone.
      seed: of the bootstrap.
      resamples: of the bootstrap.

    Raises:
      InputError: as `binary_report`, or a probability is below 0 or above 1.

    Source: Vickers and Elkin 2006, Medical Decision Making 26:565-574.
    """
    sample = Sample.checked(labels, probabilities, groups, probabilities=True)
    y, n = sample.labels, sample.n
    made = sample.bootstrap(_decision, seed=seed, resamples=resamples)

    def closed_form(i: int) -> tuple[float, float]:
        called = metrics.calls(sample.scores, _THRESHOLDS[i])
        price = _THRESHOLDS[i] / (1 - _THRESHOLDS[i])
        hits, false = int((called & (y == 1)).sum()), int((called & (y == 0)).sum())
        (hits_low, hits_high), (low, high) = wilson(hits, n), wilson(false, n)
        a, b = hits / n, false / n
        down = np.hypot(a - hits_low, price * (high - b))
        return made.value[i] - down, made.value[i] + np.hypot(hits_high - a, price * (b - low))

    return DecisionCurve(
        model=pointwise(_THRESHOLDS, made, ("MOVER of Wilson's", closed_form)),
        treat_all=run_float64(metrics.net_benefit_of_all, y, np.ones(n), _THRESHOLDS),
    )


def pointwise(
    x: Float[np.ndarray, "m"],
    made: Resampled,
    fallback: tuple[str, Callable[[int], tuple[float, float]]],
) -> Band:
    """Each point's percentile interval, as `percentile_estimate` has it."""
    name, closed_form = fallback
    points = [made.estimate(i, (name, partial(closed_form, i))) for i in range(x.size)]
    ends = np.array([(e.low, e.high) for e in points], np.float64)  # None becomes NaN
    method = f"bootstrap of {made.n_groups} groups, {len(made.draws)} resamples, pointwise"
    if any(e.method == name for e in points):
        method += f"; {name} where all are the same"
    return Band(x, made.value, ends[:, 0], ends[:, 1], made.n, method)


def _roc(
    weights: Float[Array, "n"], labels: Integer[Array, "n"], scores: Float[Array, "n"]
) -> Float[Array, "m"]:
    return metrics.sensitivity_at(labels, scores, weights, jnp.asarray(_FRACTIONS))


def _pr(
    weights: Float[Array, "n"], labels: Integer[Array, "n"], scores: Float[Array, "n"]
) -> Float[Array, "m"]:
    return metrics.precision_at(labels, scores, weights, jnp.asarray(_FRACTIONS[1:]))


def _decision(
    weights: Float[Array, "n"], labels: Integer[Array, "n"], probabilities: Float[Array, "n"]
) -> Float[Array, "m"]:
    return metrics.net_benefit(labels, probabilities, weights, jnp.asarray(_THRESHOLDS))
