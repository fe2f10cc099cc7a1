"""What a call, or none, says of a study: likelihood ratios, and values at another prevalence."""

import numpy as np
from jaxtyping import Bool

from fracjax.evaluation.intervals import (
    Estimate,
    Z,
    complement,
    design_effect,
    fraction,
    fraction_of_odds,
    mover_ratio,
    times,
    undefined,
)
from fracjax.evaluation.validation import Groups, Labels, check_prevalence, missing_class

_SIMEL = "Simel, log scale"
_MOVER_R = "MOVER-R at a given prevalence"


def likelihood_ratios(
    labels: Labels, called: Bool[np.ndarray, " n"], groups: Groups
) -> tuple[Estimate, Estimate]:
    """LR+ = sensitivity / (1 - specificity) and LR- = (1 - sensitivity) / specificity.

    By how much a call raises the odds of a fracture, and no call lowers them. The interval is
    symmetric on the log scale, its variance times the design effect of the groups (numbered from
    0), or, where a count is 0 or every study is called, MOVER-R's of Wilson's. An infinite ratio
    has no value, and its lower limit stands in the note. Undefined where a class is absent or the
    ratio is 0/0; n is all studies.

    Source: Simel, Samsa and Matchar 1991, Journal of Clinical Epidemiology 44:763-770; Donner and
    Zou 2012, Statistical Methods in Medical Research 21:347-359 (MOVER-R).
    """
    return (
        _ratio(labels, called, groups, "no study is called positive", "no false alarm"),
        _ratio(
            labels, ~called, groups, "every study is called positive", "no negative study passes"
        ),
    )


def at_prevalence(
    sensitivity: Estimate, specificity: Estimate, prevalence: float
) -> tuple[Estimate, Estimate]:
    """Positive and negative predictive value where the fraction `prevalence` has a fracture.

    Bayes' rule: the odds of a fracture after a call are those before it times a ratio of two
    independent proportions, whose interval is carried over. The prevalence, above 0 and below 1,
    counts as known, and sensitivity and specificity as the same there as here. Undefined where no
    study would be called so; n is all studies.

    Source: Mercaldo, Lau and Zhou 2007, Statistics in Medicine 26:2170-2183, with the interval of
    Donner and Zou 2012 for the ratio.
    """
    check_prevalence(prevalence)
    odds = prevalence / (1 - prevalence)
    n, called = sensitivity.n + specificity.n, "no study is called"
    more, less = times(odds, sensitivity), times(1 / odds, specificity)
    return (
        fraction_of_odds(more, complement(specificity), n, _MOVER_R, f"{called} positive"),
        fraction_of_odds(less, complement(sensitivity), n, _MOVER_R, f"{called} negative"),
    )


def _ratio(
    labels: Labels, hits: Bool[np.ndarray, " n"], groups: Groups, neither: str, infinite: str
) -> Estimate:
    """Fraction of hits among fractures over that among normals, with notes for 0/0 and x/0."""
    fracture = labels == 1
    p, q = int(fracture.sum()), int((~fracture).sum())
    a, b = int(hits[fracture].sum()), int(hits[~fracture].sum())
    n = p + q
    if note := missing_class(p, n) or ("" if a or b else neither):
        return undefined(n, _SIMEL, note)
    if a and b and (a < p or b < q):
        value = a * q / (p * b)  # whole numbers until the end: 5/4 is 1.25
        # What each study adds to the error of the log ratio: those of a patient vary together.
        error = np.where(fracture, (hits - a / p) / a, (b / q - hits) / b)
        variance = 1 / a - 1 / p + 1 / b - 1 / q
        half = Z * np.sqrt(design_effect(error, groups) * variance)
        low, high = value * np.exp([-half, half])
        return Estimate(value, float(low), float(high), n, _SIMEL)
    parts = (fraction(hits[of], groups[of]) for of in (fracture, ~fracture))
    low, high = mover_ratio(*parts)
    if b == 0:
        return undefined(n, "MOVER-R", f"infinite, {infinite}; at least {low:.3g}")
    note = "the log scale gives no interval here"
    return Estimate(a * q / (p * b), low, high, n, "MOVER-R", note)
