"""Which studies an epoch visits, and in which order: pure functions of seed and epoch."""

import numpy as np
from jaxtyping import Int, Shaped


def epoch_order(n: int, *, seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    """The order in which epoch `epoch` visits `n` studies: every study once."""
    return _generator(seed, epoch).permutation(n)


def oversampled_order(
    label: Int[np.ndarray, " n"], *, seed: int, epoch: int
) -> Int[np.ndarray, " m"]:
    """Every study once, and those of smaller classes again until all classes are of one size.

    What is repeated is drawn anew each epoch, and no study is seen more than once oftener than
    another one of its class.
    """
    rng = _generator(seed, epoch)
    rows = []
    most = np.bincount(label).max()
    for name in np.unique(label):
        members = np.flatnonzero(label == name)
        whole, rest = divmod(most, len(members))
        rows += [np.tile(members, whole), rng.permutation(members)[:rest]]
    return rng.permutation(np.concatenate(rows))


def subset_rows(
    label: Int[np.ndarray, " n"], group: Shaped[np.ndarray, " n"], *, share: float, seed: int
) -> Int[np.ndarray, " m"]:
    """Rows of a share of the groups of every class, at least one group of each, in order.

    A group that lies in two classes is drawn with the first of them; a class that would be left
    with none has one of its groups added.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, _SUBSET]))
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


_SUBSET = 2**32  # no epoch has this number


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, epoch]))
