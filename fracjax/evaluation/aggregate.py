"""Several networks: their predictions as one, their metrics as mean and spread."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fracjax.errors import InputError
from fracjax.evaluation.intervals import Estimate
from fracjax.evaluation.metrics import calls
from fracjax.evaluation.predictions import Predictions

_HINT = 1e-3  # less than a vote of a thousand networks


def mean(predictions: Sequence[Predictions]) -> Predictions:
    """Mean of the probabilities of every class, study by study."""
    return _combined(predictions, [one.probabilities for one in _aligned(predictions)])


def vote(predictions: Sequence[Predictions], threshold: float | None = None) -> Predictions:
    """Fraction of the networks that call each class, as probabilities.

    A network calls its most probable class; or, of two classes and with a threshold, the second
    one when its score reaches it. Among classes with as many votes, that of the larger mean
    probability is called: it weighs a thousandth, less than any vote. With a threshold a tie is
    0.5, and thereby positive at 0.5: the side that misses no fracture.
    """
    aligned = _aligned(predictions)
    k = len(aligned[0].classes)
    if threshold is not None:
        called = [calls(one.fracture_score, threshold).astype(np.int64) for one in aligned]
        return _combined(predictions, [np.eye(k)[call] for call in called])
    fraction = np.mean([np.eye(k)[one.called] for one in aligned], axis=0)
    hint = np.mean([one.probabilities for one in aligned], axis=0)
    return _combined(predictions, [(1 - _HINT) * fraction + _HINT * hint])


def pooled(predictions: Sequence[Predictions]) -> Predictions:
    """The predictions of disjoint studies, such as the folds of a cross-validation, as one set."""
    first = predictions[0]
    if any(one.classes != first.classes for one in predictions):
        raise InputError("predictions to pool are of different classes")
    if any(one.attributes.keys() != first.attributes.keys() for one in predictions):
        raise InputError("predictions to pool have different attributes")
    return replace(
        first,
        study=np.concatenate([one.study for one in predictions]),
        label=np.concatenate([one.label for one in predictions]),
        probabilities=np.concatenate([one.probabilities for one in predictions]),
        attributes={
            name: np.concatenate([one.attributes[name] for one in predictions])
            for name in first.attributes
        },
    )


@dataclass(frozen=True)
class Spread:
    """One metric of several networks; None where it is undefined, or is for one of them.

    `sd` is the sample standard deviation (divisor: networks - 1): how far one training differs from
    another, not how far the metric is from the truth.
    """

    values: tuple[float | None, ...]
    mean: float | None
    sd: float | None

    def __str__(self) -> str:
        if self.mean is None or self.sd is None:
            return "undefined"
        return f"{self.mean:.3f} ± {self.sd:.3f}"


def spread(estimates: Sequence[Estimate]) -> Spread:
    """Mean and standard deviation of one metric over two networks or more."""
    values = tuple(estimate.value for estimate in estimates)
    defined = [value for value in values if value is not None]
    if len(defined) < len(values):
        return Spread(values, None, None)
    return Spread(values, float(np.mean(defined)), float(np.std(defined, ddof=1)))


def _aligned(predictions: Sequence[Predictions]) -> list[Predictions]:
    first = predictions[0]
    if any(one.classes != first.classes for one in predictions):
        raise InputError("predictions to combine are of different classes")
    return [first, *(one.aligned_to(first) for one in predictions[1:])]


def _combined(predictions: Sequence[Predictions], probabilities: list[np.ndarray]) -> Predictions:
    return replace(predictions[0], probabilities=np.mean(probabilities, axis=0))
