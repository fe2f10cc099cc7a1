"""From which score on a mark is shown: chosen on validation only, and what it is worth there."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from fracjax.errors import InputError
from fracjax.evaluation.bootstrap import bootstrap
from fracjax.evaluation.froc import Events, lowest_threshold
from fracjax.evaluation.intervals import Estimate, fraction, poisson
from fracjax.evaluation.marks import Findings, Marked, Marks
from fracjax.evaluation.metrics import Floats
from fracjax.evaluation.threshold import middle_of, stored_values

# Where a fifth of the pictures has a fracture, as in FracAtlas, about every second mark is right.
RULE = "false_marks:0.25"
_NAME = "false_marks"


@dataclass(frozen=True)
class MarksPoint:
    """The threshold of the marks, its rule, and what it was worth where it was chosen.

    The two estimates are of those same pictures, so they are a little too good.
    """

    threshold: float  # a mark is shown when score >= threshold; +inf: none is
    # its own 95 % interval: what the rule chooses in resamples of whole groups; None of one group
    low: float | None
    high: float | None
    rule: str  # `false_marks:0.25`
    n: int  # pictures it was chosen on; `n_fractures` fractures, in `n_groups` groups
    n_fractures: int
    n_groups: int
    sensitivity: Estimate  # fraction of fractures marked
    false_marks: Estimate  # per picture

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.2g}, {self.high:.2g}]"
        return (
            f"marks from {self.threshold:.4g}{interval} ({self.rule}): fractures marked "
            f"{self.sensitivity}, false marks per picture {self.false_marks}"
        )

    @classmethod
    def from_dict(cls, data: dict) -> "MarksPoint":
        """The way back from JSON, exactly; `InputError` names fields missing and unknown."""
        worth = ("sensitivity", "false_marks")
        return cls(**stored_values(cls, data, worth, "a stored threshold of marks"))


def choose_marks_threshold(
    rule: str,
    marks: Marks,
    findings: Findings,
    groups: ArrayLike | None = None,
    **resampling: int,
) -> MarksPoint:
    """Choose by a rule the threshold of the marks, and say what it is worth on these pictures.

    The rule is `false_marks:X`, the lowest score of a mark with at most X false marks per picture;
    it is +inf where the highest scores have more already, and where nothing is marked.
    """
    rate = parse_marks_rule(rule)
    marked = Marked.checked(marks, findings, groups)
    events = Events.of(marked)
    made = events.bootstrap(_lowest, np.full(events.score.size, rate), **resampling)
    low, high = middle_of(made.draws[:, 0]) if made.n_groups > 1 else (None, None)
    threshold = float(made.value[0])
    return MarksPoint(
        threshold=threshold,
        low=low,
        high=high,
        rule=rule,
        n=marked.n,
        n_fractures=events.n_fractures,
        n_groups=made.n_groups,
        sensitivity=marked_fraction(marked, threshold),
        false_marks=false_marks(marked, threshold, np.ones((marked.n, 1), bool), **resampling)[0],
    )


def _lowest(
    fracture: Floats, picture: Floats, score: Floats, rates: Floats, weights: Floats
) -> Float[Array, ""]:
    """The rate stands in every row: as an argument, so that no rate compiles anew."""
    return lowest_threshold(fracture, picture, score, weights, rates[0])


def parse_marks_rule(rule: str) -> float:
    """The false marks per picture that a rule allows, or a refusal."""
    name, _, text = rule.partition(":")
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if name != _NAME or not (math.isfinite(rate) and rate > 0):
        raise InputError(
            f"no rule {rule!r} for the threshold of marks; expected {_NAME}:X, X false marks per "
            f"picture, above 0 (e.g. {RULE})"
        )
    return rate


def marked_fraction(marked: Marked, threshold: float, among: np.ndarray | None = None) -> Estimate:
    """The fraction of fractures (`among` those of a mask) with a mark that reaches the threshold.

    Wilson's interval, by group.
    """
    kept = np.ones(marked.best.size, bool) if among is None else among
    found = marked.best >= threshold
    return fraction(found[kept], marked.groups[marked.picture][kept], empty="no fracture")


def false_marks(
    marked: Marked, threshold: float, masks: np.ndarray, **resampling: int
) -> list[Estimate]:
    """False marks per picture at a threshold, of the pictures of each mask bool[n, k].

    The interval is the bootstrap's by group; where all resamples are the same, mostly because there
    is no false mark, Garwood's of a Poisson count.
    """
    shown = marked.false & (marked.score >= threshold)
    counts = np.bincount(marked.owner[shown], minlength=marked.n)
    sums, pictures = counts[:, None] * masks, masks.astype(float)
    made = bootstrap(ratios, marked.groups, sums.astype(float), pictures, **resampling)

    def estimate(column: int) -> Estimate:
        n, groups = int(masks[:, column].sum()), np.unique(marked.groups[masks[:, column]]).size
        of_one = replace(made, n=n, n_groups=groups)
        return of_one.estimate(
            column,
            "Garwood",
            lambda: poisson(groups * float(made.value[column]), groups),
            "" if n else "no pictures",
        )

    return [estimate(column) for column in range(masks.shape[1])]


def ratios(
    sums: Float[Array, "n k"], counts: Float[Array, "n k"], weights: Floats
) -> Float[Array, "k"]:
    """Ratios of weighted sums; NaN where there is nothing to divide by."""
    below = weights @ counts
    return (weights @ sums) / below
