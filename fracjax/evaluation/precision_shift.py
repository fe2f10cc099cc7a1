"""How far another precision moves the probabilities that are reported, and how far it may."""

from dataclasses import dataclass

import numpy as np

from fracjax.config import Precision
from fracjax.errors import InputError
from fracjax.evaluation.predictions import Predictions

MOST_MOVED = 0.01
"""By which another precision than that of training may change a probability."""


@dataclass(frozen=True)
class PrecisionShift:
    """Probabilities of the same n studies in two precisions."""

    # that of what is reported, and that of training, or float32; of several runs all of theirs
    precision: str
    other: str
    largest: float  # difference of a probability of any class, which is that of `study`
    mean: float  # over the studies, of the largest difference of each
    study: str
    n: int

    def __str__(self) -> str:
        return (
            f"probabilities in {self.other} differ by up to {self.largest:.4f}, "
            f"{self.mean:.4f} on average (n={self.n})"
        )


def other_precision(own: Precision, now: Precision) -> Precision:
    """What to compare with: the precision of training or, where that is the one, float32."""
    return own if now != own else "float32"


def measure_precision_shift(
    reported: Predictions, reference: Predictions, precision: str, other: str
) -> PrecisionShift:
    """Compare what is reported with the same in the other precision."""
    shift = np.abs(reported.probabilities - reference.probabilities).max(axis=1)
    largest, mean, study = float(shift.max()), float(shift.mean()), reported.study[shift.argmax()]
    return PrecisionShift(precision, other, largest, mean, str(study), shift.size)


def check_precision_shift(shift: PrecisionShift, run: object, *, read: bool) -> None:
    """Refuse more than `MOST_MOVED` from training's; `read`: validation was evaluated in it."""
    if shift.largest <= MOST_MOVED:
        return
    again = "validation again " if read else ""
    raise InputError(
        f"{run} was trained in {shift.other}, and {shift.precision} moves probabilities by up to "
        f"{shift.largest:.3f} ({shift.study}), which is more than {MOST_MOVED}; evaluate {again}in "
        f"{shift.other}, or train with model.precision {shift.precision}"
    )
