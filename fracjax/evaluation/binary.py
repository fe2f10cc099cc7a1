"""Everything about a detector on one set of studies, at its operating point and at 0.5."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy.typing import ArrayLike

from fracjax.evaluation import confusion, metrics
from fracjax.evaluation.bootstrap import Resampled
from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.intervals import (
    Estimate,
    count_groups,
    fraction,
    mover,
    undefined,
    wilson,
    wilson_f1,
    wilson_of_mean,
)
from fracjax.evaluation.metrics import Floats, Labels
from fracjax.evaluation.predictive_values import likelihood_ratios
from fracjax.evaluation.threshold import OperatingPoint
from fracjax.evaluation.validation import Sample, missing_class

MAX_FPR = 0.1  # up to where the partial AUC goes: a reader's time is for few false alarms


@dataclass(frozen=True)
class AtThreshold:
    """The metrics of one threshold."""

    threshold: float  # a study is positive when score >= threshold
    rule: str  # how the threshold came about: `youden`, `sensitivity:0.95`, `fixed:0.5`
    matrix: tuple[tuple[int, ...], ...]  # ((TN, FP), (FN, TP))
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    # positive and negative predictive value, at the prevalence of these studies.
    precision: Estimate
    npv: Estimate
    f1: Estimate
    youden_j: Estimate
    balanced_accuracy: Estimate  # mean of sensitivity and specificity
    mcc: Estimate  # Matthews' correlation coefficient; undefined where all studies are called alike
    positive_likelihood_ratio: Estimate
    negative_likelihood_ratio: Estimate


@dataclass(frozen=True)
class BinaryReport:
    """A detector's metrics; `Estimate.method` says how each interval was made."""

    classes: tuple[str, ...]  # names of the negative and of the positive class
    n: int
    n_positive: int  # studies of the positive one
    n_groups: int  # near-duplicate groups, the unit of the bootstrap
    # fraction of studies with a fracture; what average precision would be by chance.
    prevalence: Estimate
    auc: Estimate
    # where 1 - specificity is at most 0.1, on McClish's scale: 0.5 by chance, 1 without error.
    partial_auc: Estimate
    average_precision: Estimate
    # mean squared difference of probability and outcome; undefined for scores that are not within 0
    # .. 1.
    brier: Estimate
    at_operating_point: AtThreshold
    at_half: AtThreshold


def binary_report(
    labels: ArrayLike,
    scores: ArrayLike,
    operating_point: OperatingPoint,
    groups: ArrayLike | None = None,
    classes: tuple[str, ...] = ("negative", "positive"),
    **resampling: int,
) -> BinaryReport:
    """Every metric of a detector at its operating point, and separately at 0.5.

    Proportions have Wilson's interval, the AUC DeLong's, likelihood ratios Simel's, all of them by
    `groups`, and all others the bootstrap's over these. With one class absent, what needs it is
    undefined, not an error. The operating point is chosen elsewhere (on validation). Scores are
    probabilities, for 0.5 to mean anything. `classes` are the names of 0 and 1, for those who show
    the report.
    """
    sample = Sample.checked(labels, scores, groups)
    n, n_positive = sample.n, sample.n_positive
    missing = missing_class(n_positive, n)
    rules = ((operating_point.threshold, operating_point.rule), (0.5, "fixed:0.5"))
    calls = [metrics.calls(sample.scores, threshold) for threshold, _ in rules]
    cells = [confusion.one_hot_cells(sample.labels, called, 2) for called in calls]
    made = sample.bootstrap(_metrics, np.hstack(cells), **resampling)
    at_operating_point, at_half = (
        _at(sample, called, threshold, rule, made[slice(column, column + 4)])
        for called, (threshold, rule), column in zip(calls, rules, (3, 7), strict=True)
    )
    # Where resampling sees no spread, a group counts as one study.
    positive_groups = count_groups(sample.groups[sample.labels == 1])

    def partial_auc_interval() -> tuple[float, float]:
        # A mean over fractures, too, of the fraction of those false positive rates that find each.
        chance = MAX_FPR / 2
        mean = chance + (2 * made.value[1] - 1) * (1 - chance)
        low, high = wilson_of_mean(mean, positive_groups)
        return (1 + (low - chance) / (1 - chance)) / 2, (1 + (high - chance) / (1 - chance)) / 2

    over_fractures = "Wilson, over positive studies"
    return BinaryReport(
        classes=classes,
        n=n,
        n_positive=n_positive,
        n_groups=made.n_groups,
        prevalence=fraction(sample.labels == 1, sample.groups),
        auc=auc_estimate(sample.labels, sample.scores, sample.groups),
        partial_auc=made.estimate(1, over_fractures, partial_auc_interval, missing),
        # A mean over fractures of something at most 1, and here 1 for each: their number counts
        # (the binomial interval of Boyd, Eng and Page 2013, in Wilson's form).
        average_precision=made.estimate(
            0, over_fractures, lambda: wilson(positive_groups, positive_groups), missing
        ),
        brier=(
            undefined(n, "none", "the scores are not probabilities")
            if sample.scores.min() < 0 or sample.scores.max() > 1
            else made.estimate(
                2,
                "Wilson, of a mean",
                lambda: wilson_of_mean(made.value[2], made.n_groups),
                missing,
            )
        ),
        at_operating_point=at_operating_point,
        at_half=at_half,
    )


def _metrics(
    labels: Labels, scores: Floats, cells: Float[Array, "n 8"], weights: Floats
) -> Float[Array, "11"]:
    """Three of the ranking, and four at each threshold, whose one-hot cells are given."""
    matrices = (weights @ cells).reshape(2, 2, 2)
    at = [
        confusion.f1(matrices)[:, 1],
        confusion.youden_j(matrices),
        confusion.balanced_accuracy(matrices),
        confusion.mcc(matrices),
    ]
    whole = [
        metrics.average_precision(labels, scores, weights),
        metrics.standardised_partial_auc(labels, scores, weights, MAX_FPR),
        metrics.brier(labels, scores, weights),
    ]
    return jnp.append(jnp.stack(whole), jnp.stack(at, axis=-1).reshape(-1))


def _at(
    sample: Sample,
    called: Bool[np.ndarray, " n"],
    threshold: float,
    rule: str,
    made: Resampled,
) -> AtThreshold:
    n, fracture, groups = sample.n, sample.labels == 1, sample.groups
    right = called == fracture
    (tn, fp), (fn, tp) = confusion.confusion_matrix(sample.labels, called, 2).tolist()

    def rate(among: Bool[np.ndarray, " n"], empty: str) -> Estimate:
        return fraction(right[among], groups[among], empty=empty)

    sensitivity = rate(fracture, "no positive study")
    specificity = rate(~fracture, "no negative study")
    precision = rate(called, "no study is called positive")
    npv = rate(~called, "no study is called negative")
    involved = fracture | called

    def j_interval(scale: float, shift: float) -> tuple[float, float]:
        return mover([sensitivity, specificity], scale=scale, shift=shift)

    def mcc_interval() -> tuple[float, float]:
        # Its square is J times its counterpart for precision and NPV.
        by_class, by_call = j_interval(1.0, -1.0), mover([precision, npv], shift=-1.0)
        low, high = (_signed_root(*ends) for ends in zip(by_class, by_call, strict=True))
        return low, high

    missing = missing_class(tp + fn, n)
    alike = {0: "no study is called positive", n: "every study is called positive"}
    by_mover = "MOVER of Wilson's"
    positive, negative = likelihood_ratios(sample.labels, called, groups)

    def f1_interval() -> tuple[float, float]:
        share = count_groups(groups[involved]) / involved.sum()
        return wilson_f1(share * tp, share * (fp + fn))

    return AtThreshold(
        threshold=threshold,
        rule=rule,
        matrix=((tn, fp), (fn, tp)),
        accuracy=fraction(right, groups),
        sensitivity=sensitivity,
        specificity=specificity,
        precision=precision,
        npv=npv,
        f1=made.estimate(
            0,
            "Wilson, carried over to F1",
            f1_interval,
            "" if tp + fp + fn else "no positive study, and none called",
        ),
        youden_j=made.estimate(1, by_mover, lambda: j_interval(1.0, -1.0), missing),
        balanced_accuracy=made.estimate(2, by_mover, lambda: j_interval(0.5, 0.0), missing),
        mcc=made.estimate(3, by_mover, mcc_interval, missing or alike.get(tp + fp, "")),
        positive_likelihood_ratio=positive,
        negative_likelihood_ratio=negative,
    )


def _signed_root(a: float, b: float) -> float:
    """The geometric mean, increasing in both: of two negative numbers it is negative."""
    return max(a, 0) ** 0.5 * max(b, 0) ** 0.5 - max(-a, 0) ** 0.5 * max(-b, 0) ** 0.5
