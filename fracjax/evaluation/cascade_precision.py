"""What a type is worth that the cascade calls, when normal studies come to it, too.

A set of fractures alone cannot tell: there every study that passes has some fracture. In a clinic
the detector's false alarms are typed as well, and each such call is wrong.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from fracjax.evaluation import validation
from fracjax.evaluation.estimate import Estimate, scaled, undefined
from fracjax.evaluation.intervals import mover, mover_ratio, proportion
from fracjax.evaluation.predictions import Predictions

_METHOD = "MOVER-R of Wilson's"


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


def end_to_end(
    passed: Bool[np.ndarray, "n"], classifier: Predictions, normals: Normals, prevalence: float
) -> EndToEnd:
    """Precision of each type at a prevalence of fractures.

    p a / (p b + (1 - p) f), with a the fraction of the fractures that pass and are rightly called
    so, b of those that pass and are called so, and f that of the normal studies that pass and are
    called so. Intervals are MOVER's of the Wilson intervals of the fractions, which know what few
    false alarms, or none, leave open; the bootstrap does not. Studies count as independent, and the
    prevalence as known. Fractures and normal studies may be of two datasets, which differ in more
    than fractures.

    Args:
      passed: which fractures the detector lets through, in the order of `classifier`.
      classifier: on all fractures, with the true types.
      normals: one or more.
      prevalence: of fractures, above 0 and below 1.
    """
    validation.check_prevalence(prevalence, [] if normals.passed.size else ["no normal study"])
    n, m = classifier.n, normals.passed.size
    right = classifier.called == classifier.label
    rows = []
    for i, name in enumerate(classifier.classes):
        called = passed & (classifier.called == i)
        good, fractures = int((called & right).sum()), int(called.sum())
        alarms = int((normals.passed & (normals.called == i)).sum())
        parts = [proportion(good, n), proportion(fractures - good, n), proportion(alarms, m)]
        precision = _precision(fractures + alarms, prevalence, parts)
        rows.append(TypeCall(name, good, fractures, alarms, precision))
    return EndToEnd(prevalence, n, m, proportion(int(normals.passed.sum()), m), tuple(rows))


def _precision(called: int, prevalence: float, parts: list[Estimate]) -> Estimate:
    """P a / (p a + p m + (1 - p) f), from the fractions a, m and f as if independent.

    The interval is that of the ratio of p a to what is called so wrongly, carried over.
    """
    if called == 0:
        return undefined(0, _METHOD, "never called")
    by = (prevalence, prevalence, 1 - prevalence)
    good, *wrong = (scaled(part, factor) for part, factor in zip(parts, by, strict=True))
    right, total = good.value or 0.0, sum(e.value or 0.0 for e in wrong)
    low, high = mover(wrong)
    odds = mover_ratio(good, Estimate(total, max(low, 0.0), high, called, _METHOD))
    below, above = (1 - 1 / (1 + end) for end in odds)
    return Estimate(right / (right + total), below, above, called, _METHOD)
