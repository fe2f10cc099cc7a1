"""What a call is worth where fractures are rarer, or more frequent, than among these studies."""

from fracjax.evaluation import validation
from fracjax.evaluation.estimate import Estimate, complement, undefined
from fracjax.evaluation.intervals import mover_ratio

_METHOD = "MOVER-R at a given prevalence"


def at_prevalence(
    sensitivity: Estimate, specificity: Estimate, prevalence: float
) -> tuple[Estimate, Estimate]:
    """Positive and negative predictive value where the share `prevalence` has a fracture.

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
    if not 0 < prevalence < 1:
        hint = f"; type {prevalence / 100:g} for {prevalence:g} %" if 1 < prevalence < 100 else ""
        validation.raise_problems(
            [f"it is {prevalence:g}; expected a share above 0 and below 1{hint}"], "the prevalence"
        )
    odds = prevalence / (1 - prevalence)
    return (
        _share(odds, sensitivity, complement(specificity), "positive"),
        _share(1 / odds, specificity, complement(sensitivity), "negative"),
    )


def _share(odds: float, right: Estimate, wrong: Estimate, called: str) -> Estimate:
    """The share whose odds are odds * right / wrong."""
    n = right.n + wrong.n
    if right.value is None or wrong.value is None:
        return undefined(n, _METHOD, right.note if right.value is None else wrong.note)
    if right.value == wrong.value == 0:
        return undefined(n, _METHOD, f"no study is called {called}")
    value = odds * right.value / (odds * right.value + wrong.value)
    if None in (right.low, right.high, wrong.low, wrong.high):
        return Estimate(value, None, None, n, _METHOD, right.note or wrong.note)
    low, high = (1 - 1 / (1 + odds * ratio) for ratio in mover_ratio(right, wrong))
    return Estimate(value, low, high, n, _METHOD)
