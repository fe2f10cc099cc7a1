"""The confusion matrix: what was what, and what it was called."""

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from fracjax.report.charts.canvas import FONT, canvas, to_svg, wrapped
from fracjax.report.page import Chart
from fracjax.report.svg import HEAT, HEAT_MOST, INK, MUTED, RULE
from fracjax.report.table import Table, pluralise

_FEW = 4  # classes whose names fit above their columns


def confusion_chart(
    matrix: tuple[tuple[int, ...], ...] | np.ndarray, classes: tuple[str, ...], title: str
) -> Chart:
    """Counts int[k, k], true class in rows, called class in columns; shaded by row."""
    counts, few = np.asarray(matrix), len(classes) <= _FEW
    totals, numbers = counts.sum(axis=1).tolist(), range(len(classes))
    if few:
        heads = ["\n".join(wrapped(name, 200 / len(classes), lines=3)) for name in classes]
        pairs = zip(classes, totals, strict=True)
        names = ["\n".join((*wrapped(name, 80), f"n={n}")) for name, n in pairs]
        shown = "Each cell: studies, and their fraction of the true class, which is also its shade."
    else:
        heads = [f"{i + 1}" for i in numbers]
        names = ["\n".join(wrapped(f"{i}  {name}", 112)) for i, name in enumerate(classes, 1)]
        shown = (
            "Each cell: studies; the shade is their fraction of the true class. Columns have the "
            "numbers of the rows."
        )
    with canvas(62 + (56 if few else 30) * len(classes)) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(-0.5, numbers[-1] + 0.5), ylim=(numbers[-1] + 0.5, -0.5))
        axes.set_xticks(numbers, heads)
        axes.set_yticks(numbers, names, ha="left")
        axes.tick_params(length=0, labelcolor=INK, top=False, labeltop=True, labelbottom=False)
        axes.tick_params("y", pad=84 if few else 116)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_title("called", loc="left", color=MUTED, fontsize=FONT)
        axes.set_ylabel("true class", color=MUTED)
        for (i, j), count in np.ndenumerate(counts):
            shade = (HEAT, HEAT_MOST * count / max(totals[i], 1))
            edge = {"edgecolor": INK if i == j else RULE, "clip_on": False}
            axes.add_patch(Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, facecolor=shade, **edge))
            style: dict[str, Any] = {"ha": "center", "va": "center"}
            style |= {"color": INK if count else MUTED, "weight": "bold" if i == j else "normal"}
            # Of many classes the fraction is the shade, and in the table.
            words = f"{count}\n{_percent(int(count), totals[i])}" if few else f"{count}"
            axes.text(j, i, words, **style)
        drawing = to_svg(figure)
    n, right = pluralise(sum(totals), "study"), int(np.trace(counts))
    alt = f"{title}: {right} of {n} called by their true class."
    if sum(totals) > right:
        wrong = np.where(np.eye(len(classes), dtype=bool), -1, counts)
        i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
        error = f"{counts[i, j]} of {totals[i]} {classes[i]} called {classes[j]}"
        alt += f" The most frequent error: {error}."
    rows = tuple(
        (name, f"{total}", *(f"{count} ({_percent(count, total)})" for count in row))
        for name, total, row in zip(classes, totals, counts.tolist(), strict=True)
    )
    header = ("true class", "n", *(f"called\n{name}" for name in classes))
    return Chart(drawing, alt, f"{n}. {shown}", Table(title, header, rows))


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.0f} %" if total else "undefined"
