"""Everything about a detector on one set of studies, at its operating point and at 0.5."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer
from numpy.typing import ArrayLike

from fracjax.evaluation import confusion, validation
from fracjax.evaluation.bootstrap import RESAMPLES, on_sample, percentile_estimate, resample
from fracjax.evaluation.estimate import Estimate, undefined
from fracjax.evaluation.intervals import (
    auc_estimate,
    mover,
    proportion,
    wilson,
    wilson_f1,
    wilson_of_mean,
)
from fracjax.evaluation.likelihood_ratios import likelihood_ratios
from fracjax.evaluation.metrics import confusion as of_matrix
from fracjax.evaluation.metrics.calibration import brier
from fracjax.evaluation.metrics.roc_pr import average_precision, standardised_partial_auc
from fracjax.evaluation.metrics.thresholds import calls
from fracjax.evaluation.threshold import OperatingPoint, json_number

MAX_FPR = 0.1  # up to where the partial AUC goes: a reader's time is for few false alarms
Counts = Integer[np.ndarray, "2 2"]
Interval = Callable[[], tuple[float, float]]  # a closed form


@dataclass(frozen=True)
class AtThreshold:
    """The figures of one threshold.

    Attributes:
      threshold: a study is positive when score >= threshold.
      rule: how the threshold came about: `youden`, `sensitivity:0.95`, `fixed:0.5`.
      matrix: ((TN, FP), (FN, TP)).
      precision: positive predictive value, at the prevalence of these studies.
      npv: negative predictive value, idem.
      balanced_accuracy: mean of sensitivity and specificity.
      mcc: Matthews' correlation coefficient; undefined where all studies are called alike.
      positive_likelihood_ratio: sensitivity / (1 - specificity).
      negative_likelihood_ratio: (1 - sensitivity) / specificity.
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
    balanced_accuracy: Estimate
    mcc: Estimate
    positive_likelihood_ratio: Estimate
    negative_likelihood_ratio: Estimate


@dataclass(frozen=True)
class BinaryReport:
    """A detector's figures; `Estimate.method` says how each interval was made.

    Attributes:
      n: studies.
      n_positive: fractures.
      n_groups: near-duplicate groups, the unit of the bootstrap.
      prevalence: share of fractures; what average precision would be by chance.
      partial_auc: where 1 - specificity is at most 0.1, on McClish's scale: 0.5 by chance, 1
        without error.
      brier: mean squared difference of probability and outcome; undefined for scores that
        are not within 0 .. 1.
    """

    n: int
    n_positive: int
    n_groups: int
    prevalence: Estimate
    auc: Estimate
    partial_auc: Estimate
    average_precision: Estimate
    brier: Estimate
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

    Proportions have Wilson's interval, the AUC DeLong's, likelihood ratios Simel's, and all others
    the bootstrap's over `groups`. With one class absent, what needs it is undefined, not an error.

    Args:
      labels: int[n], 0 (normal) or 1 (fracture).
      scores: float[n], finite; probabilities, for 0.5 to mean anything.
      operating_point: chosen elsewhere (on validation).
      groups: near-duplicate group of each study, of any type; None if every study stands alone.
      seed: of the bootstrap.
      resamples: of the bootstrap.

    Raises:
      InputError: shapes differ, labels are not 0/1, scores are not finite, no studies.
    """
    y, s = validation.binary(labels, scores)
    group = validation.group_indices(groups, y.size)
    thresholds = (operating_point.threshold, 0.5)
    cells = np.concatenate([np.eye(4)[2 * y + calls(s, t)] for t in thresholds], axis=1)
    arrays = (y, s, cells)
    value = on_sample(_resampled, *arrays)
    draws = resample(_resampled, group, *arrays, seed=seed, resamples=resamples)
    n_groups, n_positive = int(group.max()) + 1, int(y.sum())

    def estimate(column: int, name: str, closed_form: Interval) -> Estimate:
        return percentile_estimate(
            value[column],
            draws[:, column],
            n=y.size,
            n_groups=n_groups,
            fallback=(name, closed_form),
            note=_absent(n_positive, y.size),
        )

    def at(threshold: float, rule: str, column: int) -> AtThreshold:
        matrix = confusion.confusion_at(y, s, threshold)
        chosen = slice(column, column + 4)
        return _at(matrix, threshold, rule, value[chosen], draws[:, chosen], n_groups)

    def partial_auc_interval() -> tuple[float, float]:
        # A mean over fractures, too, of the share of those false positive rates that find each.
        chance = MAX_FPR / 2
        mean = chance + (2 * value[1] - 1) * (1 - chance)
        low, high = wilson_of_mean(mean, n_positive)
        return (1 + (low - chance) / (1 - chance)) / 2, (1 + (high - chance) / (1 - chance)) / 2

    return BinaryReport(
        n=y.size,
        n_positive=n_positive,
        n_groups=n_groups,
        prevalence=proportion(n_positive, y.size),
        auc=auc_estimate(y, s),
        partial_auc=estimate(1, "Wilson, over fractures", partial_auc_interval),
        # A mean over fractures of something at most 1, and here 1 for each: their number counts
        # (the binomial interval of Boyd, Eng and Page 2013, in Wilson's form).
        average_precision=estimate(
            0, "Wilson, over fractures", lambda: wilson(n_positive, n_positive)
        ),
        brier=(
            undefined(y.size, "none", "the scores are not probabilities")
            if s.min() < 0 or s.max() > 1
            else estimate(2, "Wilson, of a mean", lambda: wilson_of_mean(value[2], y.size))
        ),
        at_operating_point=at(operating_point.threshold, operating_point.rule, 3),
        at_half=at(0.5, "fixed:0.5", 7),
    )


def _resampled(
    weights: Float[Array, "n"],
    labels: Integer[Array, "n"],
    scores: Float[Array, "n"],
    cells: Float[Array, "n 8"],
) -> Float[Array, "11"]:
    """Figures of the ranking, and four at each threshold, whose one-hot cells are given."""
    matrices = (weights @ cells).reshape(2, 2, 2)
    at = [
        of_matrix.f1(matrices)[:, 1],
        of_matrix.youden_j(matrices),
        of_matrix.balanced_accuracy(matrices),
        of_matrix.mcc(matrices),
    ]
    whole = [
        average_precision(labels, scores, weights),
        standardised_partial_auc(labels, scores, weights, MAX_FPR),
        brier(labels, scores, weights),
    ]
    return jnp.append(jnp.stack(whole), jnp.stack(at, axis=-1).reshape(-1))


def _at(
    matrix: Counts,
    threshold: float,
    rule: str,
    value: Float[np.ndarray, "4"],
    draws: Float[np.ndarray, "resamples 4"],
    n_groups: int,
) -> AtThreshold:
    (tn, fp), (fn, tp) = matrix.tolist()
    n = tn + fp + fn + tp
    sensitivity = proportion(tp, tp + fn, empty="no fracture")
    specificity = proportion(tn, tn + fp, empty="no normal study")
    precision = proportion(tp, tp + fp, empty="no study is called positive")
    npv = proportion(tn, tn + fn, empty="no study is called negative")

    def estimate(column: int, note: str, name: str, closed_form: Interval) -> Estimate:
        return percentile_estimate(
            value[column],
            draws[:, column],
            n=n,
            n_groups=n_groups,
            fallback=(name, closed_form),
            note=note,
        )

    def j_interval(scale: float, shift: float) -> tuple[float, float]:
        return mover([sensitivity, specificity], scale=scale, shift=shift)

    def mcc_interval() -> tuple[float, float]:
        # Its square is J times its counterpart for precision and NPV.
        by_class, by_call = j_interval(1.0, -1.0), mover([precision, npv], shift=-1.0)
        low, high = (_signed_root(*ends) for ends in zip(by_class, by_call, strict=True))
        return low, high

    absent = _absent(tp + fn, n)
    alike = {0: "no study is called positive", n: "every study is called positive"}
    positive, negative = likelihood_ratios(matrix)
    return AtThreshold(
        threshold=threshold,
        rule=rule,
        matrix=((tn, fp), (fn, tp)),
        accuracy=proportion(tn + tp, n),
        sensitivity=sensitivity,
        specificity=specificity,
        precision=precision,
        npv=npv,
        f1=estimate(
            0,
            "" if tp + fp + fn else "no fracture, and none called",
            "Wilson, carried over to F1",
            lambda: wilson_f1(tp, fp + fn),
        ),
        youden_j=estimate(1, absent, "MOVER of Wilson's", lambda: j_interval(1.0, -1.0)),
        balanced_accuracy=estimate(2, absent, "MOVER of Wilson's", lambda: j_interval(0.5, 0.0)),
        mcc=estimate(3, absent or alike.get(tp + fp, ""), "MOVER of Wilson's", mcc_interval),
        positive_likelihood_ratio=positive,
        negative_likelihood_ratio=negative,
    )


def _signed_root(a: float, b: float) -> float:
    """The geometric mean, rising in both: of two negative numbers it is negative."""
    return max(a, 0) ** 0.5 * max(b, 0) ** 0.5 - max(-a, 0) ** 0.5 * max(-b, 0) ** 0.5


def _absent(n_positive: int, n: int) -> str:
    if n_positive == 0:
        return f"no fracture among {n}"
    return f"no normal study among {n}" if n_positive == n else ""
