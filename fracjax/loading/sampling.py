"""Which studies an epoch visits, and in which order: drawn on the device from seed and epoch."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Int, Int32, Shaped

from fracjax.runtime.randomness import numpy_generator, stream


def draw_order(
    label: Int[np.ndarray, " n"],
    *,
    seed: int,
    epoch: int,
    oversample: bool = False,
    batch_size: int = 1,
    positives: int = 0,
) -> Int32[Array, " m"]:
    """The order in which an epoch, from 0 on, visits the studies; the same on every machine.

    Every study comes once. With `oversample` those of smaller classes come again until all classes
    are of one size: what is repeated is drawn anew each epoch, and no study is seen more than once
    oftener than another one of its class.

    With `positives`, so many studies of every `batch_size` in turn are of class 1, all others of
    class 0; the last batch is a full one, too. Of either class some studies are left out of an
    epoch, or come again, other ones in each epoch: none is seen more than once oftener than another
    one of its class, nor twice in a batch if the class has as many as the batch holds of it.
    """
    counts = tuple(int(n) for n in np.bincount(label) if n)
    if positives:
        steps, of_each = -(-len(label) // batch_size), (batch_size - positives, positives)
        numbers = jnp.asarray(label, jnp.int32)
        return _with_share(numbers, counts, steps, of_each, seed, epoch)
    if not oversample:
        return _shuffled(len(label), seed, epoch)
    return _oversampled(jnp.asarray(label, jnp.int32), counts, seed, epoch)


@partial(jax.jit, static_argnums=0)
def _shuffled(n: int, seed: ArrayLike, epoch: ArrayLike) -> Int32[Array, " n"]:
    return jax.random.permutation(_key(seed, epoch), jnp.arange(n, dtype=jnp.int32))


@partial(jax.jit, static_argnums=1)
def _oversampled(
    label: Int32[Array, " n"], counts: tuple[int, ...], seed: ArrayLike, epoch: ArrayLike
) -> Int32[Array, " m"]:
    within, between = jax.random.split(_key(seed, epoch))
    turns = _in_turn(within, label, counts, [max(counts)] * len(counts))
    return jax.random.permutation(between, jnp.concatenate(turns))


@partial(jax.jit, static_argnums=(1, 2, 3))
def _with_share(
    label: Int32[Array, " n"],
    counts: tuple[int, ...],
    steps: int,
    of_each: tuple[int, ...],
    seed: ArrayLike,
    epoch: ArrayLike,
) -> Int32[Array, " m"]:
    within, between = jax.random.split(_key(seed, epoch))
    turns = _in_turn(within, label, counts, [steps * of_class for of_class in of_each])
    batches = jnp.concatenate([turn.reshape(steps, -1) for turn in turns], axis=1)
    # By place in a batch neighbours are mixed, and devices get their parts.
    return jax.random.permutation(between, batches, axis=1, independent=True).reshape(-1)


def _in_turn(
    key: jax.Array, label: Int32[Array, " n"], counts: Sequence[int], wanted: Sequence[int]
) -> list[Int32[Array, " w"]]:
    """As many studies of each class as are wanted, one after the other, over and over."""
    # The studies of a class side by side, shuffled within it: its first few are what is repeated.
    shuffled = jax.random.permutation(key, jnp.arange(label.size, dtype=jnp.int32))
    grouped = shuffled[jnp.argsort(label[shuffled], stable=True)]
    starts = np.cumsum([0, *counts[:-1]])
    each = zip(starts, counts, wanted, strict=True)
    return [grouped[start + np.arange(number) % count] for start, count, number in each]


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
