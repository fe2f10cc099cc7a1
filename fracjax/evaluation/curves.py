"""Curves of a detector with the band that resampling gives them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over a grid, with a pointwise 95 % interval.

    Attributes:
      x: the grid, rising.
      y: the curve; NaN where it is undefined.
      low: lower end of the interval at each x; NaN where there is none.
      high: upper end.
      n: studies.
      method: how the interval was made.
    """

    x: Float[np.ndarray, "m"]
    y: Float[np.ndarray, "m"]
    low: Float[np.ndarray, "m"]
    high: Float[np.ndarray, "m"]
    n: int
    method: str


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit over threshold probabilities; that of calling no study is 0 throughout.

    Attributes:
      model: of calling a study when its probability reaches the threshold.
      treat_all: of calling every study.
    """

    model: Band
    treat_all: Float[np.ndarray, "m"]
