"""Metrics with their number of studies and their 95 % intervals, and the intervals in closed form.

Studies of a group (a patient, near duplicates) are no independent evidence. The closed forms here
count them by the design effect, as `bootstrap` does by resampling whole groups: of ten images of a
patient that agree, one counts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from jaxtyping import Bool, Float, Integer

LEVEL = 0.95
Z = 1.959963984540054
"""Quantile of the normal distribution at (1 + LEVEL) / 2."""


@dataclass(frozen=True)
class Estimate:
    """A point estimate with its 95 % confidence interval."""

    value: float | None  # the estimate; None where it is undefined (0/0), never 0 or NaN
    low: float | None  # lower end of the interval; None where there is none
    high: float | None  # upper end of the interval
    # what it was counted over, the denominator of a proportion: studies of a class for its recall,
    # studies called so for its precision, all studies for F1 and the like.
    n: int
    method: str  # how the interval was made, e.g. "Wilson"
    note: str = ""  # why a value or an interval is missing or unusual; "" otherwise

    @property
    def figure(self) -> str:
        """Value and interval as text: `0.912 [0.88, 0.94]`, or `undefined`."""
        if self.value is None:
            return "undefined"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} [no interval]"
        digits = _digits(self.value, self.low, self.high)
        return f"{self.value:.3f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def __str__(self) -> str:
        return f"{self.figure} n={self.n}"


def _digits(value: float, low: float, high: float) -> int:
    """Two decimals, or as many as show an interval with a width, around its value."""
    for digits in (2, 3):
        ends = round(low, digits), round(high, digits)
        if ends[0] < ends[1] and ends[0] <= round(value, 3) <= ends[1]:
            return digits
    return 4


def undefined(n: int, method: str, note: str) -> Estimate:
    """The estimate of 0/0."""
    return Estimate(None, None, None, n, method, note)


def complement(fraction: Estimate) -> Estimate:
    """1 - a fraction, its interval turned with it."""
    swapped = replace(fraction, low=fraction.high, high=fraction.low)
    return _mapped(swapped, lambda end: 1 - end)


def times(factor: float, estimate: Estimate) -> Estimate:
    """An estimate and its interval, each times a number above 0."""
    return _mapped(estimate, lambda end: factor * end)


def _mapped(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    ends = (estimate.value, estimate.low, estimate.high)
    value, low, high = (None if end is None else function(end) for end in ends)
    return replace(estimate, value=value, low=low, high=high)


def wilson(successes: float | int, n: float | int) -> tuple[float, float]:
    """Wilson's score interval for a proportion; n > 0. Counts over a design effect are fractions.

    Source: Wilson 1927; recommended by Brown, Cai and DasGupta 2001 for any n.
    """
    fraction, more = successes / n, Z**2 / n
    centre = fraction + more / 2
    half = (more * (fraction * (1 - fraction) + more / 4)) ** 0.5
    low = 0.0 if successes == 0 else (centre - half) / (1 + more)
    high = 1.0 if successes == n else (centre + half) / (1 + more)
    return float(low), float(high)


def proportion(
    successes: int, n: int, *, empty: str = "no studies", effect: float = 1.0
) -> Estimate:
    """A proportion with Wilson's interval; undefined, with the note `empty`, when n is 0.

    The counts enter the interval divided by `effect`, the `design_effect` of their groups.
    """
    if n == 0:
        return undefined(0, "Wilson", empty)
    low, high = wilson(successes / effect, n / effect)
    method = "Wilson" if effect == 1 else f"Wilson, design effect {effect:.2f}"
    return Estimate(float(successes / n), low, high, int(n), method)


def fraction(
    hits: Bool[np.ndarray, " n"], groups: Integer[np.ndarray, " n"], *, empty: str = "no studies"
) -> Estimate:
    """The fraction of hits among studies, their groups numbered, with Wilson's interval.

    Source: Rao and Scott 1992, Biometrics 48:577-585 (counts over the design effect).
    """
    effect = design_effect(hits.astype(float), groups) if hits.size else 1.0
    return proportion(int(hits.sum()), hits.size, empty=empty, effect=effect)


def design_effect(values: Float[np.ndarray, " n"], groups: Integer[np.ndarray, " n"]) -> float:
    """By how much groups raise the variance of the mean, compared with independent studies.

    At least 1. Where the values show no spread, or there is one group, a group counts as one study.
    """
    deviations = values - values.mean()
    sums = np.bincount(groups, deviations)[np.unique(groups)]
    if sums.size in (1, values.size) or not deviations.any():
        return values.size / sums.size
    alone = np.sum(deviations**2) * values.size / (values.size - 1)
    return max(1.0, float(np.sum(sums**2) * sums.size / (sums.size - 1) / alone))


def count_groups(groups: Integer[np.ndarray, " n"]) -> int:
    """How many groups there are: as many studies count in a closed form that sees no spread."""
    return np.unique(groups).size


def wilson_f1(tp: float | int, errors: float | int) -> tuple[float, float]:
    """Interval for F1 = 2 TP / (2 TP + FP + FN), where errors = FP + FN and TP + errors > 0.

    F1 rises with TP / (TP + FP + FN), a proportion: its Wilson interval is carried over.
    Source: Lam, Gopal and Qian 2023, arXiv:2309.14621, "Wilson indirect".
    """
    low, high = wilson(tp, tp + errors)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def f1_without_spread(
    hits: Bool[np.ndarray, " n"],
    involved: Bool[np.ndarray, " n"],
    groups: Integer[np.ndarray, " n"],
) -> tuple[float, float]:
    """`wilson_f1` where resampling sees no spread, so that a group counts as one study.

    `hits` are the true positives, `involved` these and both kinds of errors, of which there is one.
    """
    weight = count_groups(groups[involved]) / involved.sum()
    return wilson_f1(weight * hits.sum(), weight * (involved & ~hits).sum())


def wilson_of_mean(mean: float, n: int) -> tuple[float, float]:
    """Interval for a mean of n values between 0 and 1: Wilson's, its sum rounded outwards.

    Such a mean varies at most as much as a proportion. n > 0.
    """
    total = mean * n
    low, high = math.floor(total + 1e-9), math.ceil(total - 1e-9)
    return wilson(low, n)[0], wilson(high, n)[1]


def poisson(events: float | int, n: float | int) -> tuple[float, float]:
    """Exact interval for a rate, `events` in `n` units; n > 0. Events may be a fraction.

    Source: Garwood 1936, Biometrika 28:437-442, by quantiles of the gamma distribution.
    """
    low = scipy.special.gammaincinv(events, (1 - LEVEL) / 2) if events else 0.0
    return float(low / n), float(scipy.special.gammaincinv(events + 1, (1 + LEVEL) / 2) / n)


def mover(
    estimates: Sequence[Estimate], *, scale: float = 1.0, shift: float = 0.0
) -> tuple[float, float]:
    """Interval for scale * (sum of independent estimates) + shift, from the interval of each.

    Source: Zou and Donner 2008 (MOVER); with two proportions it is Newcombe's 1998 method 10.
    """
    value, low, high = _ends(estimates).T
    total = value.sum()
    down, up = np.hypot.reduce(value - low), np.hypot.reduce(high - value)
    return float(scale * (total - down) + shift), float(scale * (total + up) + shift)


def mover_difference(first: Estimate, second: Estimate) -> tuple[float, float]:
    """Interval for second - first, as if independent: too wide for networks that err together."""
    (a, a_low, a_high), (b, b_low, b_high) = _ends([first, second])
    down, up = np.hypot(b - b_low, a_high - a), np.hypot(b_high - b, a - a_low)
    return float(b - a - down), float(b - a + up)


def mover_ratio(numerator: Estimate, denominator: Estimate) -> tuple[float, float]:
    """Interval for the ratio of two independent estimates of at least 0.

    The upper end is infinite where the denominator may be 0. A numerator of 0 has its interval, and
    so has a denominator of 0, but not both at once (0/0).

    Source: Donner and Zou 2012, Statistical Methods in Medical Research 21:347-359, MOVER-R.
    """
    (a, a_low, a_high), (b, b_low, b_high) = _ends([numerator, denominator])
    above, below = a_low * (2 * a - a_low), b_low * (2 * b - b_low)
    # The published lower end times its conjugate: there b_high (2 b - b_high) is divided by, 0 or
    # negative where b is small.
    to_low = ((a * b) ** 2 - above * b_high * (2 * b - b_high)) ** 0.5
    to_high = ((a * b) ** 2 - a_high * (2 * a - a_high) * below) ** 0.5
    low = float(above / (a * b + to_low)) if above else 0.0
    high = float((a * b + to_high) / below) if below else float("inf")
    return low, high


def fraction_of_odds(
    right: Estimate, wrong: Estimate, n: int, method: str, neither: str
) -> Estimate:
    """Right / (right + wrong), of independent estimates, with MOVER-R's interval of their ratio.

    Undefined where one of them is, with its note, and where both are 0, with the note `neither`.
    """
    if right.value is None or wrong.value is None:
        return undefined(n, method, right.note if right.value is None else wrong.note)
    if right.value == wrong.value == 0:
        return undefined(n, method, neither)
    value = right.value / (right.value + wrong.value)
    if None in (right.low, right.high, wrong.low, wrong.high):
        return Estimate(value, None, None, n, method, right.note or wrong.note)
    low, high = (1 - 1 / (1 + odds) for odds in mover_ratio(right, wrong))
    return Estimate(value, low, high, n, method)


def _ends(estimates: Sequence[Estimate]) -> Float[np.ndarray, "m 3"]:
    """Value, low and high of each, all of which there must be."""
    return np.array([(e.value, e.low, e.high) for e in estimates], float)
