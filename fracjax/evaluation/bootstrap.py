"""Bootstrap by near-duplicate group: seeded, and thousands of resamples in one call.

A resample draws as many groups as there are, with replacement, and takes all studies of a group
each time it is drawn. It is held as a weight per study (how often it was drawn), so that a metric
of many resamples is one vectorised program.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Shaped, UInt32

from fracjax.evaluation.estimate import Estimate, undefined
from fracjax.evaluation.float64 import float64_on_cpu, padded, round_size

RESAMPLES = 2000
_AT_ONCE = 2**17  # weights in one dispatch: 1 MiB of float64, which stays in the cache
_FEWEST = 16  # resamples in one dispatch, of sets for which this is more: sorting is shared
_BLOCK = 2**17  # random words in one dispatch

# Weights float64[n] of one resample, and arrays of a row per study -> float64[m], NaN: undefined.
Statistic = Callable[..., jax.Array]

# The name of a closed form, and the function that gives its interval.
ClosedForm = tuple[str, Callable[[], tuple[float, float]]]


@dataclass(frozen=True, eq=False)
class Resampled:
    """m metrics of n studies, and of resamples of their groups.

    Attributes:
      value: of the studies themselves; NaN where undefined.
      draws: of each resample.
      n: studies.
      n_groups: near-duplicate groups.
    """

    value: Float[np.ndarray, "m"]
    draws: Float[np.ndarray, "resamples m"]
    n: int
    n_groups: int

    def __getitem__(self, columns: slice) -> "Resampled":
        return Resampled(self.value[columns], self.draws[:, columns], self.n, self.n_groups)

    def estimate(self, column: int, fallback: ClosedForm, note: str = "") -> Estimate:
        """One metric with its interval, as `percentile_estimate`."""
        return percentile_estimate(
            self.value[column],
            self.draws[:, column],
            n=self.n,
            n_groups=self.n_groups,
            fallback=fallback,
            note=note,
        )


def bootstrap(
    statistic: Statistic,
    groups: Integer[np.ndarray, "n"],
    *arrays: Shaped[np.ndarray, "n ..."],
    seed: int,
    resamples: int = RESAMPLES,
) -> Resampled:
    """Metrics of n studies with those of their resamples; arguments as for `resample`."""
    value = on_sample(statistic, *arrays)
    draws = resample(statistic, groups, *arrays, seed=seed, resamples=resamples)
    return Resampled(value, draws, groups.size, int(groups.max()) + 1)


def resample(
    statistic: Statistic,
    groups: Integer[np.ndarray, "n"],
    *arrays: Shaped[np.ndarray, "n ..."],
    seed: int,
    resamples: int = RESAMPLES,
) -> Float[np.ndarray, "{resamples} m"]:
    """Metrics of resamples of whole groups: `statistic(weights, *arrays)` of each.

    The statistic is vmapped over resamples and compiled, in float64 on the CPU, once for each
    function and size of set. So let it be a function of a module that takes labels, scores and the
    like as `arrays`; one that is made anew at each call, such as a closure, compiles anew, and its
    program is kept. Sets are filled up to a round size with studies of weight 0 and rows of 0;
    without `arrays` nothing is filled up, for closures over n studies.

    Memory is bounded by some tens of MiB, however many resamples, for up to 100,000 studies.

    Args:
      statistic: a JAX function of the weights float64[n] of one resample (how often each study was
        drawn) and of `arrays`, to metrics float64[m], NaN for undefined.
      groups: the group of each study, numbered 0, 1, ... without gaps.
      arrays: labels, scores, ...: NumPy arrays with a row per study.
      seed: of the draws; the same seed gives the same resamples of the same number of groups,
        whatever the statistic. The first of many resamples are those of few.
      resamples: how many.

    Source: Field and Welsh 2007, "Bootstrapping clustered data", the cluster bootstrap.
    """
    n = groups.size
    size = round_size(n) if arrays else n
    parts, running = [], None
    with float64_on_cpu():
        rows = [jnp.asarray(padded(array, size)) for array in arrays]
        for weights in _weights(groups, size, seed, resamples):
            following = _metrics(statistic, weights, *rows)
            if running is not None:  # one dispatch is read while the next one computes
                parts.append(np.asarray(running))
            running = following
        parts.append(np.asarray(running))
    return np.concatenate(parts)[:resamples]


def on_sample(statistic: Statistic, *arrays: Shaped[np.ndarray, "n ..."]) -> Float[np.ndarray, "m"]:
    """Metrics of the n studies themselves, each counted once, by the program that `resample` runs.

    Args:
      statistic: as for `resample`.
      arrays: likewise, at least one.
    """
    n = len(arrays[0])
    size = round_size(n)
    once = np.broadcast_to(padded(np.ones(n), size), (_at_once(n), size))
    with float64_on_cpu():
        rows = [jnp.asarray(padded(array, size)) for array in arrays]
        return np.asarray(_metrics(statistic, jnp.asarray(once), *rows))[0]


def percentile_estimate(
    value: float,
    draws: Float[np.ndarray, "resamples"],
    *,
    n: int,
    n_groups: int,
    fallback: ClosedForm,
    note: str = "",
) -> Estimate:
    """An estimate with the 2.5 % and 97.5 % percentiles of its resamples.

    Resamples in which the metric is undefined are left out and counted in `method`; when they are
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


def _at_once(n: int) -> int:
    """Resamples in one dispatch."""
    return max(_FEWEST, _AT_ONCE // round_size(n))


def _weights(
    groups: Integer[np.ndarray, "n"], size: int, seed: int, resamples: int
) -> Iterator[Float[Array, "b {size}"]]:
    """Weights of some resamples at a time, the last time of more than are left."""
    n_groups = int(groups.max()) + 1
    size_of_groups = round_size(n_groups)
    b = _at_once(groups.size)
    of_study = jnp.asarray(padded(groups, size, size_of_groups))
    for words in _words(seed, (b, n_groups), -(-resamples // b)):
        words = np.pad(words, [(0, 0), (0, size_of_groups - n_groups)])
        yield _drawn(words, of_study, np.uint64(n_groups))


def _words(seed: int, shape: tuple[int, int], times: int) -> Iterator[UInt32[np.ndarray, "b g"]]:
    """The next words of one random stream, `times` times."""
    key, blocks, count = jax.random.key(seed), 0, shape[0] * shape[1]
    words = np.empty(0, np.uint32)
    for _ in range(times):
        while words.size < count:
            words = np.append(words, np.asarray(_block(key, np.uint32(blocks))))
            blocks += 1
        yield words[:count].reshape(shape)
        words = words[count:]


@jax.jit
def _block(key: jax.Array, number: jax.Array) -> UInt32[Array, "m"]:
    return jax.random.bits(jax.random.fold_in(key, number), (_BLOCK,), jnp.uint32)


@jax.jit
def _drawn(
    words: UInt32[Array, "b g"], groups: Integer[Array, "n"], n_groups: jax.Array
) -> Float[Array, "b n"]:
    """A row of random words -> the weight of each study; words past `n_groups` draw nothing."""
    b, g = words.shape
    # The upper half of the product: uniform up to n_groups / 2^32, without a division.
    drawn = (words.astype(jnp.uint64) * n_groups) >> jnp.uint64(32)
    counted = jnp.broadcast_to(jnp.arange(g, dtype=jnp.uint64) < n_groups, (b, g))
    # One more cell in a row, never drawn: that of the studies that only fill up.
    first = (g + 1) * jnp.arange(b, dtype=jnp.int32)
    cells = drawn.astype(jnp.int32) + first[:, None]
    times = jnp.zeros(b * (g + 1), jnp.int32)
    times = times.at[cells.reshape(-1)].add(
        counted.reshape(-1).astype(jnp.int32), mode="promise_in_bounds"
    )
    return times.reshape(b, g + 1)[:, groups].astype(jnp.float64)


@partial(jax.jit, static_argnums=0)
def _metrics(
    statistic: Statistic, weights: Float[Array, "b n"], *arrays: jax.Array
) -> Float[Array, "b m"]:
    return jax.vmap(lambda drawn: statistic(drawn, *arrays))(weights)
