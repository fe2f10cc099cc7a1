"""Detector, then classifier: what the filter in front costs, and what a called type is worth.

`cascade_report` and `cascade_sweep` look at fractures alone, at one threshold and at all of them.
`end_to_end` adds normal studies, as they come in a clinic: the detector's false alarms are typed as
well, and each such call is wrong.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from fracjax.errors import InputError
from fracjax.evaluation import confusion, validation
from fracjax.evaluation.bootstrap import Resampled, bootstrap
from fracjax.evaluation.curves import Band, pointwise
from fracjax.evaluation.intervals import (
    Estimate,
    fraction,
    fraction_of_odds,
    mover,
    times,
    wilson,
)
from fracjax.evaluation.metrics import calls
from fracjax.evaluation.per_class import PerClassReport, per_class_report
from fracjax.evaluation.predictions import Predictions

_MOVER_R = "MOVER-R of Wilson's"
_POINTS = 41  # thresholds of the sweep


@dataclass(frozen=True)
class CascadeOutcome:
    """What became of the n studies of one true class; the three fractions add up to 1."""

    name: str
    n: int
    found: Estimate  # called a fracture by the detector, and of the right type by the classifier
    mistyped: Estimate  # called a fracture, and of another type
    missed: Estimate  # not called a fracture, so the classifier never sees it
    # missed, although the classifier would have typed it rightly: what the detector's misses cost.
    # The other missed studies the classifier would have got wrong anyway.
    lost: Estimate


@dataclass(frozen=True)
class CascadeReport:
    """Both stages on the same n studies, all of them fractures."""

    detector_classes: tuple[str, ...]  # names of its negative and of its positive class
    n: int
    threshold: float
    passed: Estimate  # fraction of the studies that reach the classifier: score >= threshold
    rows: tuple[CascadeOutcome, ...]  # what became of each true class
    total: CascadeOutcome  # and of all; its `found` is the end-to-end accuracy
    without_filter: PerClassReport  # the classifier on all n studies
    # the classifier on those that passed. Its recall is among the passed: the detector's misses are
    # not in it, which is what makes it look better.
    with_filter: PerClassReport


def cascade_report(
    detector: Predictions, threshold: float, classifier: Predictions, **resampling: int
) -> CascadeReport:
    """Compare a classifier behind a detector with the same classifier alone.

    Both are of the same studies, in any order; the threshold was chosen elsewhere. The detector's
    labels play no part: every study has a fracture of one of the classifier's types.
    """
    if np.isnan(threshold):
        raise InputError("the threshold is NaN; expected a number")
    passed = calls(detector.aligned_to(classifier).fracture_score, threshold)
    right = classifier.called == classifier.label
    group = validation.group_indices(classifier.groups, classifier.n)

    def outcome(name: str, of_class: np.ndarray) -> CascadeOutcome:
        n = int(of_class.sum())
        parts = (passed & right, passed & ~right, ~passed, ~passed & right)
        return CascadeOutcome(
            name, n, *(fraction(part[of_class], group[of_class]) for part in parts)
        )

    def classify(chosen: np.ndarray) -> PerClassReport:
        label, called, its = (of[chosen] for of in (classifier.label, classifier.called, group))
        return per_class_report(label, called, classifier.classes, its, **resampling)

    everything = np.ones(classifier.n, bool)
    return CascadeReport(
        detector_classes=detector.classes,
        n=classifier.n,
        threshold=threshold,
        passed=fraction(passed, group),
        rows=tuple(
            outcome(name, classifier.label == i) for i, name in enumerate(classifier.classes)
        ),
        total=outcome("all", everything),
        without_filter=classify(everything),
        with_filter=classify(passed),
    )


@dataclass(frozen=True)
class TypeCall:
    """One type that the cascade calls."""

    name: str
    # fractures that pass and are rightly called so, fractures that pass and are called so, normal
    # studies that pass and are called so.
    right: int
    fractures: int
    alarms: int
    precision: Estimate  # fraction of right ones among all that are called so, at the prevalence


@dataclass(frozen=True)
class EndToEnd:
    """The cascade on fractures of known type and on normal studies."""

    detector_classes: tuple[str, ...]  # names of its negative and of its positive class
    prevalence: float  # fraction of fractures for which the precisions hold
    n_fractures: int
    n_normal: int
    alarms: Estimate  # fraction of the normal studies that pass
    rows: tuple[TypeCall, ...]


@dataclass(frozen=True, eq=False)
class Normals:
    """Normal studies that went through both stages."""

    passed: Bool[np.ndarray, "m"]  # called a fracture by the detector
    called: Int[np.ndarray, "m"]  # type that the classifier calls, passed or not
    groups: Shaped[np.ndarray, "m"] | None = None  # of each; None if every study stands alone
    # names of the detector's negative class, which is theirs, and of its positive one.
    detector_classes: tuple[str, ...] = ("negative", "positive")


def end_to_end(
    passed: Bool[np.ndarray, "n"], classifier: Predictions, normals: Normals, prevalence: float
) -> EndToEnd:
    """Precision of each type at a prevalence of fractures.

    p a / (p b + (1 - p) f), with a the fraction of the fractures that pass and are rightly called
    so, b of those that pass and are called so, and f that of the normal studies that pass and are
    called so. Intervals are MOVER's of the Wilson intervals of the fractions, which know what few
    false alarms, or none, leave open; the bootstrap does not. Groups enter by the design effect,
    and the prevalence counts as known. Fractures and normal studies may be of two datasets, which
    differ in more than fractures.

    `passed` says which fractures the detector lets through, in the order of `classifier`, which is
    of all fractures. The prevalence, that of fractures, lies above 0 and below 1.
    """
    validation.check_prevalence(prevalence, [] if normals.passed.size else ["no negative study"])
    n, m = classifier.n, normals.passed.size
    right = classifier.called == classifier.label
    group = validation.group_indices(classifier.groups, n)
    normal_group = validation.group_indices(normals.groups, m)
    rows = []
    for i, name in enumerate(classifier.classes):
        called = passed & (classifier.called == i)
        alarm = normals.passed & (normals.called == i)
        good, fractures, alarms = (int(s.sum()) for s in (called & right, called, alarm))
        parts = [fraction(called & right, group), fraction(called & ~right, group)]
        parts.append(fraction(alarm, normal_group))
        precision = _precision(fractures + alarms, prevalence, parts)
        rows.append(TypeCall(name, good, fractures, alarms, precision))
    alarms = fraction(normals.passed, normal_group)
    return EndToEnd(normals.detector_classes, prevalence, n, m, alarms, tuple(rows))


def _precision(called: int, prevalence: float, parts: list[Estimate]) -> Estimate:
    """P a / (p a + p m + (1 - p) f), from a, m and f."""
    by = (prevalence, prevalence, 1 - prevalence)
    right, *wrong = (times(factor, part) for part, factor in zip(parts, by, strict=True))
    low, high = mover(wrong)
    total = Estimate(sum(e.value or 0.0 for e in wrong), max(low, 0.0), high, called, _MOVER_R)
    return fraction_of_odds(right, total, called, _MOVER_R, "never called")


@dataclass(frozen=True, eq=False)
class CascadeSweep:
    """Three fractions over the detector's threshold, on studies that all have a fracture."""

    # of the studies, those that reach the classifier, and those that are rightly typed there: the
    # end-to-end accuracy.
    passed: Band
    found: Band
    # mean over the types of the fraction of right calls among those that pass and are called so;
    # undefined where a type is never called.
    macro_precision: Band

    def columns(self) -> dict[str, Any]:
        """One array per curve and per end of its band, over the threshold: as files hold it."""
        curves = {"passed": self.passed, "found": self.found, "precision": self.macro_precision}
        return {
            "threshold": self.passed.x,
            "method": self.passed.method,
            **{
                name + end: values
                for name, band in curves.items()
                for end, values in (("", band.y), ("_low", band.low), ("_high", band.high))
            },
        }


def cascade_sweep(
    detector: Predictions, classifier: Predictions, threshold: float, **resampling: int
) -> CascadeSweep:
    """Follow the cascade over thresholds from one that all studies pass to one that few do.

    The thresholds are quantiles of the detector's scores, so that each step lets about as many
    studies less through, and the operating threshold unless it is infinite. Bands are percentiles
    of the bootstrap over near-duplicate groups, pointwise: at a fixed threshold. Choosing one by
    them, on test studies, would be choosing on test. Both are of the same studies, in any order.
    """
    scores = detector.aligned_to(classifier).fracture_score
    levels = np.linspace(0, 1, _POINTS)[:-1]
    wanted = [0.0, threshold] if np.isfinite(threshold) else [0.0]
    thresholds = np.unique(np.append(wanted, np.quantile(scores, levels, method="lower")))
    passes = calls(np.expand_dims(scores, 1), thresholds).astype(np.float64)
    k, groups = len(classifier.classes), validation.group_indices(classifier.groups, classifier.n)
    cells = confusion.one_hot_cells(classifier.label, classifier.called, k)
    made = bootstrap(_fractions, groups, passes, cells, **resampling)
    t = thresholds.size
    passed, found, precision = (made[slice(i * t, (i + 1) * t)] for i in range(3))

    def band(curve: Resampled) -> Band:
        # Where no spread is seen, a group counts as one study.
        m = curve.n_groups
        return pointwise(thresholds, curve, "Wilson", lambda i: wilson(curve.value[i] * m, m))

    def of_classes(i: int) -> tuple[float, float]:
        chosen, right = passes[:, i] > 0, classifier.called == classifier.label
        called = [chosen & (classifier.called == j) for j in range(k)]
        return mover([fraction(right[its], groups[its]) for its in called], scale=1 / k)

    return CascadeSweep(
        band(passed),
        band(found),
        pointwise(thresholds, precision, "MOVER over classes", of_classes),
    )


def _fractions(
    passes: Float[Array, "n t"], cells: Float[Array, "n kk"], weights: Float[Array, "n"]
) -> Float[Array, "_"]:
    """Fraction passed, fraction found and macro precision at each threshold, in a row."""
    t = passes.shape[1]
    k = round(cells.shape[1] ** 0.5)
    matrices = ((passes * weights[:, None]).T @ cells).reshape(t, k, k)
    total = weights.sum()
    right = jnp.diagonal(matrices, axis1=1, axis2=2).sum(1)
    precision = confusion.macro(confusion.precision(matrices))
    return jnp.concatenate([matrices.sum((1, 2)) / total, right / total, precision])
