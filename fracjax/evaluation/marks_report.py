"""Everything about a detector's marks on one set of pictures."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy.typing import ArrayLike

from fracjax.evaluation.bootstrap import Statistic, bootstrap
from fracjax.evaluation.box_precision import Matched, average_precisions
from fracjax.evaluation.froc import RATES, Events, sensitivity_at
from fracjax.evaluation.intervals import Estimate, fraction, undefined, wilson_of_mean
from fracjax.evaluation.marks import Findings, Marked, Marks
from fracjax.evaluation.marks_threshold import MarksPoint, false_marks, marked_fraction, ratios
from fracjax.evaluation.metrics import Floats
from fracjax.evaluation.subgroups import MIN_OF_A_CLASS, checked_masks

# Limits of a fracture's box, as a fraction of its picture's area: about the tertiles of FracAtlas.
# They are fixed, so that figures of other sets can be set beside these, and are no pixels: COCO's
# 32² and 96² would sort by the resolution of files, of which a network sees one size.
SMALL, LARGE = 0.003, 0.006
_SIZES = (
    (f"small (below {100 * SMALL:g} %)", 0.0, SMALL),
    ("medium", SMALL, LARGE),
    (f"large (from {100 * LARGE:g} %)", LARGE, np.inf),
)


@dataclass(frozen=True)
class MarksAtThreshold:
    """What the marks shown from a threshold on are worth."""

    threshold: float
    rule: str
    sensitivity: Estimate  # fraction of fractures marked
    false_marks: Estimate  # per picture, normal ones included
    every_fracture: Estimate  # fraction of pictures with fractures on which each one is marked
    unmarked: Estimate  # fraction of pictures without a fracture on which nothing is marked


@dataclass(frozen=True)
class PointingGame:
    """How often a picture's highest mark hits a fracture, over the pictures that have one."""

    marks: Estimate  # a picture without marks points nowhere, and is a miss
    middle: Estimate  # of the middle of the picture
    chance: Estimate  # of a point drawn anywhere: the fraction of the picture in boxes


@dataclass(frozen=True)
class MarksOf:
    """Marks at the threshold on some of the pictures, or against some of the fractures."""

    attribute: str  # what they share, such as `region`, or `size` of the fracture
    value: str
    n: int  # pictures
    n_fractures: int
    # undefined, with the reason as its note, of fewer than `MIN_OF_A_CLASS` fractures
    sensitivity: Estimate
    false_marks: Estimate | None  # per picture; None by size: a false mark has no fracture


@dataclass(frozen=True)
class MarksReport:
    """A detector's marks against the fractures that are there."""

    n: int  # pictures
    n_fractured: int  # of these with a fracture
    n_fractures: int
    n_groups: int  # near-duplicate groups, the unit of the bootstrap
    # mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false marks per picture
    cpm: Estimate
    sensitivity_at: tuple[tuple[float, Estimate], ...]  # at each of these
    # average precision of boxes at an intersection over union of 0.5, and the mean over 0.5 .. 0.95
    average_precision_50: Estimate
    mean_average_precision: Estimate
    pointing_game: PointingGame
    at: MarksAtThreshold
    sizes: tuple[MarksOf, ...]
    subgroups: tuple[MarksOf, ...]


def marks_report(
    marks: Marks,
    findings: Findings,
    point: MarksPoint,
    groups: ArrayLike | None = None,
    masks: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    **resampling: int,
) -> MarksReport:
    """Every figure of marks, at the threshold of `point` (chosen on validation) and over all.

    `masks` are subgroups as of `subgroups.masks_of`. Fractions have Wilson's interval by `groups`,
    all others the bootstrap's over these. What needs a fracture is undefined where there is none.
    """
    marked = Marked.checked(marks, findings, groups)
    rows = checked_masks(masks or {}, marked.n)
    events = Events.of(marked)
    found = Matched.of(marked, events)
    made = events.bootstrap(_overall(found.most), found.counts, found.true, **resampling)
    sums = [
        made.estimate(
            i,
            "Wilson over fractures",
            lambda i=i: events.interval(made.value[i]),
            "" if events.n_fractures else "no fracture",
        )
        for i in range(made.value.size)
    ]
    *at_rates, cpm, first, mean = sums
    sizes = tuple(
        _of_fractures(
            marked, "size", name, point.threshold, (marked.area >= low) & (marked.area < high)
        )
        for name, low, high in _SIZES
    )
    return MarksReport(
        n=marked.n,
        n_fractured=int(marked.fractured.sum()),
        n_fractures=events.n_fractures,
        n_groups=made.n_groups,
        cpm=cpm,
        sensitivity_at=tuple(zip(RATES, at_rates, strict=True)),
        average_precision_50=first,
        mean_average_precision=mean,
        pointing_game=_pointing_game(marked, **resampling),
        at=_at(marked, point, **resampling),
        sizes=sizes,
        subgroups=_subgroups(marked, rows, point.threshold, **resampling),
    )


@functools.cache  # a statistic that is made anew would be compiled anew
def _overall(most: int) -> Statistic:
    """Sensitivity at the seven rates, their mean, average precision at 0.5, and its mean."""

    def overall(
        fracture: Floats,
        picture: Floats,
        score: Floats,
        counts: Floats,
        true: Float[Array, "rows overlaps"],
        weights: Floats,
    ) -> Float[Array, "10"]:
        at = sensitivity_at(fracture, picture, score, weights, np.array(RATES))
        precision = average_precisions(fracture, counts, true, weights, most)
        return jnp.append(at, jnp.stack([at.mean(), precision[0], precision.mean()]))

    return overall


def _pointing_game(marked: Marked, **resampling: int) -> PointingGame:
    among, empty = marked.fractured, "no picture with a fracture"
    groups = marked.groups[among]
    n = int(among.sum())
    chance = undefined(0, "none", empty)
    if n:
        numbered = np.unique(groups, return_inverse=True)[1]
        covered = marked.covered[among, None]
        made = bootstrap(ratios, numbered, covered, np.ones((n, 1)), **resampling)
        chance = made.estimate(
            0, "Wilson, of a mean", lambda: wilson_of_mean(made.value[0], made.n_groups)
        )
    return PointingGame(
        marks=fraction(marked.points_right[among], groups, empty=empty),
        middle=fraction(marked.middle_is_right[among], groups, empty=empty),
        chance=chance,
    )


def _at(marked: Marked, point: MarksPoint, **resampling: int) -> MarksAtThreshold:
    shown = marked.score >= point.threshold
    counts = np.bincount(marked.owner[shown], minlength=marked.n)
    missed = marked.best < point.threshold
    all_marked = np.bincount(marked.picture[missed], minlength=marked.n) == 0
    with_one, without = marked.fractured, ~marked.fractured
    every = np.ones((marked.n, 1), bool)
    return MarksAtThreshold(
        threshold=point.threshold,
        rule=point.rule,
        sensitivity=marked_fraction(marked, point.threshold),
        false_marks=false_marks(marked, point.threshold, every, **resampling)[0],
        every_fracture=fraction(
            all_marked[with_one], marked.groups[with_one], empty="no picture with a fracture"
        ),
        unmarked=fraction(
            counts[without] == 0, marked.groups[without], empty="no picture without a fracture"
        ),
    )


def _subgroups(
    marked: Marked,
    rows: Sequence[tuple[str, str, Bool[np.ndarray, " n"]]],
    threshold: float,
    **resampling: int,
) -> tuple[MarksOf, ...]:
    if not rows:
        return ()
    stacked = np.stack([mask for _, _, mask in rows], axis=1)
    rates = false_marks(marked, threshold, stacked, **resampling)
    return tuple(
        _of_fractures(marked, name, value, threshold, mask[marked.picture], int(mask.sum()), rate)
        for (name, value, mask), rate in zip(rows, rates, strict=True)
    )


def _of_fractures(
    marked: Marked,
    attribute: str,
    value: str,
    threshold: float,
    among: Bool[np.ndarray, " fractures"],
    n: int | None = None,
    false: Estimate | None = None,
) -> MarksOf:
    """Of the fractures of a mask; of these pictures with one, where `n` says no other number."""
    found = int(among.sum())
    sensitivity = marked_fraction(marked, threshold, among)
    if found < MIN_OF_A_CLASS:
        note = f"{found} fracture{'' if found == 1 else 's'}; a figure needs {MIN_OF_A_CLASS}"
        sensitivity = undefined(found, "Wilson", note)
    pictures = np.unique(marked.picture[among]).size if n is None else n
    return MarksOf(attribute, value, pictures, found, sensitivity, false)
