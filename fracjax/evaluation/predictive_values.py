"""What a call, or none, says of a study: likelihood ratios, and values at another prevalence."""

import numpy as np
from jaxtyping import Integer

from fracjax.evaluation import metrics
from fracjax.evaluation.estimate import Estimate, complement, undefined
from fracjax.evaluation.intervals import Z, mover_ratio, proportion
from fracjax.evaluation.sample import missing_class
from fracjax.evaluation.validation import check_prevalence

_SIMEL = "Simel, log scale"
_MOVER_R = "MOVER-R at a given prevalence"


def likelihood_ratios(matrix: Integer[np.ndarray, "2 2"]) -> tuple[Estimate, Estimate]:
    """LR+ = sensitivity / (1 - specificity) and LR- = (1 - sensitivity) / specificity.

    The interval is symmetric on the log scale. Where that has no width, or none that is finite (a
    count of 0, or every study called), it is MOVER-R's of Wilson's. An infinite ratio has no value,
    and its lower limit stands in the note.

    Args:
      matrix: [[TN, FP], [FN, TP]], counts.

    Returns:
      (LR+, LR-), n being all studies; undefined where a class is absent or the ratio is 0/0.

    Source: Simel, Samsa and Matchar 1991, Journal of Clinical Epidemiology 44:763-770; Donner and
    Zou 2012, Statistical Methods in Medical Research 21:347-359 (MOVER-R).
    """
    (tn, fp), (fn, tp) = matrix.tolist()
    return (
        _ratio(
            float(metrics.positive_likelihood_ratio(matrix)),
            (tp, tp + fn),
            (fp, tn + fp),
            neither="no study is called positive",
            infinite="no false alarm",
        ),
        _ratio(
            float(metrics.negative_likelihood_ratio(matrix)),
            (fn, tp + fn),
            (tn, tn + fp),
            neither="every study is called positive",
            infinite="no normal study passes",
        ),
    )


def at_prevalence(
    sensitivity: Estimate, specificity: Estimate, prevalence: float
) -> tuple[Estimate, Estimate]:
    """Positive and negative predictive value where the fraction `prevalence` has a fracture.

    Bayes' rule: the odds of a fracture after a call are those before it times a ratio of two
    independent proportions. The interval of that ratio is carried over, so it has a width for a
    sensitivity or specificity of 1 too. The prevalence counts as known, and sensitivity and
    specificity as the same there as here, which they are not if fractures there are of other kinds.

    Args:
      sensitivity: with its interval.
      specificity: with its interval.
      prevalence: above 0 and below 1.

    Returns:
      (ppv, npv), n being all studies; undefined where no study would be called so.

    Raises:
      InputError: the prevalence is 0, 1, outside or NaN.

    Source: Mercaldo, Lau and Zhou 2007, Statistics in Medicine 26:2170-2183, with the interval of
    Donner and Zou 2012 for the ratio.
    """
    check_prevalence(prevalence)
    odds = prevalence / (1 - prevalence)
    return (
        _predictive_value(odds, sensitivity, complement(specificity), "positive"),
        _predictive_value(1 / odds, specificity, complement(sensitivity), "negative"),
    )


def _ratio(
    value: float,
    of_fractures: tuple[int, int],
    of_normals: tuple[int, int],
    *,
    neither: str,
    infinite: str,
) -> Estimate:
    """The ratio of two proportions, each (count, studies)."""
    (a, p), (b, q) = of_fractures, of_normals
    n = p + q
    if missing := missing_class(p, n):
        return undefined(n, _SIMEL, missing)
    if np.isnan(value):
        return undefined(n, _SIMEL, neither)
    if a and b and (a < p or b < q):
        half = Z * np.sqrt(1 / a - 1 / p + 1 / b - 1 / q)
        low, high = value * np.exp([-half, half])
        return Estimate(value, float(low), float(high), n, _SIMEL)
    low, high = mover_ratio(proportion(a, p), proportion(b, q))
    if np.isinf(value):
        return undefined(n, "MOVER-R", f"infinite, {infinite}; at least {low:.3g}")
    return Estimate(value, low, high, n, "MOVER-R", "the log scale gives no interval here")


def _predictive_value(odds: float, right: Estimate, wrong: Estimate, called: str) -> Estimate:
    """The fraction whose odds are odds * right / wrong."""
    n = right.n + wrong.n
    if right.value is None or wrong.value is None:
        return undefined(n, _MOVER_R, right.note if right.value is None else wrong.note)
    if right.value == wrong.value == 0:
        return undefined(n, _MOVER_R, f"no study is called {called}")
    value = odds * right.value / (odds * right.value + wrong.value)
    if None in (right.low, right.high, wrong.low, wrong.high):
        return Estimate(value, None, None, n, _MOVER_R, right.note or wrong.note)
    low, high = (1 - 1 / (1 + odds * ratio) for ratio in mover_ratio(right, wrong))
    return Estimate(value, low, high, n, _MOVER_R)
