"""What the functions of this package accept from a user; every problem is named at once.

`Sample` is the studies of a detector: labels, scores and groups, checked once and kept together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, Shaped
from numpy.typing import ArrayLike

from fracjax.errors import InputError
from fracjax.evaluation.bootstrap import Resampled, Statistic, bootstrap

Labels = Integer[np.ndarray, "n"]
Scores = Float[np.ndarray, "n"]
Groups = Integer[np.ndarray, "n"]
_NUMERIC = "biuf"  # kinds of arrays of booleans and numbers
_SHOWN = 5  # offenders quoted in an error message


def raise_problems(problems: Sequence[str], what: str) -> None:
    """Raise one `InputError` that names all `problems`, if there are any."""
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InputError(f"{count} with {what}:\n" + "\n".join(f"- {p}" for p in problems))


def check_fields(cls: type, data: dict[str, Any], what: str) -> None:
    """Refuse a stored record that lacks a field of the dataclass `cls`, or has another."""
    expected = {field.name for field in fields(cls)}
    problems = [f"missing field: {name}" for name in sorted(expected - data.keys())]
    problems += [f"unknown field: {name}" for name in sorted(data.keys() - expected)]
    raise_problems(problems, what)


def check_prevalence(prevalence: float, problems: Sequence[str] = ()) -> None:
    """Refuse a prevalence that is not above 0 and below 1; `problems` are named with it."""
    found = []
    if not 0 < prevalence < 1:
        hint = f"; type {prevalence / 100:g} for {prevalence:g} %" if 1 < prevalence < 100 else ""
        found = [f"it is {prevalence:g}; expected a fraction above 0 and below 1{hint}"]
    raise_problems([*found, *problems], "the prevalence")


def quote(items: ArrayLike) -> str:
    """The first few items and how many more there are, for an error message."""
    texts = [repr(item) for item in np.asarray(items).tolist()]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def class_indices(
    labels: ArrayLike, predictions: ArrayLike, k: int
) -> tuple[Integer[np.ndarray, "n"], Integer[np.ndarray, "n"]]:
    """The true and the predicted classes of n studies, or a refusal; each 0 .. k-1; n may be 0."""
    y, p = np.asarray(labels), np.asarray(predictions)
    what = f"class indices 0 .. {k - 1}"
    problems = [*label_problems(y, "predictions", p, what, k)]
    problems += class_problems("predictions", p, what, k)
    raise_problems(problems, "labels and predictions")
    return y.astype(np.int64), p.astype(np.int64)


def label_problems(
    y: np.ndarray, name: str, others: np.ndarray, what: str, k: int
) -> Iterator[str]:
    """Whether labels are classes 0 .. k-1 (`what`), one for each of the `others`, called `name`."""
    if y.ndim != 1 or y.shape != others.shape:
        expected = "one of each per study: (n,) and (n,)"
        yield f"labels have shape {y.shape} and {name} {others.shape}; expected {expected}"
    yield from class_problems("labels", y, what, k)


def class_problems(name: str, a: np.ndarray, what: str, k: int) -> Iterator[str]:
    """Whether an array holds classes 0 .. k-1, in words `what`."""
    if a.dtype.kind not in _NUMERIC:
        yield f"{name} are of type {a.dtype}; expected {what}"
    elif not (valid := np.isin(a, np.arange(k))).all():
        found = quote(np.unique(a[~valid]))
        yield f"{name} must be {what}; found {found} in {(~valid).sum()} studies"


def group_indices(groups: ArrayLike | None, n: int) -> Integer[np.ndarray, "n"]:
    """Number the near-duplicate groups of n studies 0, 1, ...; without groups, each is its own."""
    if groups is None:
        return np.arange(n)
    names = np.asarray(groups)
    if names.shape != (n,):
        wrong = f"groups have shape {names.shape}; expected one per study: ({n},)"
        raise_problems([wrong], "groups")
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


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
        """Check what a user gives; on demand that both classes are there and scores are 0 .. 1."""
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

    def bootstrap(
        self, statistic: Statistic, *arrays: Shaped[np.ndarray, "n ..."], **resampling: int
    ) -> Resampled:
        """`statistic(labels, scores, *arrays, weights)` of the studies and of resamples."""
        arrays = (self.labels, self.scores, *arrays)
        return bootstrap(statistic, self.groups, *arrays, **resampling)


def missing_class(n_positive: int, n: int) -> str:
    """Which of both classes has no study among n, as a note; "" where both have some."""
    if n_positive == 0:
        return f"no positive study among {n}"
    return f"no negative study among {n}" if n_positive == n else ""


def _problems(
    y: np.ndarray, s: np.ndarray, both_classes: bool, probabilities: bool
) -> Iterator[str]:
    wrong = [*label_problems(y, "scores", s, "0 (negative) or 1 (positive)", 2)]
    yield from wrong
    if y.size == 0:
        yield "no studies"
    elif both_classes and not wrong and (y == y[0]).all():
        name = "negative study (label 0)" if y[0] else "positive study (label 1)"
        yield f"no {name} among {y.size}: a rate over it would be 0/0"
    if s.dtype.kind not in _NUMERIC:
        yield f"scores are of type {s.dtype}; expected numbers"
    elif not (finite := np.isfinite(s)).all():
        yield f"{(~finite).sum()} of {s.size} scores are not finite (NaN or infinity)"
    elif probabilities and (outside := (s < 0) | (s > 1)).any():
        yield f"{outside.sum()} of {s.size} are not within 0 .. 1: {quote(s[outside])}"
