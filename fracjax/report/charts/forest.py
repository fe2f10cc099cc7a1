"""A forest plot: does the detector do as well in every subgroup as over all?"""

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Literal

from fracjax.evaluation import BinaryReport, Estimate
from fracjax.evaluation.subgroups import Subgroup
from fracjax.report.charts.canvas import WIDTH
from fracjax.report.charts.drawing import Drawing, Number, wrapped
from fracjax.report.charts.helpers import counted
from fracjax.report.page import Chart, finite, why
from fracjax.report.palette import BLUE, INK, MUTED, ORANGE, PAPER, RULE
from fracjax.report.tables import Table

NextEpoch = Callable[[float], float]  # where on the page a value is
Metric = Literal["auc", "sensitivity", "specificity"]
_NAMES = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity"}
_LEFT, _RIGHT = 112, 236  # ends of the axis
_ROW, _HEAD, _LINE, _TOP = 33, 21, 12.5, 14.0  # units high


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
    total = finite(overall.auc if metric == "auc" else getattr(at, metric))
    figures = [finite(getattr(group, metric)) for group in subgroups]
    shown = [e for e in [total, *figures] if e.value is not None]
    least = min((e.value if e.low is None else e.low for e in shown), default=0.5)  # pyright: ignore[reportArgumentType]
    low = min(math.floor(10 * max(least, 0) + 1e-9) / 10, 0.9)

    def place(value: float) -> float:
        return _LEFT + (value - low) / (1 - low) * (_RIGHT - _LEFT)

    attributes = [(name, list(rows)) for name, rows in groupby(subgroups, lambda s: s.attribute)]
    height = len(attributes) * _HEAD + (len(subgroups) + 1) * _ROW + 36 + _TOP + 4
    bottom = height - 36
    drawing = Drawing(height)
    _axis(drawing, low, place, bottom, _NAMES[metric])
    if total.value is not None:
        _overall_line(drawing, total, place, bottom)
    drawing.text(0, 9, "n / fractures", colour=MUTED)
    drawing.text(WIDTH, 9, "95 % interval", colour=MUTED, anchor="end")
    y = _TOP
    for attribute, rows in attributes:
        y += _HEAD
        drawing.text(0, y - 6, wrapped(attribute, WIDTH, lines=1)[0], bold=True)
        for group in rows:
            n = f"{group.n:,} / {group.n_positive:,}"
            _row(drawing, y, group.value, n, finite(getattr(group, metric)), place)
            y += _ROW
    drawing.line((0, y), (WIDTH, y), colour=RULE)
    n = f"{overall.n:,} / {overall.n_positive:,}"
    _row(drawing, y, "all studies", n, total, place, overall=True)
    return Chart(
        drawing.svg,
        _alt(subgroups, figures, total, metric),
        f"{_title(metric)}. Squares with whiskers: value and 95 % interval; diamond "
        "and dashed line: over all studies. Where there are too few, it says so instead.",
        _table(subgroups, overall, total, metric),
    )


def _title(metric: Metric) -> str:
    name = _NAMES[metric]
    return f"{name[0].upper()}{name[1:]} by subgroup"


def _axis(drawing: Drawing, low: Number, place: NextEpoch, bottom: Number, name: str) -> None:
    steps = round(10 * (1 - low))
    every = 1 if steps <= 3 else 2 if steps <= 6 else 5
    for step in range(0, steps + 1):
        value = 1 - step / 10
        x = place(value)
        if step % every == 0:
            drawing.line((x, 14), (x, bottom), colour=RULE, width=0.6)
            drawing.text(x, bottom + 13, f"{value:.1f}", colour=MUTED, anchor="middle")
    drawing.line((_LEFT, bottom), (_RIGHT, bottom), colour=MUTED, width=0.8)
    drawing.text((_LEFT + _RIGHT) / 2, bottom + 29, name, anchor="middle")


def _overall_line(drawing: Drawing, total: Estimate, place: NextEpoch, bottom: Number) -> None:
    if total.low is not None and total.high is not None:
        width = place(total.high) - place(total.low)
        drawing.rectangle(place(total.low), 14, width, bottom - 14, fill=ORANGE, opacity=0.13)
    x = place(total.value or 0.0)
    drawing.line((x, 14), (x, bottom), colour=ORANGE, dash="4 3", width=1.2)


def _row(
    drawing: Drawing,
    y: Number,
    name: str,
    n: str,
    figure: Estimate,
    place: NextEpoch,
    *,
    overall: bool = False,
) -> None:
    middle = y + _ROW / 2
    drawing.text(0, middle - 1.5, wrapped(name, _LEFT - 8, lines=1)[0], bold=overall)
    drawing.text(0, middle - 1.5 + _LINE, n, colour=MUTED)
    if figure.value is None:
        lines = wrapped(figure.note or why(figure), WIDTH - _LEFT - 8)
        drawing.rectangle(_LEFT, y + 3, WIDTH - _LEFT, _ROW - 6, fill=PAPER)
        for i, line in enumerate(lines):
            drawing.text(
                _LEFT + 2, middle + 3.5 + (i - (len(lines) - 1) / 2) * _LINE, line, italic=True
            )
        return
    colour = ORANGE if overall else BLUE
    x = place(figure.value)
    text, _, interval = figure.figure.partition(" ")
    if figure.low is not None and figure.high is not None:
        drawing.line((place(figure.low), middle), (place(figure.high), middle), colour=colour)
        for end in (figure.low, figure.high):
            drawing.line((place(end), middle - 3), (place(end), middle + 3), colour=colour)
    if overall:
        drawing.polygon(
            (x - 6, middle), (x, middle - 5), (x + 6, middle), (x, middle + 5), fill=colour
        )
    else:
        drawing.rectangle(x - 3.5, middle - 3.5, 7, 7, fill=colour)
    drawing.text(WIDTH, middle - 1.5, text, anchor="end", bold=overall, colour=INK)
    drawing.text(WIDTH, middle - 1.5 + _LINE, interval, anchor="end", colour=MUTED)


def _alt(
    subgroups: Sequence[Subgroup], figures: list[Estimate], total: Estimate, metric: Metric
) -> str:
    words = (
        f"Forest plot of {_NAMES[metric]} in {counted(len(subgroups), 'subgroup')}; over all "
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
        words += f" Too few studies in {counted(missing, 'subgroup')}."
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
