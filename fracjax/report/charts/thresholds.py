"""Two curves over thresholds: net benefit of the detector, and the cascade behind it."""

import math

import numpy as np

from fracjax.evaluation.curves import Band, DecisionCurve
from fracjax.report.charts.bands import (
    draw_band,
    draw_threshold,
    draw_undefined,
    estimate_at,
    nearest,
    pluralise,
    table_rows,
    threshold_text,
)
from fracjax.report.charts.canvas import canvas, legend, to_svg
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, GREEN, MUTED
from fracjax.report.table import Table

_HEIGHT = 340  # units
_DASHES, _DOTS = (0, (5, 2)), (0, (1, 1.5))
_SWEPT = ("share that passes", "end-to-end accuracy", "macro precision of what passes")


def decision_chart(curve: DecisionCurve, threshold: float) -> Chart:
    """Net benefit over threshold probabilities, beside calling all and calling none.

    Args:
      curve: `curves.decision_curve`.
      threshold: the operating one; marked where it lies in (0, 1).
    """
    model, everyone = curve.model, curve.treat_all
    with canvas(_HEIGHT) as figure:
        axes = figure.add_subplot()
        axes.set(xlabel="threshold probability", ylabel="net benefit", xlim=(0, 1))
        axes.set_ylim(*_limits(curve))
        if not draw_undefined(axes, model, "no net benefit"):
            draw_band(axes, model, BLUE, "the model, with 95 % band")
            style = {"color": GREEN, "linewidth": 1.4, "linestyle": _DASHES}
            axes.plot(model.x, everyone, label="call every study", **style)
            axes.axhline(0, color=MUTED, linewidth=1.4, linestyle=_DOTS, label="call no study")
            if 0 < threshold < 1:
                draw_threshold(axes, threshold)
        legend(figure, axes)
        svg = to_svg(figure)
    rows = tuple(
        (f"{model.x[i]:.3f}", estimate_at(model, i), _number(everyone[i]), "0")
        for i in table_rows(model)
    )
    header = ("threshold probability", "the model", "call every study", "call no study")
    return Chart(
        svg,
        _decision_alt(curve, threshold),
        f"Decision curve of {pluralise(model.n, 'study', 'studies')}. Net benefit: fractures found "
        "per study, less the false alarms weighed by the odds of the threshold. The strip is the "
        f"95 % interval ({model.method}).",
        Table("Decision curve", header, rows),
    )


def _limits(curve: DecisionCurve) -> tuple[float, float]:
    """From a little below 0: calling everyone falls without end."""
    values = np.concatenate([curve.model.y, curve.model.high, curve.treat_all])
    values = values[np.isfinite(values)]
    top = max(float(values.max()), 0.02) * 1.06 if values.size else 1.0
    return -0.3 * top, top


def _decision_alt(curve: DecisionCurve, threshold: float) -> str:
    model, everyone = curve.model, curve.treat_all
    known = np.isfinite(model.y)
    if not known.any():
        return "No decision curve: net benefit is undefined."
    index = nearest(model, threshold) if 0 < threshold < 1 else int(np.flatnonzero(known)[0])
    better = known & (model.y > np.maximum(everyone, 0))
    words = (
        f"Decision curve: at a threshold probability of {model.x[index]:.2g} the model's net "
        f"benefit is {estimate_at(model, index).figure}, that of calling every study "
        f"{everyone[index]:.3f}, of calling none 0."
    )
    if not better.any():
        return words + " The model is nowhere better than both."
    x = model.x[better]
    return words + (
        f" The model is better than both at {better.sum()} of {known.sum()} thresholds, "
        f"from {x.min():.2g} to {x.max():.2g}."
    )


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−") if np.isfinite(value) else "undefined"


def sweep_chart(passed: Band, accuracy: Band, precision: Band, threshold: float) -> Chart:
    """The cascade over the detector's threshold: what a stricter one gains and costs.

    Args:
      passed: fraction of the fractures that reach the classifier.
      accuracy: fraction found and rightly typed, of all.
      precision: macro precision among those that pass; undefined where a class is never called.
      threshold: the operating one.

    Raises:
      ValueError: the three are not over the same thresholds.
    """
    x, bands = passed.x, dict(zip(_SWEPT, (passed, accuracy, precision), strict=True))
    if any(band.x.tolist() != x.tolist() for band in bands.values()):
        raise ValueError("the curves of a sweep have different thresholds; expected the same")
    styles = ((MUTED, _DASHES), (BLUE, "-"), (GREEN, (0, (1, 1.2))))
    with canvas(_HEIGHT) as figure:
        axes = figure.add_subplot()
        for (name, band), (colour, style) in zip(bands.items(), styles, strict=True):
            draw_band(axes, band, colour, name, style)
        axes.set(xlim=(x[0], x[-1]), ylim=(0, 1), xlabel="threshold of the detector")
        axes.set_ylabel("share")
        if x[0] <= threshold <= x[-1]:
            draw_threshold(axes, threshold)
        legend(figure, axes)
        svg = to_svg(figure)
    at = nearest(passed, threshold)
    figures = "; ".join(f"{name} {estimate_at(band, at).figure}" for name, band in bands.items())
    point = f"At {threshold_text(x[at])}: {figures}."
    if math.isinf(threshold):
        point = f"The operating threshold is {threshold_text(threshold)}."
    reason = "a class is never called"
    rows = tuple(
        (f"{x[i]:.3f}", *(estimate_at(band, i, reason) for band in bands.values()))
        for i in table_rows(passed)
    )
    return Chart(
        svg,
        f"The cascade over the detector's threshold. {point} "
        "From the lowest threshold to the highest, end-to-end accuracy goes from "
        f"{estimate_at(accuracy, 0).figure} to {estimate_at(accuracy, -1).figure}.",
        f"{pluralise(passed.n, 'fracture')} through the cascade, at every threshold of the "
        f"detector. Strips are 95 % intervals ({passed.method}).",
        Table("Cascade over thresholds", ("threshold", *_SWEPT), rows),
    )
