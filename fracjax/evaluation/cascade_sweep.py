"""The cascade at every threshold of its detector: what a stricter filter gains and costs."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fracjax.evaluation.bootstrap import RESAMPLES, resample
from fracjax.evaluation.curves import Band, pointwise
from fracjax.evaluation.float64 import exact
from fracjax.evaluation.intervals import mover, proportion, wilson
from fracjax.evaluation.metrics.thresholds import calls
from fracjax.evaluation.predictions import Predictions
from fracjax.evaluation.validation import group_indices

_POINTS = 41

Fallback = tuple[str, Callable[[int], tuple[float, float]]]


@dataclass(frozen=True, eq=False)
class CascadeSweep:
    """Three shares over the detector's threshold, on studies that all have a fracture.

    Attributes:
      passed: share that reaches the classifier.
      found: share that passes and is rightly typed: the end-to-end accuracy.
      macro_precision: mean over the types of the share of right calls among those that pass and
        are called so; undefined where a type is never called.
    """

    passed: Band
    found: Band
    macro_precision: Band

    def to_dict(self) -> dict:
        """A dict that strict JSON can hold: one list per curve, None where it is undefined."""
        curves = {"passed": self.passed, "found": self.found, "precision": self.macro_precision}
        return {
            "threshold": self.passed.x.tolist(),
            "method": self.passed.method,
            **{
                f"{name}_{what}" if what else name: [None if np.isnan(v) else v for v in values]
                for name, band in curves.items()
                for what, values in (
                    ("", band.y.tolist()),
                    ("low", band.low.tolist()),
                    ("high", band.high.tolist()),
                )
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
    studies, would be choosing on test.

    Args:
      detector: of two classes, on the studies of `classifier`, in any order.
      classifier: on all of them, with the true types.
      threshold: the operating one, which is among the thresholds unless it is infinite.
      seed: of the bootstrap.
      resamples: of the bootstrap.

    Raises:
      InputError: the studies are not the same, or the detector has not two classes.
    """
    scores = detector.aligned_to(classifier).fracture_score
    levels = np.linspace(0, 1, _POINTS)[:-1]
    wanted = [0.0, threshold] if np.isfinite(threshold) else [0.0]
    thresholds = np.unique(np.append(wanted, np.quantile(scores, levels, method="lower")))
    passes = calls(np.expand_dims(scores, 1), thresholds).astype(np.float64)
    k, groups = len(classifier.classes), group_indices(classifier.groups, classifier.n)
    cells = np.eye(k * k)[classifier.label * k + classifier.called]
    arrays = (passes, cells)
    value = exact(_shares, np.ones(classifier.n), *arrays)
    draws = resample(_shares, groups, *arrays, seed=seed, resamples=resamples)
    value, draws = value.reshape(3, -1), draws.reshape(len(draws), 3, -1)

    def share(number: int) -> Fallback:
        return "Wilson", lambda i: wilson(round(value[number, i] * classifier.n), classifier.n)

    def of_classes(i: int) -> tuple[float, float]:
        matrix = (passes[:, i] @ cells).reshape(k, k)
        called = zip(np.diagonal(matrix).astype(int), matrix.sum(0).astype(int), strict=True)
        return mover([proportion(int(right), int(n)) for right, n in called], scale=1 / k)

    fallbacks = (share(0), share(1), ("MOVER over classes", of_classes))
    return CascadeSweep(
        *(
            pointwise(thresholds, value[i], draws[:, i], groups, fallback)
            for i, fallback in enumerate(fallbacks)
        )
    )


def _shares(
    weights: Float[Array, "n"], passes: Float[Array, "n t"], cells: Float[Array, "n kk"]
) -> Float[Array, "_"]:
    """Share passed, share found and macro precision at each threshold, one after the other."""
    t = passes.shape[1]
    k = round(cells.shape[1] ** 0.5)
    matrices = ((passes * weights[:, None]).T @ cells).reshape(t, k, k)
    right = jnp.diagonal(matrices, axis1=1, axis2=2)
    called = matrices.sum(1)
    precision = jnp.where(called > 0, right / jnp.where(called > 0, called, 1), jnp.nan)
    total = weights.sum()
    return jnp.concatenate([matrices.sum((1, 2)) / total, right.sum(1) / total, precision.mean(1)])
