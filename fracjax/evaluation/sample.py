"""Studies of a detector: labels, scores and groups, checked once and kept together."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer, Shaped
from numpy.typing import ArrayLike

from fracjax.evaluation.bootstrap import Resampled, Statistic, bootstrap
from fracjax.evaluation.validation import group_indices, is_numeric, quote, raise_problems

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
        found = [*_problems_of_labels(y, s, both_classes), *_problems_of_scores(s, probabilities)]
        raise_problems(found, "labels and scores")
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


def _problems_of_labels(y: np.ndarray, s: np.ndarray, both_classes: bool) -> list[str]:
    problems = []
    if y.ndim != 1 or y.shape != s.shape:
        problems.append(
            f"labels have shape {y.shape} and scores {s.shape}; expected one of each per study: "
            "(n,) and (n,)"
        )
    elif y.size == 0:
        problems.append("no studies")
    if not is_numeric(y):
        problems.append(f"labels are of type {y.dtype}; expected the numbers 0 and 1")
    elif not (valid := np.isin(y, (0, 1))).all():
        problems.append(
            f"labels must be 0 (normal) or 1 (fracture); found {quote(np.unique(y[~valid]))} "
            f"in {(~valid).sum()} studies"
        )
    elif both_classes and y.size and (y == y.flat[0]).all():
        name = "normal study (label 0)" if y.flat[0] else "fracture (label 1)"
        problems.append(f"no {name} among {y.size}: a rate over it would be 0/0")
    return problems


def _problems_of_scores(s: np.ndarray, probabilities: bool) -> list[str]:
    if not is_numeric(s):
        return [f"scores are of type {s.dtype}; expected numbers"]
    if not (finite := np.isfinite(s)).all():
        return [f"{(~finite).sum()} of {s.size} scores are not finite (NaN or infinity)"]
    if probabilities and (outside := (s < 0) | (s > 1)).any():
        return [f"{outside.sum()} of {s.size} are not within 0 .. 1: {quote(s[outside])}"]
    return []
