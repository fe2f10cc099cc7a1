"""Folds for cross-validation, cut from train and validation; the test part stays apart."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int, Shaped

from fracjax.errors import InputError

T = TypeVar("T")


def fold_indices(
    label: Int[np.ndarray, " n"],
    group: Shaped[np.ndarray, " n"],
    *,
    fold: tuple[int, int],
    seed: int,
    source: str,
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " v"]]:
    """Rows to train on and rows to validate on; over all folds each row is validated on once.

    The folds have the classes in like fractions, and groups whole. `fold` is its number, from 1,
    and how many there are; the seed, which shuffles the groups, is the same for all of a run.
    """
    number, of = fold
    fewest = min(groups_of_class(label.tolist(), group.tolist()).values())
    if fewest < of:
        fewer = f"write --folds {fewest} or less, or " if fewest > 1 else ""
        raise InputError(
            f"{of} folds of {source} need {of} near-duplicate groups of every class, but its "
            f"smallest class has {fewest}; {fewer}leave the class out"
        )
    return stratified(label, group, of, seed)[number - 1]


def left_out_indices(
    value: Shaped[np.ndarray, " n"], group: Shaped[np.ndarray, " n"], held_out: str
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " v"]]:
    """Rows to train on and rows to validate on: those of one value of a column, such as a source.

    Rows of other values in a group of one of these are in neither: they would leak.
    """
    held = value == held_out
    return np.flatnonzero(~np.isin(group, group[held])), np.flatnonzero(held)


def stratified(label: Any, group: Any, folds: int, seed: int) -> list[tuple[Any, Any]]:
    """Rows of the others and rows of each fold, groups whole and classes in like fractions."""
    return _stratified(
        tuple(np.asarray(label).tolist()), tuple(np.asarray(group).tolist()), folds, seed
    )


@lru_cache(2)  # it takes seconds, and each fold asks for its parts one by one
def _stratified(label: tuple, group: tuple, folds: int, seed: int) -> list[tuple[Any, Any]]:
    # Here, not above: it takes its time to import, and who reads a split makes none.
    from sklearn.model_selection import StratifiedGroupKFold

    cutter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(cutter.split(np.zeros(len(label)), label, group))


def groups_of_class(label: Sequence[T], group: Sequence[Any]) -> Counter[T]:
    """How many groups each class has studies in."""
    return Counter(name for name, _ in set(zip(label, group, strict=True)))
