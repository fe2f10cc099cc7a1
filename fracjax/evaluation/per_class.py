"""Everything about a classifier on one set of studies, class by class."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy.typing import ArrayLike

from fracjax.evaluation import confusion, validation
from fracjax.evaluation.bootstrap import Resampled, bootstrap
from fracjax.evaluation.intervals import Estimate, count_groups, fraction, mover, wilson_f1
from fracjax.evaluation.validation import Groups

Hits = Bool[np.ndarray, " n"]


@dataclass(frozen=True)
class ClassFigures:
    """One class against the rest."""

    name: str
    support: int  # studies of the class, and studies called so
    called: int
    precision: Estimate
    recall: Estimate  # of the class, called so; its sensitivity
    specificity: Estimate  # of the other classes, not called so
    f1: Estimate


@dataclass(frozen=True)
class PerClassReport:
    """A classifier's metrics; `Estimate.method` says how each interval was made."""

    n: int  # studies; 0 is possible, and everything is then undefined
    n_groups: int  # near-duplicate groups, the unit of the bootstrap
    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]  # counts, true class in rows, called class in columns
    # of all studies. It is the micro average of precision, recall and F1, too: with one class and
    # one call per study all three are the fraction of right calls.
    accuracy: Estimate
    rows: tuple[ClassFigures, ...]
    # mean over classes; undefined, with the classes named in its note, as soon as it is undefined
    # for one class. The same for recall and F1; macro recall is what others call balanced accuracy.
    macro_precision: Estimate
    macro_recall: Estimate
    macro_f1: Estimate


def per_class_report(
    labels: ArrayLike,
    predictions: ArrayLike,
    classes: tuple[str, ...],
    groups: ArrayLike | None = None,
    **resampling: int,
) -> PerClassReport:
    """Every metric of a classifier, per class and as macro averages.

    Accuracy, precision and recall have Wilson's interval by `groups`; F1 and the macro averages the
    bootstrap's over these. Labels and predictions (the called classes) are int[n], 0 .. k-1.
    """
    k = len(classes)
    y, called = validation.class_indices(labels, predictions, k)
    cells = confusion.one_hot_cells(y, called, k)
    matrix = confusion.confusion_matrix(y, called, k)
    group = validation.group_indices(groups, y.size)
    made = bootstrap(_metrics, group, cells, **resampling)
    rows = tuple(_row(name, y == i, called == i, group, i, made) for i, name in enumerate(classes))

    def macro(metric: str, column: int) -> Estimate:
        parts: list[Estimate] = [getattr(row, metric) for row in rows]
        missing = [row.name for row, part in zip(rows, parts, strict=True) if part.value is None]
        note = f"undefined for {', '.join(missing)}" if missing else ""
        return made.estimate(column, "MOVER over classes", lambda: mover(parts, scale=1 / k), note)

    return PerClassReport(
        n=y.size,
        n_groups=made.n_groups,
        classes=tuple(classes),
        matrix=tuple(map(tuple, matrix.tolist())),
        accuracy=fraction(y == called, group),
        rows=rows,
        macro_precision=macro("precision", k),
        macro_recall=macro("recall", k + 1),
        macro_f1=macro("f1", k + 2),
    )


def _metrics(cells: Float[Array, "n cells"], weights: Float[Array, "n"]) -> Float[Array, "m"]:
    """F1 of each class, then macro precision, recall and F1; `cells` are one-hot cells."""
    k = math.isqrt(cells.shape[1])
    matrix = (weights @ cells).reshape(k, k)
    f1 = confusion.f1(matrix)
    averages = [confusion.precision(matrix), confusion.recall(matrix), f1]
    return jnp.append(f1, jnp.stack([confusion.macro(a) for a in averages]))


def _row(
    name: str, of_class: Hits, called: Hits, groups: Groups, i: int, made: Resampled
) -> ClassFigures:
    right, involved = of_class & called, of_class | called

    def f1_interval() -> tuple[float, float]:
        # Resampling sees no spread: a group counts as one study.
        share = count_groups(groups[involved]) / involved.sum()
        return wilson_f1(share * right.sum(), share * (of_class ^ called).sum())

    return ClassFigures(
        name=name,
        support=int(of_class.sum()),
        called=int(called.sum()),
        precision=fraction(of_class[called], groups[called], empty="never called"),
        recall=fraction(called[of_class], groups[of_class], empty="no study of this class"),
        specificity=fraction(
            ~called[~of_class], groups[~of_class], empty="no study of another class"
        ),
        f1=made.estimate(
            i,
            "Wilson, carried over to F1",
            f1_interval,
            "" if involved.any() else "neither present nor called",
        ),
    )
