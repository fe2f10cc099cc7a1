"""Everything about a classifier on one set of studies, class by class."""

import math
from dataclasses import asdict, dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from fracjax.evaluation import confusion, validation
from fracjax.evaluation.bootstrap import RESAMPLES, on_sample, percentile_estimate, resample
from fracjax.evaluation.estimate import Estimate
from fracjax.evaluation.intervals import mover, proportion, wilson_f1
from fracjax.evaluation.metrics import confusion as of_matrix


@dataclass(frozen=True)
class ClassFigures:
    """One class against the rest.

    Attributes:
      support: studies of the class.
      called: studies called so.
      recall: of the class, called so; its sensitivity.
      specificity: of the other classes, not called so.
    """

    name: str
    support: int
    called: int
    precision: Estimate
    recall: Estimate
    specificity: Estimate
    f1: Estimate


@dataclass(frozen=True)
class PerClassReport:
    """A classifier's figures; `Estimate.method` says how each interval was made.

    Attributes:
      n: studies; 0 is possible, and everything is then undefined.
      n_groups: near-duplicate groups, the unit of the bootstrap.
      matrix: counts, true class in rows, called class in columns.
      accuracy: of all studies. It is the micro average of precision, recall and F1, too: with one
        class and one call per study all three are the share of right calls.
      macro_precision: mean over classes; undefined, with the classes named in its note, as soon as
        it is undefined for one class. The same for recall and F1; macro recall is what others call
        balanced accuracy.
    """

    n: int
    n_groups: int
    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    accuracy: Estimate
    rows: tuple[ClassFigures, ...]
    macro_precision: Estimate
    macro_recall: Estimate
    macro_f1: Estimate

    def to_dict(self) -> dict:
        """A dict that strict JSON can hold."""
        return asdict(self)


def per_class_report(
    labels: ArrayLike,
    probabilities_or_predictions: ArrayLike,
    classes: tuple[str, ...],
    groups: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PerClassReport:
    """Every figure of a classifier, per class and as macro averages.

    Accuracy, precision and recall have Wilson's interval; F1 and the macro averages the
    bootstrap's over `groups`.

    Args:
      labels: int[n], the true classes, 0 .. k-1.
      probabilities_or_predictions: float[n, k], of which the largest in a row is the called class
        (the first of equals); or int[n], the called classes.
      classes: names of the k classes.
      groups: near-duplicate group of each study, of any type; None if every study stands alone.
      seed: of the bootstrap.
      resamples: of the bootstrap.

    Raises:
      InputError: shapes differ, a class is out of range, probabilities are not finite.
    """
    k = len(classes)
    predictions = called_class(probabilities_or_predictions, k)
    matrix = confusion.confusion_matrix(labels, predictions, k)
    y = np.asarray(labels)
    group = validation.group_indices(groups, y.size)
    cells = np.eye(k * k)[(y * k + predictions).astype(np.int64)]

    n_groups = int(group.max()) + 1 if y.size else 0
    if y.size:
        value = on_sample(_resampled, cells)
        draws = resample(_resampled, group, cells, seed=seed, resamples=resamples)
    else:  # nothing to draw; every value is undefined, and so every estimate
        value, draws = np.full(k + 3, np.nan), np.full((resamples, k + 3), np.nan)
    rows = tuple(
        _row(name, matrix, i, value[i], draws[:, i], n_groups) for i, name in enumerate(classes)
    )

    def macro(metric: str, column: int) -> Estimate:
        parts: list[Estimate] = [getattr(row, metric) for row in rows]
        missing = [row.name for row, part in zip(rows, parts, strict=True) if part.value is None]
        return percentile_estimate(
            value[column],
            draws[:, column],
            n=y.size,
            n_groups=n_groups,
            fallback=("MOVER over classes", lambda: mover(parts, scale=1 / k)),
            note=f"undefined for {', '.join(missing)}" if missing else "",
        )

    return PerClassReport(
        n=y.size,
        n_groups=n_groups,
        classes=tuple(classes),
        matrix=tuple(map(tuple, matrix.tolist())),
        accuracy=proportion(int(np.trace(matrix)), y.size),
        rows=rows,
        macro_precision=macro("precision", k),
        macro_recall=macro("recall", k + 1),
        macro_f1=macro("f1", k + 2),
    )


def called_class(probabilities_or_predictions: ArrayLike, k: int) -> np.ndarray:
    """int[n]: the most probable class of float[n, k] (the first of equals), or int[n] as it is.

    Raises:
      InputError: another shape, or probabilities that are not finite.
    """
    array = np.asarray(probabilities_or_predictions)
    if array.ndim == 1:
        return array
    problems = []
    if array.ndim != 2 or array.shape[1] != k:
        problems.append(f"shape {array.shape}; expected (n, {k}), or (n,) for called classes")
    if not (finite := np.isfinite(array)).all():
        problems.append(f"{(~finite).sum()} of {array.size} are not finite (NaN or infinity)")
    validation.raise_problems(problems, "probabilities")
    return array.argmax(axis=1)


def _resampled(weights: Float[Array, "n"], cells: Float[Array, "n cells"]) -> Float[Array, "m"]:
    """F1 of each class, then macro precision, recall and F1; `cells` are one-hot cells."""
    k = math.isqrt(cells.shape[1])
    matrix = (weights @ cells).reshape(k, k)
    f1 = of_matrix.f1(matrix)
    averages = [of_matrix.precision(matrix), of_matrix.recall(matrix), f1]
    return jnp.append(f1, jnp.stack([of_matrix.macro(a) for a in averages]))


def _row(
    name: str,
    matrix: np.ndarray,
    i: int,
    f1: float,
    f1_draws: Float[np.ndarray, "resamples"],
    n_groups: int,
) -> ClassFigures:
    right, support, called = int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum())
    n = int(matrix.sum())
    return ClassFigures(
        name=name,
        support=support,
        called=called,
        precision=proportion(right, called, empty="never called"),
        recall=proportion(right, support, empty="no study of this class"),
        specificity=proportion(
            n - support - called + right, n - support, empty="no study of another class"
        ),
        f1=percentile_estimate(
            f1,
            f1_draws,
            n=n,
            n_groups=n_groups,
            fallback=(
                "Wilson, carried over to F1",
                lambda: wilson_f1(right, support + called - 2 * right),
            ),
            note="" if support + called else "neither present nor called",
        ),
    )
