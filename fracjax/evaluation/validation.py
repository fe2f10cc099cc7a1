"""What the functions of this wing accept from a user; every problem is named at once."""

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from fracjax.errors import InputError

_SHOWN = 5  # offenders quoted in an error message


def raise_problems(problems: list[str], what: str) -> None:
    """Raise one error for all `problems`, if there are any.

    Raises:
      InputError: naming every problem.
    """
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InputError(f"{count} with {what}:\n" + "\n".join(f"- {p}" for p in problems))


def quote(items: ArrayLike) -> str:
    """The first few items and how many more there are, for an error message."""
    texts = [repr(item) for item in np.asarray(items).tolist()]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def binary(
    labels: ArrayLike, scores: ArrayLike, *, both_classes: bool = False
) -> tuple[Integer[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Check labels (0 normal, 1 fracture) and scores of n studies; integers and float64 come back.

    Raises:
      InputError: naming every problem: shapes, types, labels other than 0 and 1, scores that are
        not finite, no studies, and, if `both_classes`, a class without studies.
    """
    y, s = np.asarray(labels), np.asarray(scores)
    problems = []
    if y.ndim != 1 or y.shape != s.shape:
        problems.append(
            f"labels have shape {y.shape} and scores {s.shape}; expected one of each per study: "
            "(n,) and (n,)"
        )
    elif y.size == 0:
        problems.append("no studies")
    if not _is_numeric(y):
        problems.append(f"labels are of type {y.dtype}; expected the numbers 0 and 1")
    elif not (valid := np.isin(y, (0, 1))).all():
        problems.append(
            f"labels must be 0 (normal) or 1 (fracture); found {quote(np.unique(y[~valid]))} "
            f"in {(~valid).sum()} studies"
        )
    elif both_classes and y.size and (y == y.flat[0]).all():
        name = "normal study (label 0)" if y.flat[0] else "fracture (label 1)"
        problems.append(f"no {name} among {y.size}: a rate over it would be 0/0")
    if not _is_numeric(s):
        problems.append(f"scores are of type {s.dtype}; expected numbers")
    elif not (finite := np.isfinite(s)).all():
        problems.append(f"{(~finite).sum()} of {s.size} scores are not finite (NaN or infinity)")
    raise_problems(problems, "labels and scores")
    return y.astype(np.int64), s.astype(np.float64)


def class_indices(
    labels: ArrayLike, predictions: ArrayLike, k: int
) -> tuple[Integer[np.ndarray, "n"], Integer[np.ndarray, "n"]]:
    """Check the true and the predicted classes of n studies, each 0 .. k-1; n may be 0.

    Raises:
      InputError: naming every problem: shapes, types, classes out of range.
    """
    y, p = np.asarray(labels), np.asarray(predictions)
    problems = []
    if y.ndim != 1 or y.shape != p.shape:
        problems.append(
            f"labels have shape {y.shape} and predictions {p.shape}; expected one of each per "
            "study: (n,) and (n,)"
        )
    for name, a in (("labels", y), ("predictions", p)):
        if not _is_numeric(a):
            problems.append(f"{name} are of type {a.dtype}; expected class indices 0 .. {k - 1}")
        elif not (valid := np.isin(a, np.arange(k))).all():
            problems.append(
                f"{name} must be class indices 0 .. {k - 1}; found {quote(np.unique(a[~valid]))} "
                f"in {(~valid).sum()} studies"
            )
    raise_problems(problems, "labels and predictions")
    return y.astype(np.int64), p.astype(np.int64)


def matrices(matrix: ArrayLike, k: int | None = None) -> Float[np.ndarray, "*b k k"]:
    """Check confusion matrices, of `k` classes if it is given; float64 comes back.

    Raises:
      InputError: not square, of other classes, not numbers, or a count that is negative or NaN.
    """
    m = np.asarray(matrix)
    problems = []
    if m.ndim < 2 or m.shape[-1] != m.shape[-2] or m.shape[-1] != (k or m.shape[-1]):
        expected = f"{k} {k}" if k else "k k"
        problems.append(f"its shape is {m.shape}; expected (... {expected})")
    if not _is_numeric(m):
        problems.append(f"it is of type {m.dtype}; expected counts")
    elif not (valid := m >= 0).all():
        problems.append(f"{(~valid).sum()} of {m.size} counts are negative or NaN")
    raise_problems(problems, "the confusion matrix")
    return m.astype(np.float64)


def group_indices(groups: ArrayLike | None, n: int) -> Integer[np.ndarray, "n"]:
    """Number the near-duplicate groups of n studies 0, 1, ...; without groups, each is its own.

    Raises:
      InputError: not one group per study.
    """
    if groups is None:
        return np.arange(n)
    names = np.asarray(groups)
    if names.shape != (n,):
        raise_problems(
            [f"groups have shape {names.shape}; expected one per study: ({n},)"], "groups"
        )
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _is_numeric(array: np.ndarray) -> bool:
    return array.dtype.kind in "biuf"
