"""The same detector on parts of its studies: does it fail on hips, or where there is hardware?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped

from fracjax.evaluation import validation
from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.intervals import Estimate, fraction, undefined
from fracjax.evaluation.metrics import calls
from fracjax.evaluation.predictions import Predictions
from fracjax.evaluation.validation import Groups, Labels, Scores

MIN_OF_A_CLASS = 10  # studies of a class without which its metrics are not given
MOST_VALUES = 8  # of an attribute that makes subgroups of itself

Masks = dict[str, dict[str, Bool[np.ndarray, "n"]]]
"""Attribute -> value -> which studies have it. A study may have several values, or none."""


@dataclass(frozen=True)
class Subgroup:
    """A detector's metrics on the studies that share one attribute."""

    attribute: str  # what they share, such as `region`, `hip`
    value: str
    n: int
    n_positive: int  # fractures among the n studies
    prevalence: Estimate
    # undefined, and the note says why, where there are too few fractures or too few normal studies
    # for a metric that means something.
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate


def subgroup_report(
    predictions: Predictions, masks: Mapping[str, Mapping[str, np.ndarray]], threshold: float
) -> tuple[Subgroup, ...]:
    """Prevalence, AUC, sensitivity and specificity of every subgroup, in the order of `masks`.

    Masks are as of `masks_of`. Intervals are Wilson's and DeLong's, by group. With fewer than
    `MIN_OF_A_CLASS` fractures there is no sensitivity and no AUC, with as few normal studies no
    specificity and no AUC. No two rows are tested against each other.
    """
    score = predictions.fracture_score
    groups = validation.group_indices(predictions.groups, predictions.n)
    return tuple(
        _subgroup(name, value, predictions.label[mask], score[mask], groups[mask], threshold)
        for name, value, mask in checked_masks(masks, predictions.n)
    )


def checked_masks(
    masks: Mapping[str, Mapping[str, np.ndarray]], n: int
) -> list[tuple[str, str, Bool[np.ndarray, " n"]]]:
    """Attribute, value and mask of every subgroup of n studies, or a refusal."""
    rows = [(name, value, mask) for name, parts in masks.items() for value, mask in parts.items()]
    shapes = [
        f"{name}: {value} is {mask.dtype}{mask.shape}; expected bool({n},)"
        for name, value, mask in rows
        if mask.shape != (n,) or mask.dtype != bool
    ]
    validation.raise_problems(shapes, "the masks of subgroups")
    return rows


def masks_of(
    attributes: Mapping[str, Shaped[np.ndarray, " n"]],
    labels: Shaped[np.ndarray, " n"],
    flags: Mapping[str, tuple[str, ...]] | None = None,
    group_by: str = "",
) -> Masks:
    """Which studies make which subgroup.

    `flags` such as `{"view": ("frontal", "lateral"), "hardware": ("hardware",)}` make an attribute
    of several columns of 0 and 1, each a value, or of one, with the values "no" and "yes". Without
    them every attribute of text, whole numbers or booleans with 2 to `MOST_VALUES` values is taken,
    but for "group", for those that follow the label (each value has studies of one class only), and
    for the column `group_by`: each of its values is one group, which has no interval of its own.
    """
    if flags is not None:
        wanted = [column for columns in flags.values() for column in columns]
        absent = [column for column in wanted if column not in attributes]
        found = f"; found {', '.join(attributes) or 'none'}"
        validation.raise_problems(
            [f"no column {c}{found}" for c in absent], "the attributes of subgroups"
        )
        return {name: _of_flags(attributes, columns) for name, columns in flags.items()}
    others = {name: attributes[name] for name in attributes if name not in ("group", group_by)}
    masks = {name: _of_values(column) for name, column in others.items()}
    return {
        name: parts
        for name, parts in masks.items()
        if 2 <= len(parts) <= MOST_VALUES
        and any(np.unique(labels[mask]).size > 1 for mask in parts.values())
    }


def _of_flags(attributes: Mapping[str, np.ndarray], columns: tuple[str, ...]) -> dict:
    raised = {column: attributes[column].astype(bool) for column in columns}
    if len(columns) > 1:
        return raised
    (mask,) = raised.values()
    return {"no": ~mask, "yes": mask}


def _of_values(column: np.ndarray) -> dict:
    values = np.unique(column) if column.dtype.kind in "Uiub" else np.empty(0)
    if values.size > MOST_VALUES:
        return {}
    names = {"True": "yes", "False": "no"} if column.dtype == bool else {"": "not stated"}
    return {names.get(str(value), str(value)): column == value for value in values.tolist()}


def _subgroup(
    attribute: str,
    value: str,
    labels: Labels,
    scores: Scores,
    groups: Groups,
    threshold: float,
) -> Subgroup:
    n, n_positive = labels.size, int(labels.sum())
    right = calls(scores, threshold) == (labels == 1)
    fracture = labels == 1
    sensitivity = _rate(right[fracture], groups[fracture], "positive study", "positive studies")
    specificity = _rate(right[~fracture], groups[~fracture], "negative study", "negative studies")
    few = "; ".join(rate.note for rate in (sensitivity, specificity) if rate.note)
    return Subgroup(
        attribute=attribute,
        value=value,
        n=n,
        n_positive=n_positive,
        prevalence=fraction(fracture, groups),
        auc=undefined(n, "DeLong, logit scale", few)
        if few
        else auc_estimate(labels, scores, groups),
        sensitivity=sensitivity,
        specificity=specificity,
    )


def _rate(right: Bool[np.ndarray, "n"], groups: Groups, one: str, many: str) -> Estimate:
    n = right.size
    if n < MIN_OF_A_CLASS:
        note = f"{n} {one if n == 1 else many}; a figure needs {MIN_OF_A_CLASS}"
        return undefined(n, "Wilson", note)
    return fraction(right, groups)
