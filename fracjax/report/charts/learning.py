"""A learning curve: each figure against the number of training studies."""

from collections.abc import Sequence
from math import log

import numpy as np
from matplotlib.ticker import MaxNLocator, NullLocator

from fracjax.evaluation.learning_curve import LearningCurve
from fracjax.report.charts.canvas import canvas, to_svg, whiskers
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, GREEN
from fracjax.report.table import Table

_APART = 0.16  # of the axis' length, for the names of two ticks not to touch


def learning_chart(curve: LearningCurve) -> Chart:
    """A mark with its 95 % interval for each fraction, on a logarithmic axis of studies."""
    sizes = [point.n_train for point in curve.points]
    styles = ((BLUE, "o", "-"), (GREEN, "D", (0, (4, 1.5))))
    with canvas(300) as figure:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        for i, name in enumerate(curve.names):
            known = [p for p in curve.points if p.figures[i].value is not None]
            colour, mark, line = styles[i]
            x = [p.n_train for p in known]
            values = np.array([p.figures[i].value for p in known], float)
            ends = whiskers(*(p.figures[i] for p in known))
            style = {"marker": mark, "linestyle": line, "markersize": 5, "elinewidth": 1.2}
            axes.errorbar(x, values, yerr=ends, color=colour, capsize=3, label=name, **style)
            if curve.seeds > 1:
                dots = np.array([[p.n_train, v] for p in known for v in p.networks[i]], float).T
                axes.scatter(*dots, s=9, color=colour, alpha=0.5, linewidths=0)
        shown = _spread_out(sizes)
        axes.set_xticks(shown, [f"{n:,}" for n in shown])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(min(sizes) / 1.15, max(sizes) * 1.15)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set(xlabel="training studies (logarithmic)", ylabel=" and ".join(curve.names))
        drawing = to_svg(figure)
    said = (
        f"with {point.n_train:,} studies "
        + ", ".join(
            f"{name} {e.figure}" for name, e in zip(curve.names, point.figures, strict=True)
        )
        for point in curve.points
    )
    return Chart(
        drawing,
        f"Learning curve: {'; '.join(said)}.",
        f"{_marks(curve)}; whiskers are 95 % intervals over the validation studies. The lines only "
        "join the marks.",
        learning_table(curve),
    )


def learning_table(curve: LearningCurve) -> Table:
    """A row for each fraction; of several networks mean and standard deviation."""
    header = ["fraction", "training studies", *curve.names]
    rows = [[f"{p.fraction:g}", f"{p.n_train:,}", *p.figures] for p in curve.points]
    title = "Learning curve"
    if curve.seeds > 1:
        title += f": means of {curve.seeds} networks, and standard deviations (SD) between them"
        header += [f"{name}, SD" for name in curve.names]
        for row, point in zip(rows, curve.points, strict=True):
            row += ["–" if sd is None else f"{sd:.3f}" for sd in point.sd]
    return Table(title, tuple(header), tuple(map(tuple, rows)))


def _marks(curve: LearningCurve) -> str:
    if curve.seeds == 1:
        return "Each mark is one network"
    return f"Each mark is the mean of {curve.seeds} networks, which are the dots"


def _spread_out(sizes: Sequence[int]) -> list[int]:
    """The sizes that can be named below the axis: the last one, and back from there."""
    shown = [max(sizes)]
    length = log(max(sizes) / min(sizes)) or 1.0
    for n in sorted(set(sizes), reverse=True):
        if log(shown[-1] / n) > _APART * length:
            shown.append(n)
    return shown[::-1]
