"""Two AUCs on the same studies: DeLong's test of their difference, with its interval."""

import numpy as np
import scipy
from jaxtyping import Float, Integer

from fracjax.evaluation.estimate import Estimate, undefined
from fracjax.evaluation.intervals import Z, auc_estimate, mover_difference, structural_components


def auc_difference(
    labels: Integer[np.ndarray, "n"],
    first: Float[np.ndarray, "n"],
    second: Float[np.ndarray, "n"],
    groups: Integer[np.ndarray, "n"],
) -> tuple[Estimate, float | None]:
    """AUC of the second scores minus that of the first, and the two-sided p of no difference.

    The interval is the difference +- 1.96 standard errors, which leaves out 0 exactly when p is
    below 0.05. In simulated sets of 100 studies it covered the truth in 90 to 99 %, in those of 200
    in 93 to 97 %. Where DeLong's variance is 0 or undefined (both AUCs 1, one study of a class, the
    same order twice) there is no p, and the interval is that of two independent AUCs: wider than it
    need be.

    Args:
      labels: 0 (normal) or 1 (fracture); one class may be absent, and the difference undefined.
      first: scores, on any scale.
      second: scores of the same studies, on any scale.
      groups: near-duplicate group of each study, numbered from 0. Studies of a group count as
        dependent, within a class and across.

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837-845; groups: Obuchowski 1997,
    Biometrics 53:567-578.
    """
    method = "DeLong" if np.unique(groups).size == groups.size else "DeLong, by group"
    alone = [auc_estimate(labels, scores) for scores in (first, second)]
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


def difference_variance(
    labels: Integer[np.ndarray, "n"],
    first: Float[np.ndarray, "n"],
    second: Float[np.ndarray, "n"],
    groups: Integer[np.ndarray, "n"],
) -> float:
    """Variance of the difference of two AUCs; NaN with studies of a class from one group only.

    With every study its own group it is DeLong's.
    """
    one, other = structural_components(labels, first), structural_components(labels, second)
    parts = []  # of each class: what each group adds to the error of the difference
    for label, a, b in zip((1, 0), one, other, strict=True):
        gain = b - a
        parts.append(np.bincount(groups[labels == label], gain - gain.mean(), groups.max() + 1))
        parts[-1] /= gain.size
    holding = [np.unique(groups[labels == label]).size for label in (1, 0)]
    if min(holding) < 2:
        return float("nan")
    m = np.unique(groups).size
    within = sum(k / (k - 1) * float(part @ part) for k, part in zip(holding, parts, strict=True))
    return within + 2 * m / (m - 1) * float(parts[0] @ parts[1])
