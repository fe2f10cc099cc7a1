"""Which studies an epoch visits, and in which order: drawn on the device from seed and epoch."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Int, Int32, Shaped

from fracjax.runtime.randomness import numpy_generator, stream


def draw_order(
    label: Int[np.ndarray, " n"], *, seed: int, epoch: int, oversample: bool = False
) -> Int32[Array, " m"]:
    """The order in which an epoch, from 0 on, visits the studies; the same on every machine.

    Every study comes once. With `oversample` those of smaller classes come again until all classes
    are of one size: what is repeated is drawn anew each epoch, and no study is seen more than once
    oftener than another one of its class.
    """
    if not oversample:
        return _shuffled(len(label), seed, epoch)
    counts = tuple(int(n) for n in np.bincount(label) if n)
    return _oversampled(jnp.asarray(label, jnp.int32), counts, seed, epoch)


@partial(jax.jit, static_argnums=0)
def _shuffled(n: int, seed: ArrayLike, epoch: ArrayLike) -> Int32[Array, " n"]:
    return jax.random.permutation(_key(seed, epoch), jnp.arange(n, dtype=jnp.int32))


@partial(jax.jit, static_argnums=1)
def _oversampled(
    label: Int32[Array, " n"], counts: tuple[int, ...], seed: ArrayLike, epoch: ArrayLike
) -> Int32[Array, " m"]:
    within, between = jax.random.split(_key(seed, epoch))
    # The studies of a class side by side, shuffled within it: its first few are what is repeated.
    shuffled = jax.random.permutation(within, jnp.arange(label.size, dtype=jnp.int32))
    grouped = shuffled[jnp.argsort(label[shuffled], stable=True)]
    starts = np.cumsum([0, *counts[:-1]])
    turns = np.arange(max(counts))
    places = np.concatenate([at + turns % n for at, n in zip(starts, counts, strict=True)])
    return jax.random.permutation(between, grouped[places])


def subset_rows(
    label: Int[np.ndarray, " n"], group: Shaped[np.ndarray, " n"], *, fraction: float, seed: int
) -> Int[np.ndarray, " m"]:
    """Rows of a fraction of the groups of every class, at least one group of each, in order.

    A group that lies in two classes is drawn with the first of them; a class that would be left
    with none has that of its groups added which a larger fraction takes first. So the subsets of
    one seed are nested: a larger fraction has all rows of a smaller one.
    """
    rng = numpy_generator(stream(seed, "subset"))
    names, first = np.unique(group, return_index=True)
    kept = names[:0]
    # The fraction that takes a group; of two at the very same, `round` takes even sums.
    enters: dict[Any, tuple[float, bool]] = {}
    for name in np.unique(label):
        its = rng.permutation(names[label[first] == name])
        kept = np.append(kept, its[: max(1, round(fraction * len(its)))])
        for place, one in enumerate(its.tolist()):
            enters[one] = ((place + 0.5) / len(its), place % 2 == 0)
    for name in np.unique(label):
        its = np.unique(group[label == name])
        if not np.isin(its, kept).any():
            kept = np.append(kept, [min(its.tolist(), key=lambda one: enters[one])])
    return np.flatnonzero(np.isin(group, kept))


def _key(seed: ArrayLike, epoch: ArrayLike) -> jax.Array:
    return jax.random.fold_in(stream(seed, "order"), epoch)
