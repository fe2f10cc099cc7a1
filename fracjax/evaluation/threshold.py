"""Where to call a study positive: rules that choose a threshold, and what it was worth there.

Choose on validation only; on the test set a threshold is an input, never an output.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from fracjax.errors import InputError
from fracjax.evaluation import metrics, validation
from fracjax.evaluation.intervals import Estimate, fraction
from fracjax.evaluation.metrics import Floats, Labels
from fracjax.evaluation.validation import Sample

_RULES = "youden, sensitivity:TARGET (e.g. sensitivity:0.95) or fixed:THRESHOLD (e.g. fixed:0.11)"


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the rule that chose it, and what it was worth on the studies it was chosen on.

    The two estimates are of those same studies, so under `youden` they are a little too good.
    """

    # a study is positive when score >= threshold. +inf (no study is positive) where `youden` finds
    # nothing better than chance.
    threshold: float
    # the threshold's own 95 % interval: percentiles of what the rule chooses in resamples of whole
    # groups; +inf is possible. None under `fixed`, of a single group, and where most resamples lack
    # a class.
    low: float | None
    high: float | None
    rule: str  # `youden`, `sensitivity:0.95`, `fixed:0.11`
    n: int  # studies it was chosen on; `n_positive` fractures, in `n_groups` near-duplicate groups
    n_positive: int
    n_groups: int
    sensitivity: Estimate
    specificity: Estimate

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.2g}, {self.high:.2g}]"
        return (
            f"threshold {self.threshold:.4g}{interval} ({self.rule}): "
            f"sensitivity {self.sensitivity}, specificity {self.specificity}"
        )

    def calls(self, scores: ArrayLike) -> np.ndarray:
        """bool[n]: which studies are called positive; compared in float64."""
        return metrics.calls(np.asarray(scores, np.float64), self.threshold)

    @classmethod
    def from_dict(cls, data: dict) -> "OperatingPoint":
        """The way back from JSON, exactly; `InputError` names fields missing and unknown."""
        worth = ("sensitivity", "specificity")
        return cls(**stored_values(cls, data, worth, "a stored operating point"))


def stored_values(cls: type, data: dict, worth: Sequence[str], what: str) -> dict[str, Any]:
    """Of a chosen threshold that was stored as JSON what its class takes; `worth` are estimates.

    Raises:
      InputError: naming fields missing and unknown.
    """
    validation.check_fields(cls, data, what)
    limits = ("threshold", "low", "high")
    numbers = {name: None if data[name] is None else float(data[name]) for name in limits}
    return data | numbers | {name: Estimate(**data[name]) for name in worth}


def choose_threshold(
    rule: str,
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    **resampling: int,
) -> OperatingPoint:
    """Choose a threshold by a rule, and say what it is worth on these studies.

    The rule is `youden`; `sensitivity:T`, the highest threshold whose sensitivity is at least T,
    0 < T <= 1; or `fixed:X`, the threshold X itself. Both classes must be there.
    """
    name, number = parse_rule(rule)
    sample = Sample.checked(labels, scores, groups, both_classes=True)
    if groups is None:  # so that the order of studies moves no draw
        order = np.lexsort((sample.labels, sample.scores))
        sample = Sample(sample.labels[order], sample.scores[order], sample.groups)
    threshold, low, high = number, None, None
    if name != "fixed":
        statistic = metrics.youden_threshold if name == "youden" else _reaching
        targets = [] if name == "youden" else [np.full(sample.n, number)]
        made = sample.bootstrap(statistic, *targets, **resampling)
        threshold = float(made.value[0])
        if made.n_groups > 1:  # a single group leaves nothing to resample
            low, high = middle_of(made.draws[:, 0])
    called = metrics.calls(sample.scores, threshold)
    fracture, groups = sample.labels == 1, sample.groups
    return OperatingPoint(
        threshold=threshold,
        low=low,
        high=high,
        rule=rule,
        n=sample.n,
        n_positive=sample.n_positive,
        n_groups=int(sample.groups.max()) + 1,
        sensitivity=fraction(called[fracture], groups[fracture]),
        specificity=fraction(~called[~fracture], groups[~fracture]),
    )


def _reaching(labels: Labels, scores: Floats, targets: Floats, weights: Floats) -> Float[Array, ""]:
    """The target stands in every row: as an argument, so that no target compiles anew."""
    return metrics.sensitivity_threshold(labels, scores, weights, targets[0])


def middle_of(draws: Float[np.ndarray, "resamples"]) -> tuple[float | None, float | None]:
    """The middle 95 % of thresholds, ends among them: between two of them may lie infinity."""
    defined = draws[~np.isnan(draws)]
    if 2 * defined.size < draws.size:
        return None, None
    low, high = np.quantile(defined, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def parse_rule(rule: str) -> tuple[str, float]:
    """Split a rule into its name and its number (NaN for `youden`), or refuse it."""
    name, _, text = rule.partition(":")
    if rule == "youden":
        return name, math.nan
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if name not in ("sensitivity", "fixed") or not math.isfinite(number):
        raise InputError(f"no threshold rule {rule!r}; expected {_RULES}")
    if name == "sensitivity" and not 0 < number <= 1:
        hint = f"; type sensitivity:{number / 100:g} for {number:g} %" if 1 < number <= 100 else ""
        raise InputError(f"a sensitivity target lies above 0 and up to 1, not {number:g}{hint}")
    if name == "fixed" and not 0 <= number <= 1:
        raise InputError(f"a threshold of probabilities lies from 0 to 1, not {number:g}")
    return name, number
