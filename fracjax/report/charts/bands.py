"""What charts share: the line with its band, marks with whiskers, their numbers in words."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fracjax.evaluation import AtThreshold, BinaryReport, Estimate
from fracjax.evaluation.curves import Band
from fracjax.report.svg import GREEN, ORANGE, PAPER

_ROWS = 21  # of a table behind a curve


def draw_band(axes: Axes, band: Band, colour: str, label: str, style: Any = "-") -> None:
    """The curve, and its interval as a lighter strip around it."""
    axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(band.x, band.y, color=colour, linewidth=1.8, linestyle=style, label=label)


def draw_point(
    axes: Axes, x: Estimate, y: Estimate, colour: str, marker: str, label: str, size: float = 8
) -> None:
    """A mark with a whisker along each axis; nothing where there is no such point."""
    if x.value is None or y.value is None:
        return
    for estimate, across in ((x, True), (y, False)):
        if estimate.low is None or estimate.high is None:
            continue
        ends = [estimate.low, estimate.high]
        xs, ys = (ends, [y.value] * 2) if across else ([x.value] * 2, ends)
        axes.plot(xs, ys, color=colour, linewidth=1.4, clip_on=False, zorder=3)
    axes.plot(
        x.value,
        y.value,
        linestyle="none",
        marker=marker,
        markersize=size,
        markeredgecolor=PAPER,
        color=colour,
        clip_on=False,
        zorder=4,
        label=label,
    )


def thresholds_of(report: BinaryReport) -> list[tuple[AtThreshold, str, str, str]]:
    """The operating point and 0.5, each with its name, colour and mark; once if they are one."""
    point, half = report.at_operating_point, report.at_half
    name = f"operating point {threshold_text(point.threshold)} ({point.rule})"
    marks = [(point, name, ORANGE, "o")]
    return marks if point.threshold == 0.5 else [*marks, (half, "at 0.5", GREEN, "D")]


def threshold_text(threshold: float) -> str:
    """A threshold for reading; infinite ones say what they do."""
    if math.isinf(threshold):
        return "∞ (calls none)" if threshold > 0 else "−∞ (calls all)"
    return f"{threshold:.4g}"


def estimate_at(band: Band, index: int, what: str = "") -> Estimate:
    """One point of a band; `what` says why it would be undefined."""
    value, low, high = (float(v[index]) for v in (band.y, band.low, band.high))
    if not math.isfinite(value):
        return Estimate(None, None, None, band.n, band.method, what or "no such point")
    if not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(value, None, None, band.n, band.method, "too few to resample")
    return Estimate(value, low, high, band.n, band.method)


def table_rows(band: Band) -> list[int]:
    """Indices of a table's rows: the ends and what lies evenly between."""
    return np.unique(np.linspace(0, band.x.size - 1, _ROWS).round().astype(int)).tolist()


def draw_threshold(axes: Axes, threshold: float) -> None:
    """Mark the operating threshold on an axis of thresholds."""
    axes.axvline(
        threshold,
        color=ORANGE,
        linewidth=1.2,
        linestyle=(0, (6, 2, 1, 2)),
        label=f"operating threshold {threshold_text(threshold)}",
    )


def nearest(band: Band, x: float) -> int:
    """Index of the grid's point closest to `x`."""
    return int(np.abs(band.x - x).argmin())


def pluralise(n: int, one: str, many: str = "") -> str:
    """`1 fracture`, `2 fractures`, `4,083 files`."""
    return f"{n:,} {one}" if n == 1 else f"{n:,} {many or one + 's'}"


def draw_undefined(axes: Axes, band: Band, reason: str) -> bool:
    """Say so in an empty chart, if the curve is undefined throughout; whether it is."""
    empty = not np.isfinite(band.y).any()
    if empty:
        axes.text(0.5, 0.5, f"undefined: {reason}", ha="center", va="center", fontstyle="italic")
    return empty


def missing_class(report: BinaryReport) -> str:
    """Which class is not there, for a curve that needs both."""
    if report.n_positive == 0:
        return "no fracture"
    return "no normal study" if report.n_positive == report.n else "no curve"
