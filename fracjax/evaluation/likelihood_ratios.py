"""By how much a call, or none, moves the odds of a fracture: likelihood ratios with intervals."""

import numpy as np
from jaxtyping import Integer

from fracjax.evaluation import confusion
from fracjax.evaluation.estimate import Estimate, undefined
from fracjax.evaluation.intervals import Z, mover_ratio, proportion

_METHOD = "Simel, log scale"


def likelihood_ratios(matrix: Integer[np.ndarray, "2 2"]) -> tuple[Estimate, Estimate]:
    """LR+ = sensitivity / (1 - specificity) and LR- = (1 - sensitivity) / specificity.

    The interval is symmetric on the log scale. Where that has no width, or none that is finite (a
    count of 0, or every study called), it is MOVER-R's of Wilson's. An infinite ratio has no value,
    and its lower limit stands in the note.

    Args:
      matrix: [[TN, FP], [FN, TP]], counts.

    Returns:
      (LR+, LR-), n being all studies; undefined where a class is absent or the ratio is 0/0.

    Source: Simel, Samsa and Matchar 1991, Journal of Clinical Epidemiology 44:763-770; Donner and
    Zou 2012, Statistical Methods in Medical Research 21:347-359 (MOVER-R).
    """
    (tn, fp), (fn, tp) = matrix.tolist()
    return (
        _ratio(
            float(confusion.positive_likelihood_ratio(matrix)),
            (tp, tp + fn),
            (fp, tn + fp),
            neither="no study is called positive",
            infinite="no false alarm",
        ),
        _ratio(
            float(confusion.negative_likelihood_ratio(matrix)),
            (fn, tp + fn),
            (tn, tn + fp),
            neither="every study is called positive",
            infinite="no normal study passes",
        ),
    )


def _ratio(
    value: float,
    of_fractures: tuple[int, int],
    of_normals: tuple[int, int],
    *,
    neither: str,
    infinite: str,
) -> Estimate:
    """The ratio of two shares, each (count, studies)."""
    (a, p), (b, q) = of_fractures, of_normals
    if p == 0 or q == 0:
        return undefined(p + q, _METHOD, f"no {'normal study' if p else 'fracture'} among {p + q}")
    if np.isnan(value):
        return undefined(p + q, _METHOD, neither)
    if a and b and (a < p or b < q):
        half = Z * np.sqrt(1 / a - 1 / p + 1 / b - 1 / q)
        low, high = value * np.exp([-half, half])
        return Estimate(value, float(low), float(high), p + q, _METHOD)
    low, high = mover_ratio(proportion(a, p), proportion(b, q))
    if np.isinf(value):
        return undefined(p + q, "MOVER-R", f"infinite, {infinite}; at least {low:.3g}")
    return Estimate(value, low, high, p + q, "MOVER-R", "the log scale gives no interval here")
