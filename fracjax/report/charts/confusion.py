"""The confusion matrix: what was what, and what it was called."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fracjax.report.charts.bands import pluralise
from fracjax.report.charts.canvas import LARGE, WIDTH, Number, box, diagram, to_svg, wrapped
from fracjax.report.page import Chart
from fracjax.report.svg import HEAT, HEAT_MOST, INK, MUTED, RULE
from fracjax.report.table import Table

_FEW = 4  # classes whose names fit above their columns
_LINE = 12.5  # units between lines of text


def confusion_chart(
    matrix: tuple[tuple[int, ...], ...] | np.ndarray, classes: tuple[str, ...], title: str
) -> Chart:
    """Counts and their fraction of the true class, which is the shade.

    Args:
      matrix: int[k, k], true class in rows, called class in columns.
      classes: the k names.
      title: in a few words.
    """
    counts = np.asarray(matrix)
    few = len(classes) <= _FEW
    left = 88 if few else 120
    width = (WIDTH - left) / len(classes)
    if few:
        heads = [wrapped(name, width - 4, lines=3) for name in classes]
        names = [wrapped(name, left - 8) for name in classes]
        height = max(min(width, 56), (1 + max(map(len, names))) * _LINE + 4)
    else:
        heads = [[f"{i}"] for i in range(1, len(classes) + 1)]
        names = [wrapped(f"{i}  {name}", left - 8) for i, name in enumerate(classes, 1)]
        height = 2 * _LINE + 4
    top = 20 + max(map(len, heads)) * _LINE
    with diagram(top + height * len(classes) + 2) as (figure, axes):
        axes.text(left, 11, "called", color=MUTED)
        axes.text(0, top - 6, "true class", color=MUTED)
        for j, head in enumerate(heads):
            for up, word in enumerate(reversed(head)):
                axes.text(left + (j + 0.5) * width, top - 6 - up * _LINE, word, ha="center")
        for i, name in enumerate(names):
            y, total = top + i * height, int(counts[i].sum())
            words = [(word, INK) for word in name] + [(f"n={total}", MUTED)] * few
            start = y + (height - (len(words) - 1) * _LINE) / 2 + 3.5
            for row, (word, colour) in enumerate(words):
                axes.text(0, start + row * _LINE, word, color=colour)
            for j, count in enumerate(counts[i].tolist()):
                _cell(axes, left + j * width, y, width, height, count, total, right=i == j)
        svg = to_svg(figure)
    return Chart(
        svg, _alt(counts, classes, title), _caption(counts, few), _table(counts, classes, title)
    )


def _cell(
    axes: Axes,
    x: Number,
    y: Number,
    width: Number,
    height: Number,
    count: int,
    total: int,
    *,
    right: bool,
) -> None:
    inside = (x + 1, y + 1, width - 2, height - 2)
    if count:
        box(axes, *inside, facecolor=HEAT, alpha=HEAT_MOST * count / total)
    box(axes, *inside, edgecolor=INK if right else RULE)
    style: dict[str, Any] = {"ha": "center", "color": INK if count else MUTED}
    weight = "bold" if right else "normal"
    middle, centre = x + width / 2, y + height / 2
    if width < 40:  # the fraction is the shade, and in the table
        axes.text(middle, centre + 3.5, f"{count}", weight=weight, **style)
        return
    axes.text(middle, centre - 2, f"{count}", weight=weight, size=LARGE, **style)
    text = f"{100 * count / total:.0f} %" if total else "undefined"
    axes.text(middle, centre + 12, text, **style)


def _alt(counts: np.ndarray, classes: tuple[str, ...], title: str) -> str:
    total, right = int(counts.sum()), int(np.trace(counts))
    n = pluralise(total, "study", "studies")
    words = f"{title}: {right} of {n} called by their true class."
    wrong = np.where(np.eye(len(classes), dtype=bool), -1, counts)
    if total > right:
        i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
        words += (
            f" The most frequent error: {counts[i, j]} of {counts[i].sum()} {classes[i]} called "
            f"{classes[j]}."
        )
    return words


def _caption(counts: np.ndarray, few: bool) -> str:
    shown = "Each cell: studies, and their share of the true class, which is also its shade."
    many = "Each cell: studies; the shade is their share of the true class. Columns have the "
    many += "numbers of the rows."
    return f"{pluralise(int(counts.sum()), 'study', 'studies')}. {shown if few else many}"


def _table(counts: np.ndarray, classes: tuple[str, ...], title: str) -> Table:
    def cell(count: int, total: int) -> str:
        return f"{count} ({100 * count / total:.0f} %)" if total else f"{count} (undefined)"

    rows = tuple(
        (name, f"{row.sum()}", *(cell(int(count), int(row.sum())) for count in row))
        for name, row in zip(classes, counts, strict=True)
    )
    return Table(title, ("true class", "n", *(f"called\n{name}" for name in classes)), rows)
