"""A forest plot: does the detector do as well in every subgroup as over all?"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from fracjax.evaluation import BinaryReport, Estimate
from fracjax.evaluation.subgroups import Subgroup
from fracjax.report.charts.canvas import WIDTH, Number, canvas, to_svg, whiskers, wrapped
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED, ORANGE, PAPER, RULE
from fracjax.report.table import Table, missing_reason, pluralise

Metric = Literal["auc", "sensitivity", "specificity"]
_LEFT, _RIGHT = 112, 236  # ends of the axis
_ROW, _HEAD, _LINE, _TOP, _FOOT = 33, 21, 12.5, 14, 36  # units high


def forest_chart(
    subgroups: Sequence[Subgroup], overall: BinaryReport, metric: Metric = "auc"
) -> Chart:
    """One row per subgroup with its whiskers, and a line where the figure over all lies.

    Subgroups of one attribute follow each other; the threshold over all is the operating point.
    """
    at = overall.at_operating_point
    total: Estimate = overall.auc if metric == "auc" else getattr(at, metric)
    name = "AUC" if metric == "auc" else metric
    title = f"{name[0].upper()}{name[1:]} by subgroup"
    figures: list[Estimate] = [getattr(group, metric) for group in subgroups]
    ends = [e.value if e.low is None else e.low for e in (total, *figures)]
    least = max(min((end for end in ends if end is not None), default=0.5), 0)
    low = min(math.floor(10 * least + 1e-9) / 10, 0.9)
    heads = len({group.attribute for group in subgroups})
    high = heads * _HEAD + (len(subgroups) + 1) * _ROW + 4
    whole = high + _TOP + _FOOT
    with canvas(whole, constrained=False) as figure:
        across = (_LEFT / WIDTH, (_RIGHT - _LEFT) / WIDTH)
        axes = figure.add_axes((across[0], _FOOT / whole, across[1], high / whole))
        axes.set(xlim=(low, 1), ylim=(high, 0), yticks=[], xlabel=name)
        step = 0.1 if low > 0.65 else 0.2 if low > 0.35 else 0.5
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.spines["left"].set_visible(False)
        if total.value is not None:
            axes.axvline(total.value, color=ORANGE, linestyle=(0, (4, 3)), linewidth=1.2)
        if total.low is not None and total.high is not None:
            axes.axvspan(total.low, total.high, color=ORANGE, alpha=0.13, linewidth=0)
        _write(axes, 0, -5, "n / positive", color=MUTED)
        _write(axes, WIDTH, -5, "95 % interval", color=MUTED, ha="right")
        y, pairs = 0.0, zip(subgroups, figures, strict=True)
        for attribute, rows in groupby(pairs, lambda pair: pair[0].attribute):
            y += _HEAD
            _write(axes, 0, y - 6, wrapped(attribute, WIDTH, lines=1)[0], weight="bold")
            for group, estimate in rows:
                _row(axes, y, group.value, group, estimate)
                y += _ROW
        axes.axhline(y, _across(0), _across(WIDTH), color=RULE, linewidth=1, clip_on=False)
        _row(axes, y, "all studies", overall, total)
        drawing = to_svg(figure)
    names = (*(f"{s.attribute}: {s.value}" for s in subgroups), "all studies")
    rows = tuple(
        (row, f"{of.n:,}", f"{of.n_positive:,}", e)
        for row, of, e in zip(names, (*subgroups, overall), (*figures, total), strict=True)
    )
    return Chart(
        drawing,
        _alt(subgroups, figures, total, name),
        f"{title}. Squares with whiskers: value and 95 % interval; diamond and dashed line: over "
        "all studies. Where there are too few, it says so instead.",
        Table(title, ("subgroup", "n", overall.classes[1], name), rows),
    )


def _across(x: Number) -> float:
    """Units from the left of the chart as a fraction of the axis."""
    return (x - _LEFT) / (_RIGHT - _LEFT)


def _write(axes: Axes, x: Number, y: Number, text: str, **style: Any) -> None:
    axes.text(_across(x), y, text, transform=axes.get_yaxis_transform(), **style)


def _row(axes: Axes, y: float, name: str, of: Subgroup | BinaryReport, figure: Estimate) -> None:
    alone = isinstance(of, Subgroup)
    weight, colour, marker = ("normal", BLUE, "s") if alone else ("bold", ORANGE, "D")
    middle = y + _ROW / 2
    above, below = middle - 1.5, middle - 1.5 + _LINE
    _write(axes, 0, above, wrapped(name, _LEFT - 8, lines=1)[0], weight=weight)
    _write(axes, 0, below, f"{of.n:,} / {of.n_positive:,}", color=MUTED)
    if figure.value is None:
        words = "\n".join(wrapped(figure.note or missing_reason(figure), WIDTH - _LEFT - 8))
        paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
        _write(axes, _LEFT + 2, middle, words, va="center", style="italic", bbox=paper)
        return
    style: dict[str, Any] = {"fmt": marker, "color": colour, "markersize": 7, "clip_on": False}
    axes.errorbar(figure.value, middle, xerr=whiskers(figure), capsize=3, elinewidth=1, **style)
    text, _, interval = figure.figure.partition(" ")
    _write(axes, WIDTH, above, text, ha="right", weight=weight)
    _write(axes, WIDTH, below, interval, ha="right", color=MUTED)


def _alt(subgroups: Sequence[Subgroup], figures: list[Estimate], total: Estimate, name: str) -> str:
    words = (
        f"Forest plot of {name} in {pluralise(len(subgroups), 'subgroup')}; over all studies it is "
        f"{total.figure}."
    )
    known = [
        (e.value, f"{s.attribute} {s.value}", e)
        for s, e in zip(subgroups, figures, strict=True)
        if e.value is not None
    ]
    if known:
        (_, lowest, low), (_, highest, high) = (f(known, key=lambda k: k[0]) for f in (min, max))
        words += f" Lowest: {lowest}, {low.figure}. Highest: {highest}, {high.figure}."
    if apart := [name for _, name, e in known if _excludes(e, total.value)]:
        words += f" Intervals that do not reach the figure over all: {', '.join(apart)}."
    if missing := len(figures) - len(known):
        words += f" Too few studies in {pluralise(missing, 'subgroup')}."
    return words


def _excludes(estimate: Estimate, value: float | None) -> bool:
    if value is None or estimate.low is None or estimate.high is None:
        return False
    return not estimate.low <= value <= estimate.high
