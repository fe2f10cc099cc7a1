"""A forest plot: does the detector do as well in every subgroup as over all?"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from fracjax.evaluation import BinaryReport, Estimate
from fracjax.evaluation.subgroups import Subgroup
from fracjax.report.charts.bands import pluralise
from fracjax.report.charts.canvas import WIDTH, Number, canvas, to_svg, wrapped
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED, ORANGE, PAPER, RULE
from fracjax.report.table import Table, missing_reason, without_nonfinite

Metric = Literal["auc", "sensitivity", "specificity"]
_NAMES = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity"}
_LEFT, _RIGHT = 112, 236  # ends of the axis
_ROW, _HEAD, _LINE, _TOP, _FOOT = 33, 21, 12.5, 14, 36  # units high


def forest_chart(
    subgroups: Sequence[Subgroup], overall: BinaryReport, metric: Metric = "auc"
) -> Chart:
    """One row per subgroup with its whiskers, and a line where the figure over all lies.

    Args:
      subgroups: those of one attribute follow each other.
      overall: of all studies; sensitivity and specificity are those at its operating point.
      metric: which figure.
    """
    at = overall.at_operating_point
    total = without_nonfinite(overall.auc if metric == "auc" else getattr(at, metric))
    figures = [without_nonfinite(getattr(group, metric)) for group in subgroups]
    ends = [e.value if e.low is None else e.low for e in (total, *figures)]
    least = max(min((end for end in ends if end is not None), default=0.5), 0)
    low = min(math.floor(10 * least + 1e-9) / 10, 0.9)
    tenths = round(10 * (1 - low))
    attributes = [(name, list(rows)) for name, rows in groupby(subgroups, lambda s: s.attribute)]
    high = len(attributes) * _HEAD + (len(subgroups) + 1) * _ROW + 4
    with canvas(high + _TOP + _FOOT, constrained=False) as figure:
        whole = high + _TOP + _FOOT
        axes = figure.add_axes(
            (_LEFT / WIDTH, _FOOT / whole, (_RIGHT - _LEFT) / WIDTH, high / whole)
        )
        axes.set(xlim=(low, 1), ylim=(high, 0), yticks=[], xlabel=_NAMES[metric])
        step = 0.1 if tenths <= 3 else 0.2 if tenths <= 6 else 0.5
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.spines["left"].set_visible(False)
        if total.value is not None:
            axes.axvline(total.value, color=ORANGE, linestyle=(0, (4, 3)), linewidth=1.2)
        if total.low is not None and total.high is not None:
            axes.axvspan(total.low, total.high, color=ORANGE, alpha=0.13, linewidth=0)
        _write(axes, 0, -5, "n / fractures", color=MUTED)
        _write(axes, WIDTH, -5, "95 % interval", color=MUTED, ha="right")
        y, shown = 0.0, iter(figures)
        for attribute, rows in attributes:
            y += _HEAD
            _write(axes, 0, y - 6, wrapped(attribute, WIDTH, lines=1)[0], weight="bold")
            for group in rows:
                _row(axes, y, group.value, (group.n, group.n_positive), next(shown))
                y += _ROW
        axes.axhline(y, _across(0), _across(WIDTH), color=RULE, linewidth=1, clip_on=False)
        _row(axes, y, "all studies", (overall.n, overall.n_positive), total, overall=True)
        svg = to_svg(figure)
    return Chart(
        svg,
        _alt(subgroups, figures, total, metric),
        f"{_title(metric)}. Squares with whiskers: value and 95 % interval; diamond "
        "and dashed line: over all studies. Where there are too few, it says so instead.",
        _table(subgroups, overall, total, metric),
    )


def _title(metric: Metric) -> str:
    name = _NAMES[metric]
    return f"{name[0].upper()}{name[1:]} by subgroup"


def _across(x: Number) -> float:
    """Units from the left of the chart as a fraction of the axis."""
    return (x - _LEFT) / (_RIGHT - _LEFT)


def _write(axes: Axes, x: Number, y: Number, text: str, **style: Any) -> None:
    axes.text(_across(x), y, text, transform=axes.get_yaxis_transform(), **style)


def _row(
    axes: Axes,
    y: Number,
    name: str,
    counts: tuple[int, int],
    figure: Estimate,
    *,
    overall: bool = False,
) -> None:
    middle = y + _ROW / 2
    weight = "bold" if overall else "normal"
    _write(axes, 0, middle - 1.5, wrapped(name, _LEFT - 8, lines=1)[0], weight=weight)
    n, n_positive = counts
    _write(axes, 0, middle - 1.5 + _LINE, f"{n:,} / {n_positive:,}", color=MUTED)
    if figure.value is None:
        words = wrapped(figure.note or missing_reason(figure), WIDTH - _LEFT - 8)
        start = middle + 3.5 - (len(words) - 1) / 2 * _LINE
        for i, word in enumerate(words):
            paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
            _write(axes, _LEFT + 2, start + i * _LINE, word, style="italic", bbox=paper)
        return
    style: dict[str, Any] = {"color": ORANGE if overall else BLUE, "clip_on": False}
    if figure.low is not None and figure.high is not None:
        ends = [[figure.value - figure.low], [figure.high - figure.value]]
        axes.errorbar(figure.value, middle, xerr=ends, capsize=3, elinewidth=1, **style)
    axes.plot(figure.value, middle, marker="D" if overall else "s", markersize=7, **style)
    text, _, interval = figure.figure.partition(" ")
    _write(axes, WIDTH, middle - 1.5, text, ha="right", weight=weight)
    _write(axes, WIDTH, middle - 1.5 + _LINE, interval, ha="right", color=MUTED)


def _alt(
    subgroups: Sequence[Subgroup], figures: list[Estimate], total: Estimate, metric: Metric
) -> str:
    words = (
        f"Forest plot of {_NAMES[metric]} in {pluralise(len(subgroups), 'subgroup')}; over all "
        f"studies it is {total.figure}."
    )
    known = [
        (e.value, f"{s.attribute} {s.value}", e)
        for s, e in zip(subgroups, figures, strict=True)
        if e.value is not None
    ]
    if known:
        lowest, highest = min(known, key=lambda k: k[0]), max(known, key=lambda k: k[0])
        words += f" Lowest: {lowest[1]}, {lowest[2].figure}. Highest: {highest[1]}, "
        words += f"{highest[2].figure}."
    apart = [name for _, name, e in known if _excludes(e, total.value)]
    if apart:
        words += f" Intervals that do not reach the figure over all: {', '.join(apart)}."
    if missing := len(figures) - len(known):
        words += f" Too few studies in {pluralise(missing, 'subgroup')}."
    return words


def _excludes(estimate: Estimate, value: float | None) -> bool:
    if value is None or estimate.low is None or estimate.high is None:
        return False
    return not estimate.low <= value <= estimate.high


def _table(
    subgroups: Sequence[Subgroup], overall: BinaryReport, total: Estimate, metric: Metric
) -> Table:
    rows = tuple(
        (f"{s.attribute}: {s.value}", f"{s.n:,}", f"{s.n_positive:,}", getattr(s, metric))
        for s in subgroups
    )
    last = ("all studies", f"{overall.n:,}", f"{overall.n_positive:,}", total)
    name = _NAMES[metric]
    return Table(_title(metric), ("subgroup", "n", "fractures", name), (*rows, last))
