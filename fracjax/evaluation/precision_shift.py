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

    precision: Precision  # that of what is reported, and that of training, or float32
    other: Precision
    largest: float  # difference of a probability of any class, which is that of `study`
    mean: float  # over the studies, of the largest difference of each
    study: str
    n: int

    def __str__(self) -> str:
        return (
            f"probabilities in {self.other} differ by up to {self.largest:.4f}, "
            f"{self.mean:.4f} on average (n={self.n})"
        )


def other_precision(own: Precision, now: Precision) -> Precision | None:
    """What to compare with: the precision of training, or float32, or nothing."""
    if now != own:
        return own
    return None if now == "float32" else "float32"


def measure_precision_shift(
    reported: Predictions, reference: Predictions, precision: Precision, other: Precision
) -> PrecisionShift:
    """Compare what is reported with the same in the other precision."""
    shift = np.abs(reported.probabilities - reference.probabilities).max(axis=1)
    worst = int(shift.argmax())
    study = str(reported.study[worst])
    largest, mean = float(shift[worst]), float(shift.mean())
    return PrecisionShift(precision, other, largest, mean, study, shift.size)


def check_precision_shift(shift: PrecisionShift, run: object, *, read: bool) -> None:
    """Refuse a precision that moves a probability of that of training by more than `MOST_MOVED`.

    `read`: it was not asked for now, but for the evaluation on validation.
    """
    if shift.largest <= MOST_MOVED:
        return
    again = "validation again " if read else ""
    raise InputError(
        f"{run} was trained in {shift.other}, and {shift.precision} moves probabilities by up to "
        f"{shift.largest:.3f} ({shift.study}), which is more than {MOST_MOVED}; evaluate {again}in "
        f"{shift.other}, or train with model.precision {shift.precision}"
    )
