"""A figure against the number of training studies, and whether the last of them still helped."""

from collections.abc import Sequence
from dataclasses import dataclass

from fracjax.evaluation.compare import Difference, compare_auc, compare_classifiers
from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.intervals import Estimate
from fracjax.evaluation.predictions import Predictions
from fracjax.evaluation.validation import group_indices


@dataclass(frozen=True)
class CurvePoint:
    """One network."""

    fraction: float  # of the near-duplicate groups, as it was asked for
    n_train: int  # studies that it was trained on
    figures: tuple[Estimate, ...]  # as `LearningCurve.names`


@dataclass(frozen=True)
class LearningCurve:
    """Networks on more and more studies, all of them evaluated on the same ones."""

    names: tuple[str, ...]  # AUC of a detector; accuracy and macro F1 of a classifier
    points: tuple[CurvePoint, ...]  # the smallest fraction first
    gains: tuple[Difference, ...]  # of each name: the last point minus the one before, paired


def learning_curve(
    fractions: Sequence[float], n_train: Sequence[int], predictions: Sequence[Predictions]
) -> LearningCurve:
    """The curve of two networks or more, in ascending order of their fractions.

    Differences are paired: AUC by DeLong, accuracy by Tango, macro F1 by the bootstrap over groups.
    All predictions are of the same studies, in any order; groups are those of the last.
    """
    last = predictions[-1]
    aligned = [one.aligned_to(last) for one in predictions]
    if len(last.classes) == 2:
        groups, (before, _) = group_indices(last.groups, last.n), aligned[-2:]
        scores = before.fracture_score, last.fracture_score
        gains: tuple[Difference, ...] = (compare_auc(last.label, scores, groups),)
        figures = [(_auc(one),) for one in aligned]
    else:
        gains = compare_classifiers(*aligned[-2:]).rows
        earlier = [
            tuple(row.first for row in compare_classifiers(one, last).rows) for one in aligned[:-1]
        ]
        figures = [*earlier, tuple(row.second for row in gains)]
    points = map(CurvePoint, fractions, n_train, figures)
    return LearningCurve(tuple(gain.name for gain in gains), tuple(points), gains)


def _auc(one: Predictions) -> Estimate:
    return auc_estimate(one.label, one.fracture_score, group_indices(one.groups, one.n))
