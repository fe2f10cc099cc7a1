"""Bootstrap by near-duplicate group: seeded, and whole arrays of resamples at a time.

A resample draws as many groups as there are, with replacement, and takes all studies of a group
each time it is drawn. It is held as a weight per study (how often it was drawn), so that a figure
of a thousand resamples is one array expression.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Integer

from fracjax.evaluation.estimate import Estimate, undefined

RESAMPLES = 2000
_WEIGHTS_AT_ONCE = 2**22  # 32 MiB of float64

# Weights of b resamples -> m figures of each; NaN where a figure is undefined.
Statistic = Callable[[np.ndarray], np.ndarray]


def resample(
    statistic: Statistic,
    groups: Integer[np.ndarray, "n"],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Float[np.ndarray, "{resamples} m"]:
    """Figures of resamples of whole groups.

    Args:
      statistic: maps weights float[b, n] to figures float[b, m], NaN for undefined.
      groups: the group of each study, numbered 0, 1, ... without gaps.
      seed: of the draws; the same seed gives the same resamples whatever the statistic.
      resamples: how many.

    Source: Field and Welsh 2007, "Bootstrapping clustered data", the cluster bootstrap.
    """
    rng = np.random.default_rng(seed)
    n_groups = int(groups.max()) + 1
    at_once = max(1, _WEIGHTS_AT_ONCE // max(groups.size, n_groups))
    parts = []
    for start in range(0, resamples, at_once):
        b = min(at_once, resamples - start)
        drawn = rng.integers(n_groups, size=(b, n_groups))
        cells = drawn + n_groups * np.arange(b)[:, None]
        times = np.bincount(cells.ravel(), minlength=b * n_groups).reshape(b, n_groups)
        parts.append(statistic(times[:, groups].astype(np.float64)))
    return np.concatenate(parts)


def percentile_estimate(
    value: float,
    draws: Float[np.ndarray, "resamples"],
    *,
    n: int,
    n_groups: int,
    fallback: tuple[str, Callable[[], tuple[float, float]]],
    note: str = "",
) -> Estimate:
    """An estimate with the 2.5 % and 97.5 % percentiles of its resamples.

    Resamples in which the figure is undefined are left out and counted in `method`; when they are
    more than half, there is no interval, nor with a single group. A perfect score stays perfect in
    every resample: the bootstrap sees no spread where there is some, and the interval is then the
    `fallback`'s, (its name, a function that gives it).
    """
    undefined_draws = int(np.isnan(draws).sum())
    method = f"bootstrap of {n_groups} groups, {draws.size} resamples"
    if undefined_draws:
        method += f", {undefined_draws} undefined"
    if np.isnan(value):
        return undefined(n, method, note)
    reason = ""
    if n_groups == 1:
        reason = "a single group: nothing to resample"
    elif 2 * undefined_draws > draws.size:
        reason = "undefined in most resamples"
    if reason:
        return Estimate(float(value), None, None, n, method, reason)
    low, high = np.quantile(draws[~np.isnan(draws)], [0.025, 0.975])
    if high - low > 1e-12:
        return Estimate(float(value), float(low), float(high), n, method, note)
    name, closed_form = fallback
    low, high = closed_form()
    return Estimate(float(value), low, high, n, name, "the same in every resample")
