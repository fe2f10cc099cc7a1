"""Do the probabilities mean what they say? Reliability, and what it costs."""

from dataclasses import dataclass

from fracjax.evaluation.estimate import Estimate


@dataclass(frozen=True)
class ReliabilityBin:
    """Studies whose probabilities lie close together.

    Attributes:
      low, high: ends of the bin; a study is in it when low <= probability < high, and in the last
        one when it is 1.
      n: studies in it; 0 is possible, and the rest is then undefined.
      mean_score: mean of their probabilities; None without a study.
      observed: share of fractures among them, with its interval.
    """

    low: float
    high: float
    n: int
    mean_score: float | None
    observed: Estimate


@dataclass(frozen=True)
class Reliability:
    """The reliability curve and the figures that sum it up.

    Attributes:
      bins: of equal width over [0, 1].
      equal_mass: bins of about as many studies each.
      ece: expected calibration error over `bins`.
      ece_equal_mass: the same over `equal_mass`.
      brier: mean squared difference of probability and outcome.
    """

    bins: tuple[ReliabilityBin, ...]
    equal_mass: tuple[ReliabilityBin, ...]
    ece: Estimate
    ece_equal_mass: Estimate
    brier: Estimate
