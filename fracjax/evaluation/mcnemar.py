"""Two networks right or wrong on the same studies: McNemar's exact test and Tango's interval.

Only studies that one of the two calls rightly and the other wrongly tell them apart. Where studies
come in near-duplicate groups, a group is one piece of evidence: both see it as a whole.
"""

import numpy as np
import scipy
from jaxtyping import Bool, Float

from fracjax.evaluation.intervals import Estimate, Z, undefined
from fracjax.evaluation.sample import Groups

Right = Bool[np.ndarray, "n"]
"""Is the call of a network right?"""


def mcnemar(first: Right, second: Right, groups: Groups) -> float:
    """Two-sided p of McNemar's exact test that both networks are right equally often.

    If they are, swapping the two networks' calls changes nothing but the sign of the difference,
    for each group on its own. The p is the fraction of such swaps with a difference as large as
    the one found. Where every study is its own group this is the binomial test of the studies on
    which only one is right. 1 if there is no such study.

    Source: McNemar 1947, Psychometrika 12:153-157; swaps of both members of a pair: Fisher 1935,
    The Design of Experiments, section 21.
    """
    gains = np.bincount(groups, second.astype(float) - first).astype(np.int64)
    chance = np.ones(1)  # of every sum of the gains seen so far, from -reach to +reach
    for gain in np.abs(gains[gains != 0]):
        gap = np.zeros(2 * gain)
        chance = (np.append(chance, gap) + np.append(gap, chance)) / 2
    reach = chance.size // 2
    as_far = np.abs(np.arange(-reach, reach + 1)) >= abs(gains.sum())
    return min(1.0, float(chance[as_far].sum()))


def paired_difference(
    first: Right, second: Right, groups: Groups, *, empty: str = "no studies"
) -> Estimate:
    """Fraction of studies that the second network calls rightly minus that of the first.

    Tango's interval leaves out 0 when McNemar's chi-squared is significant at 5 %; the exact test
    is more cautious, so with few studies its p may then still lie somewhat above 0.05 (0.125 at
    the most, for 4 against 0). Groups enter by the design effect: all counts are divided by the
    factor, if above 1, by which they raise the variance of the difference. Without a study it is
    undefined, with the note `empty`.

    Source: Tango 1998, Statistics in Medicine 17:891-908; design effect: Rao and Scott 1992,
    Biometrics 48:577-585.
    """
    gain = second.astype(float) - first
    if gain.size == 0:
        return undefined(0, "Tango", empty)
    effect = design_effect(gain, groups)
    only_second, only_first, n = np.array([(gain > 0).sum(), (gain < 0).sum(), gain.size]) / effect
    low, high = tango(only_second, only_first, n)
    method = "Tango" if effect == 1 else f"Tango, design effect {effect:.2f}"
    return Estimate(float(gain.mean()), low, high, gain.size, method)


def design_effect(values: Float[np.ndarray, "n"], groups: Groups) -> float:
    """By how much groups raise the variance of the mean, compared with independent studies.

    At least 1, and 1 where every study is its own group. Where the values show no spread, or there
    is one group, a group counts as one study.
    """
    deviations = values - values.mean()
    sums = np.bincount(groups, deviations)[np.unique(groups)]
    if sums.size in (1, values.size) or not deviations.any():
        return values.size / sums.size
    alone = np.sum(deviations**2) * values.size / (values.size - 1)
    return max(1.0, float(np.sum(sums**2) * sums.size / (sums.size - 1) / alone))


def tango(only_second: float, only_first: float, n: float) -> tuple[float, float]:
    """Tango's score interval for (only_second - only_first) / n; counts may be fractions.

    The ends are the differences d that the score test would just not refuse. With both counts 0
    it is z^2 / (n + z^2) to both sides, as wide as Wilson's interval is for 0 of n.
    """
    return -_tango_high(only_first, only_second, n), _tango_high(only_second, only_first, n)


def _tango_high(b: float, c: float, n: float) -> float:
    def excess(d: float) -> float:
        # The maximum-likelihood fraction that only the first has right, were d the difference.
        linear = -b - c + (2 * n - b + c) * d
        root = max(0.0, linear**2 + 8 * n * c * d * (1 - d)) ** 0.5  # below 0 by rounding only
        fraction = (root - linear) / (4 * n)
        return (b - c - n * d) ** 2 - Z**2 * n * (2 * fraction + d * (1 - d))

    estimate = (b - c) / n
    # The estimate itself is a root where no study tells the two apart; it is not the one we want.
    if b == n:
        return 1.0
    return scipy.optimize.brentq(excess, estimate + 1e-9, 1.0)
