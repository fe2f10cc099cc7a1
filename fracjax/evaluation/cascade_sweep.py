"""The cascade at every threshold of its detector: what a stricter detector gains and costs."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fracjax.evaluation import confusion, metrics
from fracjax.evaluation.bootstrap import RESAMPLES, Resampled, bootstrap
from fracjax.evaluation.curves import Band, pointwise
from fracjax.evaluation.intervals import mover, proportion, wilson
from fracjax.evaluation.predictions import Predictions
from fracjax.evaluation.validation import group_indices

_POINTS = 41


@dataclass(frozen=True, eq=False)
class CascadeSweep:
    """Three fractions over the detector's threshold, on studies that all have a fracture."""

    # of the studies, those that reach the classifier, and those that are rightly typed there: the
    # end-to-end accuracy.
    passed: Band
    found: Band
    # mean over the types of the fraction of right calls among those that pass and are called so;
    # undefined where a type is never called.
    macro_precision: Band

    def columns(self) -> dict[str, Any]:
        """One array per curve and per end of its band, over the threshold: as files hold it."""
        curves = {"passed": self.passed, "found": self.found, "precision": self.macro_precision}
        return {
            "threshold": self.passed.x,
            "method": self.passed.method,
            **{
                name + end: values
                for name, band in curves.items()
                for end, values in (("", band.y), ("_low", band.low), ("_high", band.high))
            },
        }


def cascade_sweep(
    detector: Predictions,
    classifier: Predictions,
    threshold: float,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> CascadeSweep:
    """Follow the cascade over thresholds from one that all studies pass to one that few do.

    The thresholds are quantiles of the detector's scores, so that each step lets about as many
    studies less through. Bands are percentiles of the bootstrap over near-duplicate groups,
    pointwise. They say how the curves vary at a fixed threshold; choosing one by them, on test
    studies, would be choosing on test. Both are of the same studies, in any order; the operating
    threshold is among the thresholds unless it is infinite.
    """
    scores = detector.aligned_to(classifier).fracture_score
    levels = np.linspace(0, 1, _POINTS)[:-1]
    wanted = [0.0, threshold] if np.isfinite(threshold) else [0.0]
    thresholds = np.unique(np.append(wanted, np.quantile(scores, levels, method="lower")))
    passes = metrics.calls(np.expand_dims(scores, 1), thresholds).astype(np.float64)
    k, groups = len(classifier.classes), group_indices(classifier.groups, classifier.n)
    cells = confusion.one_hot_cells(classifier.label, classifier.called, k)
    made = bootstrap(_fractions, groups, passes, cells, seed=seed, resamples=resamples)
    t, n = thresholds.size, classifier.n
    passed, found, precision = (made[slice(i * t, (i + 1) * t)] for i in range(3))

    def fraction(curve: Resampled) -> Band:
        return pointwise(
            thresholds, curve, "Wilson", lambda i: wilson(round(float(curve.value[i]) * n), n)
        )

    def of_classes(i: int) -> tuple[float, float]:
        matrix = (passes[:, i] @ cells).reshape(k, k)
        called = zip(np.diagonal(matrix).astype(int), matrix.sum(0).astype(int), strict=True)
        return mover([proportion(int(right), int(m)) for right, m in called], scale=1 / k)

    return CascadeSweep(
        fraction(passed),
        fraction(found),
        pointwise(thresholds, precision, "MOVER over classes", of_classes),
    )


def _fractions(
    passes: Float[Array, "n t"], cells: Float[Array, "n kk"], weights: Float[Array, "n"]
) -> Float[Array, "_"]:
    """Fraction passed, fraction found and macro precision at each threshold, in a row."""
    t = passes.shape[1]
    k = round(cells.shape[1] ** 0.5)
    matrices = ((passes * weights[:, None]).T @ cells).reshape(t, k, k)
    total = weights.sum()
    right = jnp.diagonal(matrices, axis1=1, axis2=2).sum(1)
    precision = confusion.macro(confusion.precision(matrices))
    return jnp.concatenate([matrices.sum((1, 2)) / total, right / total, precision])
