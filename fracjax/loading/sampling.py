"""Which studies an epoch visits, and in which order: drawn on the device from seed and epoch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Int, Int32, Shaped

from fracjax.runtime.randomness import numpy_generator, stream


def draw_order(
    label: Int[np.ndarray, " n"], *, seed: int, epoch: int, oversample: bool = False
) -> Int32[Array, " m"]:
    """The order in which an epoch visits the studies; the same on every machine.

    Args:
      label: class index of each study.
      seed: of the run.
      epoch: from 0 on.
      oversample: whether classes are made up to the size of the largest.
    """
    if oversample:
        counts = np.bincount(label)
        members = jnp.asarray(label, jnp.int32)
        return oversampled_order(members, tuple(int(n) for n in counts if n), seed, epoch)
    return epoch_order(len(label), seed, epoch)


@partial(jax.jit, static_argnums=0)
def epoch_order(n: int, seed: ArrayLike, epoch: ArrayLike) -> Int32[Array, " n"]:
    """The order in which epoch `epoch` visits `n` studies: every study once."""
    return jax.random.permutation(_key(seed, epoch), jnp.arange(n, dtype=jnp.int32))


@partial(jax.jit, static_argnums=1)
def oversampled_order(
    label: Int32[Array, " n"], counts: tuple[int, ...], seed: ArrayLike, epoch: ArrayLike
) -> Int32[Array, " m"]:
    """Every study once, and those of smaller classes again until all classes are of one size.

    What is repeated is drawn anew each epoch, and no study is seen more than once oftener than
    another one of its class.

    Args:
      label: class index of each study.
      counts: studies of each class that is there, in the order of the indices.
      seed: of the run.
      epoch: from 0 on.
    """
    within, between = jax.random.split(_key(seed, epoch))
    # The studies of a class side by side, shuffled within it: its first few are what is repeated.
    shuffled = jax.random.permutation(within, jnp.arange(label.size, dtype=jnp.int32))
    grouped = shuffled[jnp.argsort(label[shuffled], stable=True)]
    starts = np.cumsum([0, *counts[:-1]])
    turns = np.arange(max(counts))
    places = np.concatenate(
        [start + turns % count for start, count in zip(starts, counts, strict=True)]
    )
    return jax.random.permutation(between, grouped[places])


def studies_per_epoch(label: Int[np.ndarray, " n"], *, oversample: bool) -> int:
    """Length of the order of an epoch."""
    if not oversample:
        return len(label)
    counts = np.bincount(label)
    return int(counts.max() * np.count_nonzero(counts))


def subset_rows(
    label: Int[np.ndarray, " n"], group: Shaped[np.ndarray, " n"], *, share: float, seed: int
) -> Int[np.ndarray, " m"]:
    """Rows of a share of the groups of every class, at least one group of each, in order.

    A group that lies in two classes is drawn with the first of them; a class that would be left
    with none has one of its groups added.
    """
    rng = numpy_generator(stream(seed, "subset"))
    names, first = np.unique(group, return_index=True)
    kept = names[:0]
    for name in np.unique(label):
        its = names[label[first] == name]
        kept = np.append(kept, rng.permutation(its)[: max(1, round(share * len(its)))])
    for name in np.unique(label):
        its = group[label == name]
        if not np.isin(its, kept).any():
            kept = np.append(kept, rng.choice(its, 1))
    return np.flatnonzero(np.isin(group, kept))


def _key(seed: ArrayLike, epoch: ArrayLike) -> jax.Array:
    return jax.random.fold_in(stream(seed, "order"), epoch)
