"""The confusion matrix: what was what, and what it was called."""

import numpy as np

from fracjax.report.charts.canvas import WIDTH
from fracjax.report.charts.drawing import Drawing, Number, wrapped
from fracjax.report.charts.helpers import counted
from fracjax.report.page import Chart
from fracjax.report.palette import HEAT, HEAT_MOST, INK, MUTED, RULE
from fracjax.report.tables import Table

_FEW = 4  # classes whose names fit above their columns
_LINE = 12.5  # units between lines of text
_GAP = 2


def confusion_chart(
    matrix: tuple[tuple[int, ...], ...] | np.ndarray, classes: tuple[str, ...], title: str
) -> Chart:
    """Counts and their share of the true class, which is the shade.

    Args:
      matrix: int[k, k], true class in rows, called class in columns.
      classes: the k names.
      title: in a few words.
    """
    counts = np.asarray(matrix)
    totals = counts.sum(axis=1)
    numbers = [f"{i}" for i in range(1, len(classes) + 1)]
    few = len(classes) <= _FEW
    left = 88 if few else 120
    cell = (WIDTH - left) / len(classes)
    heads = [wrapped(c, cell - 4, lines=3) for c in classes] if few else [[n] for n in numbers]
    names = [
        wrapped(c if few else f"{n}  {c}", left - 8) for n, c in zip(numbers, classes, strict=True)
    ]
    high = max(min(cell, 56), (1 + max(map(len, names))) * _LINE + 4 if few else 2 * _LINE + 4)
    top = 20 + max(map(len, heads)) * _LINE
    drawing = Drawing(top + high * len(classes) + _GAP)
    drawing.text(left, 11, "called", colour=MUTED)
    drawing.text(0, top - 6, "true class", colour=MUTED)
    for j, head in enumerate(heads):
        for row, line in enumerate(head):
            y = top - 6 - (len(head) - 1 - row) * _LINE
            drawing.text(left + (j + 0.5) * cell, y, line, anchor="middle")
    for i, name in enumerate(names):
        y = top + i * high
        lines = [*name, f"n={totals[i]}"] if few else name
        start = y + high / 2 - (len(lines) - 1) * _LINE / 2 + 3.5
        for row, line in enumerate(lines):
            of_n = few and row == len(lines) - 1
            drawing.text(0, start + row * _LINE, line, colour=MUTED if of_n else INK)
        for j in range(len(classes)):
            count, total = int(counts[i, j]), int(totals[i])
            _cell(drawing, left + j * cell, y, cell, high, count, total, right=i == j)
    return Chart(
        drawing.svg,
        _alt(counts, classes, title),
        _caption(counts, few),
        _table(counts, classes, title),
    )


def _cell(
    drawing: Drawing,
    x: Number,
    y: Number,
    width: Number,
    height: Number,
    count: int,
    total: int,
    *,
    right: bool,
) -> None:
    share = count / total if total else 0.0
    box = (x + _GAP / 2, y + _GAP / 2, width - _GAP, height - _GAP)
    drawing.rectangle(*box, fill=HEAT, opacity=HEAT_MOST * share)
    drawing.rectangle(*box, stroke=INK if right else RULE)
    middle, centre = x + width / 2, y + height / 2
    if width < 40:  # the share is the shade, and in the table
        drawing.text(
            middle, centre + 3.5, f"{count}", anchor="middle", bold=right, colour=_tone(count)
        )
        return
    drawing.text(
        middle, centre - 2, f"{count}", anchor="middle", bold=right, size=13, colour=_tone(count)
    )
    text = f"{100 * share:.0f} %" if total else "undefined"
    drawing.text(middle, centre + 12, text, anchor="middle", colour=_tone(count))


def _tone(count: int) -> str:
    return INK if count else MUTED


def _alt(counts: np.ndarray, classes: tuple[str, ...], title: str) -> str:
    total, right = int(counts.sum()), int(np.trace(counts))
    words = f"{title}: {right} of {counted(total, 'study', 'studies')} called by their true class."
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
    return f"{counted(int(counts.sum()), 'study', 'studies')}. {shown if few else many}"


def _table(counts: np.ndarray, classes: tuple[str, ...], title: str) -> Table:
    def cell(count: int, total: int) -> str:
        return f"{count} ({100 * count / total:.0f} %)" if total else f"{count} (undefined)"

    rows = tuple(
        (name, f"{row.sum()}", *(cell(int(count), int(row.sum())) for count in row))
        for name, row in zip(classes, counts, strict=True)
    )
    return Table(title, ("true class", "n", *(f"called\n{name}" for name in classes)), rows)
