"""How studies differ from those that a model was made on, in distributions and in fractions.

Drift says that figures may differ, not that they do, nor whose fault it is.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool
from numpy.typing import ArrayLike

from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.intervals import LEVEL, Estimate, fraction, mover_difference
from fracjax.evaluation.validation import Groups, Sample, group_indices

_QUANTILES = (0.05, 0.5, 0.95)
_BINS = 20


@dataclass(frozen=True)
class Distribution:
    """Where the values of n studies lie: their 5 %, 50 % and 95 % quantiles."""

    n: int
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Shift:
    """One quantity of the studies here, against the same of reference studies."""

    name: str
    of: str  # the reference studies, such as "training"
    reference: Distribution
    here: Distribution
    # how often a random study here has a higher value than a random reference study, ties counting
    # half: 0.5 without drift. It is blind to a spread that changes around the same middle.
    higher: Estimate
    # Kolmogorov and Smirnov's two-sample statistic: the largest difference of the two cumulative
    # distributions, 0 where they are the same, 1 where all of one lie above all of the other.
    ks: float
    # what it exceeds by chance in 5 % of cases without drift, or in fewer: of the groups, as if the
    # studies of each agreed.
    ks_by_chance: float

    @property
    def beyond_chance(self) -> bool:
        """Whether the distributions differ by more than chance explains in 19 of 20 cases."""
        return self.ks > self.ks_by_chance


@dataclass(frozen=True)
class FractionShift:
    """How many of the studies are so, such as positive, here and among reference studies."""

    name: str
    of: str  # the reference studies
    reference: Estimate
    here: Estimate
    difference: Estimate  # here - reference

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and not low <= 0 <= high


@dataclass(frozen=True)
class Histogram:
    """Studies in each of 20 bins of equal width over [0, 1]."""

    name: str
    reference: tuple[int, ...]
    here: tuple[int, ...]


@dataclass(frozen=True)
class Drift:
    """All that was compared."""

    shifts: tuple[Shift, ...]
    fractions: tuple[FractionShift, ...]
    scores: tuple[Histogram, ...]


def shift_of(
    name: str,
    of: str,
    reference: tuple[ArrayLike, ArrayLike],
    here: tuple[ArrayLike, ArrayLike],
) -> Shift:
    """Compare values, each side with its groups; a group is of one side, whatever its name.

    Source: Hodges 1958, Arkiv för Matematik 3:469-486 (the statistic); Smirnov 1948, Annals of
    Mathematical Statistics 19:279-281 (its limit); Kish 1965, Survey Sampling (groups of unequal
    size).
    """
    sides = [
        Sample.checked(np.full(np.size(v), i), v, g) for i, (v, g) in enumerate((reference, here))
    ]
    before, now = sides
    labels, scores = (np.concatenate([getattr(s, f) for s in sides]) for f in ("labels", "scores"))
    groups = np.concatenate([before.groups, now.groups + before.groups.max() + 1])
    sizes = [_independent(side.groups) for side in sides]
    limit = scipy.stats.kstwobign.ppf(LEVEL) * sum(1 / size for size in sizes) ** 0.5
    return Shift(
        name,
        of,
        *(_distribution(side.scores) for side in sides),
        higher=auc_estimate(labels, scores, groups),
        ks=float(scipy.stats.ks_2samp(before.scores, now.scores, method="asymp").statistic),
        ks_by_chance=float(min(limit, 1.0)),
    )


def fraction_shift(
    name: str,
    of: str,
    reference: tuple[Bool[np.ndarray, " n"], ArrayLike],
    here: tuple[Bool[np.ndarray, " m"], ArrayLike],
) -> FractionShift:
    """Compare which studies are so, each side with its groups.

    Source: Newcombe 1998, Statistics in Medicine 17:873-890, method 10, of Wilson's intervals by
    group.
    """
    before, now = (fraction(hits, group_indices(its, hits.size)) for hits, its in (reference, here))
    assert before.value is not None, "there are reference studies"
    assert now.value is not None, "there are studies"
    between = mover_difference(before, now)
    n = before.n + now.n
    difference = Estimate(now.value - before.value, *between, n, "Newcombe, from Wilson")
    return FractionShift(name, of, before, now, difference)


def histogram(name: str, reference: ArrayLike, here: ArrayLike) -> Histogram:
    """Count probabilities of both sides."""
    counts = (np.histogram(side, _BINS, (0, 1))[0].tolist() for side in (reference, here))
    return Histogram(name, *map(tuple, counts))


def _distribution(values: np.ndarray) -> Distribution:
    return Distribution(values.size, *np.quantile(values, _QUANTILES).tolist())


def _independent(groups: Groups) -> float:
    """So many independent studies the groups are worth at least: where all of one agree."""
    sizes = np.bincount(groups)
    return float(sizes.sum() ** 2 / np.sum(sizes**2))
