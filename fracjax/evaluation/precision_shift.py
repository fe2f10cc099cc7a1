"""How far another precision moves the probabilities that are reported, and how far it may."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fracjax.config import Precision
from fracjax.errors import InputError
from fracjax.evaluation.predictions import Predictions

MOST_MOVED = 0.01
"""By which another precision than that of training may change a probability."""


@dataclass(frozen=True)
class PrecisionShift:
    """Probabilities of the same studies in two precisions.

    Attributes:
      precision: that of what is reported.
      other: that it is compared with: of training, or float32.
      largest: difference of a probability of any class.
      mean: over the studies, of the largest difference of each.
      study: whose difference is the largest.
      n: studies.
    """

    precision: Precision
    other: Precision
    largest: float
    mean: float
    study: str
    n: int

    def __str__(self) -> str:
        return (
            f"in {self.other} probabilities are other ones by up to {self.largest:.4f}, "
            f"{self.mean:.4f} on average (n={self.n})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return asdict(self)


def other_precision(own: Precision, now: Precision) -> Precision | None:
    """What to compare with: the precision of training, or float32, or nothing."""
    if now != own:
        return own
    return None if now == "float32" else "float32"


def measure_precision_shift(
    found: Predictions, before: Predictions, precision: Precision, other: Precision
) -> PrecisionShift:
    """Compare what is reported with the same in the other precision."""
    by = np.abs(found.probabilities - before.probabilities).max(axis=1)
    worst = int(by.argmax())
    return PrecisionShift(
        precision, other, float(by[worst]), float(by.mean()), str(found.study[worst]), len(by)
    )


def check_precision_shift(it: PrecisionShift, where: object, *, read: bool) -> None:
    """Refuse a precision that is not that of training and moves probabilities.

    Args:
      it: the comparison with the precision of training.
      where: the run.
      read: the precision is that of the evaluation on validation, and no flag's.
    """
    if it.largest <= MOST_MOVED:
        return
    instead = (
        "run --split validation again, without --precision" if read else "leave --precision out"
    )
    raise InputError(
        f"{where} was trained in {it.other}, and {it.precision} moves probabilities by up to "
        f"{it.largest:.3f} ({it.study}), which is more than {MOST_MOVED}; {instead}, or train "
        f"with --model.precision {it.precision}"
    )
