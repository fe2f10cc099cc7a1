"""A figure against the number of training studies, and whether the last of them still helped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fracjax.evaluation import confusion
from fracjax.evaluation.bootstrap import Resampled, bootstrap
from fracjax.evaluation.compare import Difference, bootstrapped, compare_auc, compare_classifiers
from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.intervals import Estimate, wilson_of_mean
from fracjax.evaluation.predictions import Predictions
from fracjax.evaluation.validation import group_indices


@dataclass(frozen=True)
class CurvePoint:
    """One network, or one for each seed."""

    fraction: float  # of the near-duplicate groups, as it was asked for
    n_train: int  # studies that it was trained on; of several networks their mean, rounded
    # as `LearningCurve.names`; of several networks the mean. The interval is of these networks.
    figures: tuple[Estimate, ...]
    # of each figure that of every network, in the order of their seeds, and the standard deviation
    # (n - 1) of these; None of one network, and where one of them is undefined.
    networks: tuple[tuple[float | None, ...], ...]
    sd: tuple[float | None, ...]


@dataclass(frozen=True)
class LearningCurve:
    """Networks on more and more studies, all of them evaluated on the same ones."""

    names: tuple[str, ...]  # AUC of a detector; accuracy and macro F1 of a classifier
    points: tuple[CurvePoint, ...]  # the smallest fraction first
    gains: tuple[Difference, ...]  # of each name: the last point minus the one before, paired

    @property
    def seeds(self) -> int:
        """Networks of each fraction."""
        return len(self.points[-1].networks[0])


def learning_curve(
    fractions: Sequence[float], n_train: Sequence[int], predictions: Sequence[Predictions]
) -> LearningCurve:
    """The curve of networks on two fractions or more, in ascending order of these.

    Of each fraction there is one network, or as many as of the others, by seed. Differences are
    paired: AUC by DeLong; of one network each accuracy by Tango and macro F1 by the bootstrap over
    groups, of several both by that. All predictions are of the same studies, in any order; groups
    are those of the last.
    """
    last, sizes = predictions[-1], {}
    networks: dict[float, list[Predictions]] = {}
    for fraction, n, one in zip(fractions, n_train, predictions, strict=True):
        sizes.setdefault(fraction, []).append(n)
        networks.setdefault(fraction, []).append(one.aligned_to(last))
    compared = [_compare(each, networks[fractions[-1]]) for each in networks.values()]
    points = [
        CurvePoint(
            fraction=fraction,
            n_train=round(np.mean(sizes[fraction])),
            figures=tuple(row.first for row in rows),
            networks=each,
            sd=tuple(map(_sd, each)),
        )
        for fraction, (rows, each) in zip(networks, compared, strict=True)
    ]
    gains = compared[-2][0]
    return LearningCurve(tuple(gain.name for gain in gains), tuple(points), gains)


_Compared = tuple[tuple[Difference, ...], tuple[tuple[float | None, ...], ...]]
"""Of each figure how networks differ in it, and what it is of each of the first networks."""


def _compare(first: list[Predictions], second: list[Predictions]) -> _Compared:
    label, group = second[0].label, group_indices(second[0].groups, second[0].n)
    if len(second[0].classes) == 2:
        scores = [np.stack([one.fracture_score for one in side]) for side in (first, second)]
        areas = [auc_estimate(label, one, group).value for one in scores[0]]
        return (compare_auc(label, (scores[0], scores[1]), group),), (tuple(areas),)
    if len(second) == 1:
        rows = compare_classifiers(first[0], second[0]).rows
        return rows, tuple((row.first.value,) for row in rows)
    k = len(second[0].classes)
    # [n, 2, seeds, k k]: the cell of each network's matrix that a study is counted in
    cells = [
        [confusion.one_hot_cells(label, o.called, k) for o in side] for side in (first, second)
    ]
    made = bootstrap(_accuracy_and_f1, group, np.moveaxis(np.array(cells), 2, 0))
    each = made.value.reshape(2, 2, -1)
    draws = made.draws.reshape(len(made.draws), *each.shape).mean(axis=-1)
    rows = tuple(
        bootstrapped(
            name,
            Resampled(value, of_resamples, made.n, made.n_groups),
            "Wilson, of a mean",
            [partial(wilson_of_mean, float(mean), made.n_groups) for mean in value],
            "a class is neither there nor called by one of the networks",
        )
        for name, value, of_resamples in zip(
            ("accuracy", "macro F1"), each.mean(axis=-1), np.moveaxis(draws, 1, 0), strict=True
        )
    )
    return rows, tuple(tuple(None if v != v else v for v in one) for one in each[:, 0].tolist())


def _accuracy_and_f1(
    cells: Float[Array, "n 2 seeds kk"], weights: Float[Array, "n"]
) -> Float[Array, "2 2 seeds"]:
    k = int(cells.shape[3] ** 0.5)
    matrix = jnp.tensordot(weights, cells, 1).reshape(2, -1, k, k)
    accuracy = jnp.trace(matrix, axis1=2, axis2=3) / matrix.sum((2, 3))
    return jnp.stack([accuracy, confusion.macro(confusion.f1(matrix))])


def _sd(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if 1 < len(known) == len(values) else None
