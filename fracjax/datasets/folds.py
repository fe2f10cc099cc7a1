"""Cross-validation: the training and validation studies cut into folds by near-duplicate group.

The test part of the split stays apart, whatever the fold.
"""

from collections import defaultdict

import numpy as np
from jaxtyping import Int, Shaped

from fracjax.errors import InputError


def fold_indices(
    label: Int[np.ndarray, " n"],
    group: Shaped[np.ndarray, " n"],
    *,
    fold: tuple[int, int],
    seed: int,
    source: str,
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " v"]]:
    """Rows to train on and rows to validate on; over all folds each row is validated on once.

    Args:
      label: class of each study; the folds have the classes in like shares.
      group: near-duplicate group of each study; it stays whole.
      fold: its number, from 1, and how many there are.
      seed: shuffles the groups; the same for all folds of a run.
      source: name of the dataset, for the message.

    Raises:
      UserError: a class has fewer groups than there are folds.
    """
    number, of = fold
    groups = defaultdict(set)
    for name, its in zip(label.tolist(), group.tolist(), strict=True):
        groups[name].add(its)
    fewest = min(len(its) for its in groups.values())
    if fewest < of:
        fewer = f"write --folds {fewest} or less, or " if fewest > 1 else ""
        raise InputError(
            f"{of} folds of {source} need {of} near-duplicate groups of every class, but its "
            f"smallest class has {fewest}; {fewer}leave the class out"
        )
    # Here, not above: it takes its time to import, and few runs cut folds.
    from sklearn.model_selection import StratifiedGroupKFold

    cutter = StratifiedGroupKFold(of, shuffle=True, random_state=seed)
    return list(cutter.split(np.zeros(len(label)), label, group))[number - 1]
