"""The decision curve: is it better to use the model than to call everyone, or no one?"""

import numpy as np

from fracjax.evaluation.curves import DecisionCurve
from fracjax.report.charts.canvas import canvas, drawn, key
from fracjax.report.charts.helpers import (
    counted,
    draw_band,
    draw_threshold,
    estimate_at,
    nearest,
    some,
    without_curve,
)
from fracjax.report.page import Chart
from fracjax.report.palette import BLUE, GREEN, MUTED
from fracjax.report.tables import Table


def decision_chart(curve: DecisionCurve, threshold: float) -> Chart:
    """Net benefit over threshold probabilities, beside calling all and calling none.

    Args:
      curve: `curves.decision_curve`.
      threshold: the operating one; marked where it lies in (0, 1).
    """
    model, everyone = curve.model, curve.treat_all
    shown = 0 < threshold < 1
    with canvas(340) as figure:
        axes = figure.add_subplot()
        axes.set(xlabel="threshold probability", ylabel="net benefit", xlim=(0, 1))
        axes.set_ylim(*_limits(curve))
        if not without_curve(axes, model, "no net benefit"):
            draw_band(axes, model, BLUE, "the model, with 95 % band")
            axes.plot(
                model.x,
                everyone,
                color=GREEN,
                linewidth=1.4,
                linestyle=(0, (5, 2)),
                label="call every study",
            )
            axes.axhline(
                0, color=MUTED, linewidth=1.4, linestyle=(0, (1, 1.5)), label="call no study"
            )
            if shown:
                draw_threshold(axes, threshold)
        key(figure, axes)
        svg = drawn(figure)
    return Chart(
        svg,
        _alt(curve, threshold),
        f"Decision curve of {counted(model.n, 'study', 'studies')}. Net benefit: fractures found "
        "per study, less the false alarms weighed by the odds of the threshold. The strip is the "
        f"95 % interval ({model.method}).",
        _table(curve),
    )


def _limits(curve: DecisionCurve) -> tuple[float, float]:
    """From a little below 0: calling everyone falls without end."""
    values = np.concatenate([curve.model.y, curve.model.high, curve.treat_all])
    values = values[np.isfinite(values)]
    top = max(float(values.max()), 0.02) * 1.06 if values.size else 1.0
    return -0.3 * top, top


def _alt(curve: DecisionCurve, threshold: float) -> str:
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


def _table(curve: DecisionCurve) -> Table:
    rows = tuple(
        (f"{curve.model.x[i]:.3f}", estimate_at(curve.model, i), _number(curve.treat_all[i]), "0")
        for i in some(curve.model)
    )
    header = ("threshold probability", "the model", "call every study", "call no study")
    return Table("Decision curve", header, rows)


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−") if np.isfinite(value) else "undefined"
