"""Predictions of the studies of one patient, or visit, as one prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Shaped

from fracjax.errors import InputError
from fracjax.evaluation import validation
from fracjax.evaluation.predictions import Predictions
from fracjax.evaluation.threshold import OperatingPoint

Pool = Literal["mean", "max"]
"""How several probabilities become one: their mean, or the largest."""


@dataclass(frozen=True)
class PooledPoint:
    """The threshold of the pooled scores of a patient, or of what else a column names."""

    column: str
    pool: Pool
    point: OperatingPoint | None  # None of a classifier


def pool_by(predictions: Predictions, column: str, how: Pool) -> Predictions:
    """One row for each value of a column, in the order of their names.

    The score is the mean of the studies' scores, or the largest of them. Of a detector a patient is
    positive if one study is; of a classifier all studies of one must be of one class, and the
    largest probability of each class is scaled so that they add up to 1. Groups stay what they
    are: patients of one group are no independent evidence. `int:studies` says how many there are.

    Raises:
      InputError: no such column, a study without a value, a value in several groups, or several
        classes.
    """
    values = unit_names({**predictions.attributes, "group": predictions.groups}, column)
    groups, k = predictions.groups, len(predictions.classes)
    check_within_groups(values, groups, column)
    names, first, unit, counts = np.unique(
        values, return_index=True, return_inverse=True, return_counts=True
    )
    label = predictions.label[first]
    if k == 2:
        np.maximum.at(label, unit, predictions.label)
    elif (mixed := predictions.label != label[unit]).any():
        which = validation.quote(np.unique(values[mixed]))
        raise InputError(
            f"column {column}: studies of several classes have the same value: {which}"
        )
    if how == "mean":
        p = np.zeros((names.size, k))
        np.add.at(p, unit, predictions.probabilities)
        p /= counts[:, None]
    elif k == 2:
        score = np.zeros(names.size)
        np.maximum.at(score, unit, predictions.fracture_score)
        p = np.stack([1 - score, score], axis=1)
    else:
        p = np.zeros((names.size, k))
        np.maximum.at(p, unit, predictions.probabilities)
        p /= p.sum(axis=1, keepdims=True)
    attributes = {"group": groups[first], "studies": counts}
    return Predictions(names, label, p, predictions.classes, attributes)


def unit_names(
    attributes: Mapping[str, Shaped[np.ndarray, " n"]], column: str
) -> Shaped[np.ndarray, " n"]:
    """A column of the studies as text; refused where it, or a value of it, is missing."""
    if column not in attributes:
        raise InputError(f"no column {column}; there are {', '.join(attributes) or 'none'}")
    values = np.char.strip(attributes[column].astype(str))
    if "" in values:
        raise InputError(f"column {column}: {(values == '').sum()} studies have no value")
    return values


def check_within_groups(
    values: Shaped[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], column: str
) -> None:
    """Refuse values whose studies lie in several groups: these may lie in several parts."""
    pairs = np.unique(np.stack([values, groups.astype(str)]), axis=1)
    names, counts = np.unique(pairs[0], return_counts=True)
    if (apart := names[counts > 1]).size:
        raise InputError(
            f"column {column}: the studies of {apart.size} values lie in several groups "
            f"({validation.quote(apart)}), so that some may have been trained on; prepare the "
            f"dataset with --group-by {column}"
        )
