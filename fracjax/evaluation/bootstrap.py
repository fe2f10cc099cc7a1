"""Bootstrap by near-duplicate group: seeded, and thousands of resamples in one call.

A resample draws as many groups as there are, with replacement, and takes all studies of a group
each time it is drawn. It is held as a weight per study (how often it was drawn), so that a metric
of many resamples is one vectorised program, in float64 on the CPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Shaped, UInt32

from fracjax.errors import InputError
from fracjax.evaluation.intervals import Estimate, undefined

RESAMPLES = 2000
_AT_ONCE = 2**17  # weights in one dispatch: 1 MiB of float64, which stays in the cache
_FEWEST = 16  # resamples in one dispatch, of sets for which this is more: sorting is shared
_BLOCK = 2**17  # random words in one dispatch
_ROUND = 256

# Arrays of a row per study, and weights float64[n] of one resample -> float64[m], NaN: undefined.
Statistic = Callable[..., jax.Array]

Interval = Callable[[], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Resampled:
    """m metrics of n studies (`value`, NaN where undefined), and of resamples of their groups."""

    value: Float[np.ndarray, "m"]
    draws: Float[np.ndarray, "resamples m"]
    n: int
    n_groups: int

    def __getitem__(self, columns: slice) -> "Resampled":
        return Resampled(self.value[columns], self.draws[:, columns], self.n, self.n_groups)

    def estimate(self, column: int, method: str, fallback: Interval, note: str = "") -> Estimate:
        """One metric with the 2.5 % and 97.5 % percentiles of its resamples.

        Resamples in which it is undefined are left out and counted in `method`; when they are more
        than half, there is no interval, nor with a single group. Where all resamples are the same,
        as of a perfect score, the bootstrap sees no spread where there is some: the interval is
        then the `fallback`'s, a closed form called `method`. `note` says why a value is undefined.
        """
        value, draws = float(self.value[column]), self.draws[:, column]
        undefined_draws = int(np.isnan(draws).sum())
        by = f"bootstrap of {self.n_groups} groups, {draws.size} resamples"
        if undefined_draws:
            by += f", {undefined_draws} undefined"
        if np.isnan(value):
            return undefined(self.n, by, note)
        if self.n_groups == 1:
            return Estimate(value, None, None, self.n, by, "a single group: nothing to resample")
        if 2 * undefined_draws > draws.size:
            return Estimate(value, None, None, self.n, by, "undefined in most resamples")
        low, high = np.quantile(draws[~np.isnan(draws)], [0.025, 0.975])
        if high - low > 1e-12:
            return Estimate(value, float(low), float(high), self.n, by, note)
        return Estimate(value, *fallback(), self.n, method, "the same in every resample")


def bootstrap(
    statistic: Statistic,
    groups: Integer[np.ndarray, "n"],
    *arrays: Shaped[np.ndarray, "n ..."],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Resampled:
    """`statistic(*arrays, weights)` of n studies, which may be none, and of resamples of groups.

    `statistic` is a JAX function of `arrays`, with a row per study, and of the weights float64[n]
    of one resample (how often each study was drawn) to metrics, float64, NaN for undefined. It is
    vmapped over resamples and compiled once for each function and size of set: one that is made
    anew at each call, such as a closure, compiles anew, and its program is kept. Sets are filled up
    to a round size with studies of weight 0 and rows of 0, so that sets of about the same size
    share a program. Groups are numbered 0, 1, ... without gaps. The same seed gives the same
    resamples of as many groups, the first of many resamples being those of few. Memory is bounded
    by some tens of MiB, however many resamples, for up to 100,000 studies.

    Source: Field and Welsh 2007, "Bootstrapping clustered data", the cluster bootstrap.
    """
    n, n_groups = groups.size, int(groups.max(initial=-1)) + 1
    size = _round_size(n)
    at_once = max(_FEWEST, _AT_ONCE // size)
    once = np.broadcast_to(_padded(np.ones(n), size), (at_once, size))
    with float64_on_cpu():
        rows = [jnp.asarray(_padded(array, size)) for array in arrays]
        value = np.asarray(_metrics(statistic, jnp.asarray(once), *rows))[0]
        parts = [
            np.asarray(_metrics(statistic, weights, *rows))
            for weights in _weights(groups, size, (at_once, n_groups), seed, resamples)
        ]
    return Resampled(value, np.concatenate(parts)[:resamples], n, n_groups)


@contextmanager
def float64_on_cpu() -> Iterator[None]:
    """Within it, JAX keeps 64 bits and computes on the CPU: accelerators are slow at it, or unable.

    Raises:
      InputError: JAX was told to leave the CPU alone.
    """
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError as error:
        raise InputError(
            f"metrics are computed on the CPU, in 64 bits, and JAX has none ({error}); write "
            "JAX_PLATFORMS=cuda,cpu, or leave it unset"
        ) from error
    with jax.enable_x64(True), jax.default_device(cpu):
        yield


def _round_size(n: int) -> int:
    """`n` rounded up, by at most a quarter from 1024 on: a multiple of 256, or of 2^k / 4 above."""
    n = max(n, 1)
    step = max(_ROUND, 1 << max(0, (n - 1).bit_length() - 3))
    return -(-n // step) * step


def _padded(array: Shaped[np.ndarray, "n *rest"], size: int, value: int = 0) -> np.ndarray:
    """`array` with rows of `value` appended, up to `size` rows."""
    rows = [(0, size - len(array)), *[(0, 0)] * (array.ndim - 1)]
    return np.pad(array, rows, constant_values=value)


def _weights(
    groups: Integer[np.ndarray, "n"], size: int, shape: tuple[int, int], seed: int, resamples: int
) -> Iterator[Float[Array, "b {size}"]]:
    """Weights of `shape[0]` resamples at a time, the last time of more than are left."""
    key, blocks, (at_once, n_groups) = jax.random.key(seed), 0, shape
    size_of_groups = _round_size(n_groups)
    of_study = jnp.asarray(_padded(groups, size, size_of_groups))
    words = np.empty(0, np.uint32)  # of one random stream
    for _ in range(-(-resamples // at_once)):
        while words.size < at_once * n_groups:
            words = np.append(words, np.asarray(_block(key, np.uint32(blocks))))
            blocks += 1
        drawn = words[: at_once * n_groups].reshape(shape)
        words = words[at_once * n_groups :]
        drawn = np.pad(drawn, [(0, 0), (0, size_of_groups - n_groups)])
        yield _drawn(drawn, of_study, np.uint64(n_groups))


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
    empty, once = jnp.zeros(b * (g + 1), jnp.int32), counted.reshape(-1).astype(jnp.int32)
    times = empty.at[cells.reshape(-1)].add(once, mode="promise_in_bounds")
    return times.reshape(b, g + 1)[:, groups].astype(jnp.float64)


@partial(jax.jit, static_argnums=0)
def _metrics(
    statistic: Statistic, weights: Float[Array, "b n"], *arrays: jax.Array
) -> Float[Array, "b m"]:
    made = jax.vmap(lambda drawn: statistic(*arrays, drawn))(weights)
    return made.reshape(len(weights), -1)
