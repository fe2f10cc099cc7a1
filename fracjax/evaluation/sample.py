"""Studies of a detector: labels, scores and groups, checked once and kept together."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer, Shaped
from numpy.typing import ArrayLike

from fracjax.evaluation.bootstrap import Resampled, Statistic, bootstrap
from fracjax.evaluation.validation import (
    group_indices,
    is_numeric,
    label_problems,
    quote,
    raise_problems,
)

Labels = Integer[np.ndarray, "n"]
Scores = Float[np.ndarray, "n"]
Groups = Integer[np.ndarray, "n"]


@dataclass(frozen=True, eq=False)
class Sample:
    """n studies."""

    labels: Labels  # 0 (normal) or 1 (fracture)
    scores: Scores  # finite; higher means more likely a fracture
    groups: Groups  # the near-duplicate group of each study, numbered 0, 1, ... without gaps

    @classmethod
    def checked(
        cls,
        labels: ArrayLike,
        scores: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        both_classes: bool = False,
        probabilities: bool = False,
    ) -> "Sample":
        """Check what a user gives; groups may be of any type, or None if every study stands alone.

        Raises:
          InputError: naming every problem: shapes, types, labels other than 0 and 1, scores that
            are not finite, no studies, not one group per study; on demand a class without a study,
            and scores that are no `probabilities`, 0 .. 1.
        """
        y, s = np.asarray(labels), np.asarray(scores)
        problems = [*_problems(y, s, both_classes, probabilities)]
        raise_problems(problems, "labels and scores")
        return cls(y.astype(np.int64), s.astype(np.float64), group_indices(groups, y.size))

    @property
    def n(self) -> int:
        """Number of studies."""
        return self.labels.size

    @property
    def n_positive(self) -> int:
        """Number of fractures."""
        return int(self.labels.sum())

    @property
    def missing_class(self) -> str:
        """Which class has no study, as a note; "" where both have some."""
        return missing_class(self.n_positive, self.n)

    def bootstrap(
        self, statistic: Statistic, *arrays: Shaped[np.ndarray, "n ..."], **resampling: int
    ) -> Resampled:
        """`statistic(labels, scores, *arrays, weights)` of the studies and of resamples."""
        arrays = (self.labels, self.scores, *arrays)
        return bootstrap(statistic, self.groups, *arrays, **resampling)


def missing_class(n_positive: int, n: int) -> str:
    """Which of both classes has no study among n, as a note; "" where both have some."""
    if n_positive == 0:
        return f"no fracture among {n}"
    return f"no normal study among {n}" if n_positive == n else ""


def _problems(
    y: np.ndarray, s: np.ndarray, both_classes: bool, probabilities: bool
) -> Iterator[str]:
    wrong = [*label_problems(y, "scores", s, "0 (normal) or 1 (fracture)", 2)]
    yield from wrong
    if y.size == 0:
        yield "no studies"
    elif both_classes and not wrong and (y == y[0]).all():
        name = "normal study (label 0)" if y[0] else "fracture (label 1)"
        yield f"no {name} among {y.size}: a rate over it would be 0/0"
    if not is_numeric(s):
        yield f"scores are of type {s.dtype}; expected numbers"
    elif not (finite := np.isfinite(s)).all():
        yield f"{(~finite).sum()} of {s.size} scores are not finite (NaN or infinity)"
    elif probabilities and (outside := (s < 0) | (s > 1)).any():
        yield f"{outside.sum()} of {s.size} are not within 0 .. 1: {quote(s[outside])}"
