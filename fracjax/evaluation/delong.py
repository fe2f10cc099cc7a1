"""The AUC: its interval, and the paired test of two; by group, both.

Scores are those of a network, [n], or of k of them, [k, n]: the figure is then the mean of their
AUCs, and its interval is of these networks on other studies.
"""

import numpy as np
import scipy
from jaxtyping import Float
from numpy.typing import ArrayLike

from fracjax.evaluation.intervals import Estimate, Z, count_groups, mover_difference, undefined
from fracjax.evaluation.validation import Groups, Labels, Sample, missing_class

Scores = Float[np.ndarray, "*k n"]


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: P(a fracture scores higher than a normal study) + half of ties.

    Scores are on any increasing scale. With one class absent it is an error (0/0).

    Source: Bamber 1975, Journal of Mathematical Psychology 12:387-415.
    """
    sample = Sample.checked(labels, scores, both_classes=True)
    p, q = sample.n_positive, sample.n - sample.n_positive
    ranks = scipy.stats.rankdata(sample.scores)[sample.labels == 1]
    return float((ranks.sum() - p * (p + 1) / 2) / (p * q))


def structural_components(
    labels: Labels, scores: Scores
) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "q"]]:
    """DeLong's V10 and V01 by midranks, in O(n log n).

    For each fracture, the fraction of normal studies scored below it, and for each normal study the
    fraction of fractures scored above it, ties counting half. Each has the AUC as its mean.

    Source: Sun and Xu 2014, IEEE Signal Processing Letters 21(11), equations 8 and 9.
    """
    each = np.atleast_2d(scores)
    positive, negative = each[:, labels == 1], each[:, labels == 0]
    ranks = scipy.stats.rankdata(each, axis=1)
    above = ranks[:, labels == 1] - scipy.stats.rankdata(positive, axis=1)
    below = ranks[:, labels == 0] - scipy.stats.rankdata(negative, axis=1)
    v10, v01 = above / negative.shape[1], 1 - below / positive.shape[1]
    return v10.mean(axis=0), v01.mean(axis=0)


def auc_variance(labels: Labels, scores: Scores, groups: Groups) -> float:
    """Variance of the AUC; NaN with studies of a class from one group only.

    With every study its own group it is DeLong's.

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837-845; groups: Obuchowski 1997,
    Biometrics 53:567-578.
    """
    return _variance(labels, structural_components(labels, scores), groups)


def newcombe_auc(auc: float, n_positive: int, n_negative: int) -> tuple[float, float]:
    """A score interval for the AUC from the AUC and the class sizes alone, as Wilson's is.

    It solves (auc - t)^2 = z^2 V(t) for t, with V the Hanley-McNeil variance in which both class
    sizes are replaced by their mean. It keeps a width at AUC 0 and 1.

    Source: Newcombe 2006, Statistics in Medicine 25:559-573, method 5.
    """
    mean = (n_positive + n_negative) / 2 - 1

    def excess(t: float) -> float:
        spread = 1 + mean * (1 - t) / (2 - t) + mean * t / (1 + t)
        return (auc - t) ** 2 - Z**2 * t * (1 - t) * spread / (n_positive * n_negative)

    # t = auc itself solves the equation at AUC 0 and 1, where V is 0; it is not the one we want.
    low = 0.0 if auc == 0 else scipy.optimize.brentq(excess, 0.0, auc - 1e-15)
    high = 1.0 if auc == 1 else scipy.optimize.brentq(excess, auc + 1e-15, 1.0)
    return low, high


def auc_estimate(labels: Labels, scores: Scores, groups: Groups) -> Estimate:
    """The AUC with DeLong's variance on the logit scale, so that the interval stays within (0, 1).

    Studies of a group (numbered from 0) count as dependent, as in `auc_variance`. Of independent
    studies it covered the truth in 91 to 97 % of simulated sets of 40 to 600 with AUC 0.7 to 0.99;
    the plain AUC +- 1.96 SE in 78 to 95 % (one set excepted). Where DeLong's variance is 0 (AUC 1,
    or all scores equal) or undefined (one study of a class) it is Newcombe's, of the groups.
    """
    n, n_positive = labels.size, int(labels.sum())
    alone = count_groups(groups) == n
    method = "DeLong, logit scale" if alone else "DeLong, by group, logit scale"
    if missing := missing_class(n_positive, n):
        return undefined(n, method, missing)
    area = float(np.mean([auc(labels, one) for one in np.atleast_2d(scores)]))
    variance = auc_variance(labels, scores, groups)
    if variance > 1e-14:
        half = Z * variance**0.5 / (area * (1 - area))
        low, high = scipy.special.expit(scipy.special.logit(area) + np.array([-half, half]))
        return Estimate(area, float(low), float(high), n, method)
    holding = [count_groups(groups[labels == label]) for label in (1, 0)]
    low, high = newcombe_auc(area, *holding)
    return Estimate(area, low, high, n, "Newcombe", "DeLong's variance is 0 or undefined here")


def auc_difference(
    labels: Labels, first: Scores, second: Scores, groups: Groups
) -> tuple[Estimate, float | None]:
    """AUC of the second scores minus that of the first, and the two-sided p of no difference.

    The interval is the difference +- 1.96 standard errors; in simulated sets of 100 studies it
    covered the truth in 90 to 99 %, of 200 in 93 to 97 %. Where DeLong's variance is 0 or undefined
    (both AUCs 1, one study of a class, the same order twice) there is no p, and the interval is
    that of two independent AUCs. Studies of a group (numbered from 0) count as dependent, within a
    class and across.

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837-845; groups: Obuchowski 1997,
    Biometrics 53:567-578.
    """
    method = "DeLong" if count_groups(groups) == groups.size else "DeLong, by group"
    alone = [auc_estimate(labels, scores, groups) for scores in (first, second)]
    if alone[0].value is None or alone[1].value is None:
        return undefined(labels.size, method, alone[0].note), None
    difference = alone[1].value - alone[0].value
    variance = difference_variance(labels, first, second, groups)
    if variance > 1e-14:
        error = variance**0.5
        low, high = max(-1.0, difference - Z * error), min(1.0, difference + Z * error)
        p_value = float(2 * scipy.stats.norm.sf(abs(difference) / error))
        return Estimate(difference, low, high, labels.size, method), p_value
    low, high = mover_difference(*alone)
    note = "DeLong's variance is 0 or undefined here; the interval is as if independent"
    return Estimate(difference, low, high, labels.size, "MOVER of both AUCs", note), None


def difference_variance(labels: Labels, first: Scores, second: Scores, groups: Groups) -> float:
    """Variance of the difference of two AUCs; NaN with studies of a class from one group only.

    With every study its own group it is DeLong's.
    """
    both = (structural_components(labels, scores) for scores in (first, second))
    p, q = (after - before for before, after in zip(*both, strict=True))
    return _variance(labels, (p, q), groups)


def _variance(labels: Labels, components: tuple[np.ndarray, np.ndarray], groups: Groups) -> float:
    """Of the sum of both components' means, of fractures and of normal studies."""
    parts = []  # of each class: what each group adds to the error of the mean
    for label, values in zip((1, 0), components, strict=True):
        parts.append(np.bincount(groups[labels == label], values - values.mean(), groups.max() + 1))
        parts[-1] /= values.size
    holding = [count_groups(groups[labels == label]) for label in (1, 0)]
    if min(holding) < 2:
        return float("nan")
    m = count_groups(groups)
    within = sum(k / (k - 1) * float(part @ part) for k, part in zip(holding, parts, strict=True))
    return within + 2 * m / (m - 1) * float(parts[0] @ parts[1])
