"""Free-response ROC: how many fractures are marked, for how many false marks per picture.

All pictures count for the false marks, normal ones included. What is resampled is a table of
events, `Events`, with a row for each mark, fracture and picture, each of the group of its picture.

Source: Chakraborty 2013, "A brief history of free-response receiver operating characteristic
paradigm data analysis", Academic Radiology 20:915-919; Setio et al. 2017 (LUNA16) for the mean.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from fracjax.evaluation.bootstrap import Resampled, Statistic, bootstrap
from fracjax.evaluation.curves import Band, pointwise
from fracjax.evaluation.intervals import count_groups, wilson_of_mean
from fracjax.evaluation.marks import Marked
from fracjax.evaluation.metrics import Floats, Grid, Scalar, quotient, sort_by_score

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False marks per picture; the mean sensitivity at these is the competition performance metric
(CPM)."""

CURVE = 2.0 ** (np.arange(-40, 25) / 8)
"""False marks per picture of the drawn curve: 1/32 to 8, eight points to the doubling."""


@dataclass(frozen=True, eq=False)
class Events:
    """Marks, from the highest score on, then fractures, then pictures: a row each.

    Rows have the score at which they come to count: of a false mark its own, of a fracture the
    highest that hits it; -1 for never.
    """

    fracture: Float[np.ndarray, " rows"]  # 1 in the row of a fracture, else 0
    picture: Float[np.ndarray, " rows"]  # 1 in the row of a picture
    score: Float[np.ndarray, " rows"]
    groups: Integer[np.ndarray, " rows"]
    order: Integer[np.ndarray, " marks"]  # the mark of each of the first rows
    n_fractures: int
    n_fractured_groups: int  # groups with a fracture

    @classmethod
    def of(cls, marked: Marked) -> "Events":
        """The events of these pictures; marks of one score keep their order."""
        order = np.argsort(-marked.score, kind="stable")
        of_marks = np.where(marked.false, marked.score, -1)[order]
        parts = (order.size, marked.best.size, marked.n)
        pictures = (marked.owner[order], marked.picture, np.arange(marked.n))
        return cls(
            fracture=np.repeat([0.0, 1.0, 0.0], parts),
            picture=np.repeat([0.0, 0.0, 1.0], parts),
            score=np.concatenate([of_marks, marked.best, np.full(marked.n, -1.0)]),
            groups=marked.groups[np.concatenate(pictures)],
            order=order,
            n_fractures=marked.best.size,
            n_fractured_groups=count_groups(marked.groups[marked.picture]),
        )

    def bootstrap(
        self, statistic: Statistic, *arrays: Float[np.ndarray, "rows ..."], **resampling: int
    ) -> Resampled:
        """`statistic(fracture, picture, score, *arrays, weights)`, counted over fractures."""
        columns = (self.fracture, self.picture, self.score, *arrays)
        made = bootstrap(statistic, self.groups, *columns, **resampling)
        return replace(made, n=self.n_fractures)

    def interval(self, value: float) -> tuple[float, float]:
        """Of a mean over fractures where all resamples are the same: a group counts as one."""
        return wilson_of_mean(value, self.n_fractured_groups)


def sensitivity_at(
    fracture: Floats, picture: Floats, score: Floats, weights: Floats, rates: Grid
) -> Float[Array, "m"]:
    """The fraction of fractures marked at each rate of false marks per picture.

    It is that of the lowest threshold with at most so many: what can be had, without interpolation.
    NaN without a fracture.
    """
    ranked = sort_by_score(fracture, score, jnp.where(score >= 0, weights, 0))
    false, fractures = quotient(ranked.false_positives, weights @ picture), weights @ fracture
    found = jnp.append(0, ranked.true_positives)
    reached = found[jnp.searchsorted(false, rates, side="right")]
    return jnp.where(fractures > 0, reached / fractures, jnp.nan)


def lowest_threshold(
    fracture: Floats, picture: Floats, score: Floats, weights: Floats, rate: Scalar
) -> Scalar:
    """The lowest score of a row with at most `rate` false marks per picture; +inf if none has."""
    counted = (score >= 0) & (weights > 0)
    ranked = sort_by_score(fracture, score, jnp.where(counted, weights, 0))
    few = quotient(ranked.false_positives, weights @ picture) <= rate
    # Rows that never count, and those of a resample without them, are no thresholds.
    seen = ranked.true_positives + ranked.false_positives
    new = few & (jnp.diff(seen, prepend=0.0) > 0)
    return jnp.min(jnp.where(new, ranked.scores, jnp.inf))


_curve = partial(sensitivity_at, rates=CURVE)


def froc_band(marked: Marked, **resampling: int) -> Band:
    """Sensitivity over false marks per picture (`CURVE`), with a pointwise band.

    Where all resamples are the same, it is Wilson's interval over the fractures. NaN throughout
    without a fracture.
    """
    events = Events.of(marked)
    made = events.bootstrap(_curve, **resampling)

    def closed_form(i: int) -> tuple[float, float]:
        return events.interval(made.value[i])

    return pointwise(CURVE, made, "Wilson over fractures", closed_form)
