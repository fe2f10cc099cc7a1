"""What the detector in front costs the classifier: found, missed, found but mistyped."""

from dataclasses import dataclass

import numpy as np

from fracjax.evaluation import validation
from fracjax.evaluation.bootstrap import RESAMPLES
from fracjax.evaluation.estimate import Estimate
from fracjax.evaluation.intervals import proportion
from fracjax.evaluation.metrics import calls
from fracjax.evaluation.per_class import PerClassReport, per_class_report
from fracjax.evaluation.predictions import Predictions


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

    n: int
    threshold: float
    passed: Estimate  # fraction of the studies that reach the classifier: score >= threshold
    rows: tuple[CascadeOutcome, ...]  # what became of each true class; `total` of all
    total: CascadeOutcome
    without_filter: PerClassReport  # the classifier on all n studies
    # the classifier on those that passed. Its recall is among the passed: the detector's misses are
    # not in it, which is what makes it look better.
    with_filter: PerClassReport

    @property
    def end_to_end_accuracy(self) -> Estimate:
        """Found and rightly typed / all studies; a missed study counts as an error."""
        return self.total.found


def cascade_report(
    detector: Predictions,
    threshold: float,
    classifier: Predictions,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> CascadeReport:
    """Compare a classifier behind a detector with the same classifier alone.

    Both are of the same studies, in any order; the threshold was chosen elsewhere. The detector's
    labels play no part: every study has a fracture of one of the classifier's types.
    """
    nan = ["it is NaN; expected a number"] if np.isnan(threshold) else []
    validation.raise_problems(nan, "the threshold")
    passed = calls(detector.aligned_to(classifier).fracture_score, threshold)
    right = classifier.called == classifier.label

    def outcome(name: str, of_class: np.ndarray) -> CascadeOutcome:
        n = int(of_class.sum())
        parts = (passed & right, passed & ~right, ~passed, ~passed & right)
        return CascadeOutcome(
            name, n, *(proportion(int((of_class & part).sum()), n) for part in parts)
        )

    def classify(chosen: np.ndarray) -> PerClassReport:
        return per_class_report(
            classifier.label[chosen],
            classifier.called[chosen],
            classifier.classes,
            classifier.groups[chosen],
            seed=seed,
            resamples=resamples,
        )

    everything = np.ones(classifier.n, bool)
    by_class = [(name, classifier.label == i) for i, name in enumerate(classifier.classes)]
    return CascadeReport(
        n=classifier.n,
        threshold=threshold,
        passed=proportion(int(passed.sum()), classifier.n),
        rows=tuple(outcome(*of_class) for of_class in by_class),
        total=outcome("all", everything),
        without_filter=classify(everything),
        with_filter=classify(passed),
    )
