"""Everything about a detector on one set of studies, at its operating point and at 0.5."""

from dataclasses import asdict, dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import confusion, inputs
from fracjax.evaluation.bootstrap import RESAMPLES, on_all, percentile_estimate, resample
from fracjax.evaluation.estimate import Estimate
from fracjax.evaluation.figures import confusion as of_matrix
from fracjax.evaluation.figures.ranking import average_precision
from fracjax.evaluation.intervals import auc_estimate, mover, proportion, wilson, wilson_f1
from fracjax.evaluation.threshold import OperatingPoint, json_number

Counts = Integer[np.ndarray, "2 2"]


@dataclass(frozen=True)
class AtThreshold:
    """The figures of one threshold.

    Attributes:
      threshold: a study is positive when score >= threshold.
      rule: how the threshold came about: `youden`, `sensitivity:0.95`, `fixed:0.5`.
      matrix: ((TN, FP), (FN, TP)).
      precision: positive predictive value, at the prevalence of these studies.
      npv: negative predictive value, idem.
    """

    threshold: float
    rule: str
    matrix: tuple[tuple[int, ...], ...]
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    precision: Estimate
    npv: Estimate
    f1: Estimate
    youden_j: Estimate


@dataclass(frozen=True)
class BinaryReport:
    """A detector's figures; `Estimate.method` says how each interval was made.

    Attributes:
      n: studies.
      n_positive: fractures.
      n_groups: near-duplicate groups, the unit of the bootstrap.
      prevalence: share of fractures; what average precision would be by chance.
    """

    n: int
    n_positive: int
    n_groups: int
    prevalence: Estimate
    auc: Estimate
    average_precision: Estimate
    at_operating_point: AtThreshold
    at_half: AtThreshold

    def to_dict(self) -> dict:
        """A dict that strict JSON can hold."""
        data = asdict(self)
        for name in ("at_operating_point", "at_half"):
            data[name]["threshold"] = json_number(data[name]["threshold"])
        return data


def binary_report(
    labels: ArrayLike,
    scores: ArrayLike,
    operating_point: OperatingPoint,
    groups: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> BinaryReport:
    """Every figure of a detector at its operating point, and separately at 0.5.

    Proportions have Wilson's interval, the AUC DeLong's, and F1, J and average precision the
    bootstrap's over `groups`. With one class absent, what needs it is undefined, not an error.

    Args:
      labels: int[n], 0 (normal) or 1 (fracture).
      scores: float[n], finite; probabilities, for 0.5 to mean anything.
      operating_point: chosen elsewhere (on validation).
      groups: near-duplicate group of each study, of any type; None if every study stands alone.
      seed: of the bootstrap.
      resamples: of the bootstrap.

    Raises:
      ValueError: shapes differ, labels are not 0/1, scores are not finite, no studies.
    """
    y, s = inputs.binary(labels, scores)
    group = inputs.group_indices(groups, y.size)
    thresholds = (operating_point.threshold, 0.5)
    cells = np.concatenate([np.eye(4)[2 * y + (s >= t)] for t in thresholds], axis=1)
    arrays = (y, s, cells)
    value = on_all(_resampled, *arrays)
    draws = resample(_resampled, group, *arrays, seed=seed, resamples=resamples)
    n_groups, n_positive = int(group.max()) + 1, int(y.sum())

    def at(threshold: float, rule: str, column: int) -> AtThreshold:
        matrix = confusion.confusion_at(y, s, threshold)
        chosen = slice(column, column + 2)
        return _at(matrix, threshold, rule, value[chosen], draws[:, chosen], n_groups)

    return BinaryReport(
        n=y.size,
        n_positive=n_positive,
        n_groups=n_groups,
        prevalence=proportion(n_positive, y.size),
        auc=auc_estimate(y, s),
        average_precision=percentile_estimate(
            value[0],
            draws[:, 0],
            n=y.size,
            n_groups=n_groups,
            # A mean over fractures of something at most 1, and here 1 for each: their number counts
            # (the binomial interval of Boyd, Eng and Page 2013, in Wilson's form).
            fallback=("Wilson, over fractures", lambda: wilson(n_positive, n_positive)),
            note=_absent(n_positive, y.size),
        ),
        at_operating_point=at(operating_point.threshold, operating_point.rule, 1),
        at_half=at(0.5, "fixed:0.5", 3),
    )


def _resampled(
    weights: Float[Array, "n"],
    labels: Integer[Array, "n"],
    scores: Float[Array, "n"],
    cells: Float[Array, "n 8"],
) -> Float[Array, "5"]:
    """Average precision, and F1 and J at both thresholds, whose one-hot cells are given."""
    matrices = (weights @ cells).reshape(2, 2, 2)
    at = jnp.stack([of_matrix.f1(matrices)[:, 1], of_matrix.youden_j(matrices)], axis=-1)
    return jnp.append(average_precision(labels, scores, weights), at.reshape(-1))


def _at(
    matrix: Counts,
    threshold: float,
    rule: str,
    value: Float[np.ndarray, "2"],
    draws: Float[np.ndarray, "resamples 2"],
    n_groups: int,
) -> AtThreshold:
    (tn, fp), (fn, tp) = matrix.tolist()
    n = tn + fp + fn + tp
    sensitivity = proportion(tp, tp + fn, empty="no fracture")
    specificity = proportion(tn, tn + fp, empty="no normal study")
    f1 = percentile_estimate(
        value[0],
        draws[:, 0],
        n=n,
        n_groups=n_groups,
        fallback=("Wilson, carried over to F1", lambda: wilson_f1(tp, fp + fn)),
        note="" if tp + fp + fn else "no fracture, and none called",
    )
    youden_j = percentile_estimate(
        value[1],
        draws[:, 1],
        n=n,
        n_groups=n_groups,
        fallback=("MOVER of Wilson's", lambda: mover([sensitivity, specificity], shift=-1.0)),
        note=_absent(tp + fn, n),
    )
    return AtThreshold(
        threshold=threshold,
        rule=rule,
        matrix=((tn, fp), (fn, tp)),
        accuracy=proportion(tn + tp, n),
        sensitivity=sensitivity,
        specificity=specificity,
        precision=proportion(tp, tp + fp, empty="no study is called positive"),
        npv=proportion(tn, tn + fn, empty="no study is called negative"),
        f1=f1,
        youden_j=youden_j,
    )


def _absent(n_positive: int, n: int) -> str:
    if n_positive == 0:
        return f"no fracture among {n}"
    return f"no normal study among {n}" if n_positive == n else ""
