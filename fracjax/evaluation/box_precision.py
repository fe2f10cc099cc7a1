"""Average precision of boxes, as COCO has it: equal to `pycocotools` on any marks and boxes.

Source: Lin et al. 2014, arXiv:1405.0312, and its `COCOeval` (one class, all areas, 100 marks per
picture).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fracjax.evaluation.froc import Events
from fracjax.evaluation.marks import Boxes, Marked
from fracjax.evaluation.metrics import Floats, quotient

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""Intersections over union from which a box is found; AP50 is of the first, mAP the mean of all."""

MOST = 100  # marks of a picture that count, those of the highest scores
_RECALLS = np.linspace(0, 1, 101)


def box_iou(marks: Boxes, boxes: Boxes) -> Float[np.ndarray, "m b"]:
    """Intersection over union of each mark's box with each fracture's."""
    low = np.maximum(marks[:, None, :2], boxes[None, :, :2])
    high = np.minimum(marks[:, None, 2:], boxes[None, :, 2:])
    both = (high - low).clip(0).prod(axis=-1)
    areas = [(one[:, 2:] - one[:, :2]).prod(axis=1) for one in (marks, boxes)]
    return both / (areas[0][:, None] + areas[1][None] - both)


@dataclass(frozen=True, eq=False)
class Matched:
    """Which marks count, and which find a box: it does not hang on a resample."""

    # of each of the `Events` 1 if it is a mark that counts, else 0
    counts: Float[np.ndarray, " rows"]
    # the rows, from 1 on, of the marks that find a box at each overlap, the highest first; then 0
    true: Float[np.ndarray, "rows overlaps"]
    most: int  # rows of `true` that are ever used, rounded up: programs are compiled for it

    @classmethod
    def of(cls, marked: Marked, events: Events) -> "Matched":
        """In each picture the highest mark takes the free box that it overlaps most, and so on."""
        each = zip(marked.marks.boxes, marked.marks.scores, marked.findings.boxes, strict=True)
        columns = [np.empty((0, 1 + OVERLAPS.size), bool), *(_of_picture(*three) for three in each)]
        of_marks = np.concatenate(columns)[events.order]
        counts = np.zeros(events.score.size)
        counts[: len(of_marks)] = of_marks[:, 0]
        true = np.zeros((counts.size, OVERLAPS.size))
        for column in range(OVERLAPS.size):
            rows = np.flatnonzero(of_marks[:, 1 + column])
            true[: rows.size, column] = 1 + rows
        return cls(counts, true, 1 << int((true > 0).sum(axis=0).max()).bit_length())


def _of_picture(
    boxes: Boxes, scores: Float[np.ndarray, "_"], truth: Boxes
) -> Bool[np.ndarray, "_ columns"]:
    found = np.zeros((len(boxes), 1 + OVERLAPS.size), bool)
    ranked = np.argsort(-scores, kind="stable")[:MOST]
    found[ranked, 0] = True
    overlaps = box_iou(boxes, truth)
    for column, least in enumerate(OVERLAPS, 1):
        free = np.ones(len(truth), bool)
        for mark in ranked if len(truth) else ():
            # Of equal overlaps the last, as `COCOeval` has it.
            taken = len(truth) - 1 - np.where(free, overlaps[mark], -1)[::-1].argmax()
            if free[taken] and overlaps[mark, taken] >= least:
                free[taken], found[mark, column] = False, True
    return found


def average_precisions(
    fracture: Floats,
    counts: Floats,
    true: Float[Array, "rows overlaps"],
    weights: Floats,
    most: int,
) -> Float[Array, "overlaps"]:
    """Average precision at each overlap: the mean, over 101 recalls, of the best precision there.

    Of `Events` and what is `Matched`. 0 where no mark finds a box, NaN without a fracture.
    """
    seen, rows = jnp.cumsum(weights * counts), true[:most].astype(int) - 1
    found = jnp.cumsum(jnp.where(rows >= 0, weights[rows], 0), axis=0)
    known = (rows >= 0) & (seen[rows] > 0)
    precision = jnp.where(known, found / jnp.where(known, seen[rows], 1), 0)
    best = jax.lax.cummax(precision, axis=0, reverse=True)  # at this recall and above
    fractures = weights @ fracture
    recall = quotient(found, fractures)

    def of_one(recall: Floats, best: Floats) -> Float[Array, ""]:
        at = jnp.searchsorted(recall, _RECALLS, side="left")
        return jnp.append(best, 0)[at].mean()

    return jnp.where(fractures > 0, jax.vmap(of_one, in_axes=1)(recall, best), jnp.nan)
