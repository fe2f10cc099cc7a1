"""Where to call a study positive: rules that choose a threshold, and what it was worth there.

Choose on validation only; on the test set a threshold is an input, never an output.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from fracjax.errors import UserError
from fracjax.evaluation import inputs
from fracjax.evaluation.confusion import confusion_at
from fracjax.evaluation.estimate import Estimate
from fracjax.evaluation.intervals import proportion
from fracjax.evaluation.roc import RocCurve, roc_curve

_RULES = "youden, sensitivity:TARGET (e.g. sensitivity:0.95) or fixed:THRESHOLD (e.g. fixed:0.11)"


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the rule that chose it, and what it was worth on the studies it was chosen on.

    The two estimates are of those same studies, so under `youden` they are a little too good.

    Attributes:
      threshold: a study is positive when score >= threshold. +inf (no study is positive) where
        `youden` finds nothing better than chance.
      rule: `youden`, `sensitivity:0.95`, `fixed:0.11`.
      n: studies it was chosen on.
      n_positive: fractures among them.
      sensitivity: of the threshold, on those studies, with its Wilson interval.
      specificity: likewise.
    """

    threshold: float
    rule: str
    n: int
    n_positive: int
    sensitivity: Estimate
    specificity: Estimate

    def __str__(self) -> str:
        return (
            f"threshold {self.threshold:.4g} ({self.rule}): sensitivity {self.sensitivity}, "
            f"specificity {self.specificity}"
        )

    def to_dict(self) -> dict:
        """A dict that strict JSON can hold; an infinite threshold becomes a string."""
        return {
            "threshold": json_number(self.threshold),
            "rule": self.rule,
            "n": self.n,
            "n_positive": self.n_positive,
            "sensitivity": self.sensitivity.to_dict(),
            "specificity": self.specificity.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict) -> "OperatingPoint":
        """The way back from `to_dict`, exactly.

        Raises:
          ValueError: naming the fields that are missing and those that are unknown.
        """
        expected = {f.name for f in fields(cls)}
        problems = [f"missing field: {name}" for name in sorted(expected - data.keys())]
        problems += [f"unknown field: {name}" for name in sorted(data.keys() - expected)]
        inputs.refuse(problems, "a stored operating point")
        return cls(
            **data
            | {
                "threshold": float(data["threshold"]),
                "sensitivity": Estimate(**data["sensitivity"]),
                "specificity": Estimate(**data["specificity"]),
            }
        )


def choose_threshold(rule: str, labels: ArrayLike, scores: ArrayLike) -> OperatingPoint:
    """Choose a threshold by a rule, and say what it is worth on these studies.

    Args:
      rule: `youden`; `sensitivity:T`, the highest threshold that finds at least the share T of the
        fractures, 0 < T <= 1; or `fixed:X`, the threshold X itself.
      labels: int[n], 0 (normal) or 1 (fracture), both present.
      scores: float[n], finite.

    Raises:
      UserError: no such rule, or a number that it cannot have.
      ValueError: as `roc_curve`.
    """
    name, number = parse_rule(rule)
    curve = roc_curve(labels, scores)
    if name == "youden":
        threshold = youden_threshold(curve)
    elif name == "sensitivity":
        threshold = sensitivity_threshold(curve, number)
    else:
        threshold = number
    (tn, fp), (fn, tp) = confusion_at(labels, scores, threshold).tolist()
    return OperatingPoint(
        threshold=threshold,
        rule=rule,
        n=curve.n_positive + curve.n_negative,
        n_positive=curve.n_positive,
        sensitivity=proportion(tp, tp + fn),
        specificity=proportion(tn, tn + fp),
    )


def youden_threshold(curve: RocCurve) -> float:
    """The threshold that maximises J = sensitivity + specificity - 1.

    Ties go to the highest threshold, i.e. to the fewest false alarms. +inf where no threshold
    beats chance (J <= 0 everywhere).

    Source: Youden 1950, Cancer 3:32-35.
    """
    # J times both class sizes is an integer: no rounding noise that could decide a tie.
    j = curve.true_positives * curve.n_negative - curve.false_positives * curve.n_positive
    return float(curve.thresholds[np.argmax(j)])


def sensitivity_threshold(curve: RocCurve, target: float) -> float:
    """The highest threshold with sensitivity >= target; 0 < target <= 1."""
    # A quotient and a typed decimal of the same value are the same float64: both are rounded once.
    return float(curve.thresholds[np.argmax(curve.tpr >= target)])


def parse_rule(rule: str) -> tuple[str, float]:
    """Split a rule into its name and its number (NaN for `youden`).

    Raises:
      UserError: no such rule, or a number that it cannot have.
    """
    name, _, text = rule.partition(":")
    if rule == "youden":
        return name, math.nan
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if name not in ("sensitivity", "fixed") or not math.isfinite(number):
        raise UserError(f"no threshold rule {rule!r}; expected {_RULES}")
    if name == "sensitivity" and not 0 < number <= 1:
        hint = f"; type sensitivity:{number / 100:g} for {number:g} %" if 1 < number <= 100 else ""
        raise UserError(f"a sensitivity target lies above 0 and up to 1, not {number:g}{hint}")
    return name, number


def json_number(x: float) -> float | str:
    """`x`, or "inf", "-inf" for what strict JSON has no number for; `float` is the way back."""
    return x if math.isfinite(x) else str(x)
