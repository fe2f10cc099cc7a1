"""How often a network gives which probability: here, and on the studies of a reference."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fracjax.evaluation.drift import Histogram
from fracjax.report.charts.canvas import canvas, to_svg
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED
from fracjax.report.table import Table, pluralise

_PANEL, _REST = 118, 78  # units high: each panel, and the axis and key below them


def scores_chart(histograms: Sequence[Histogram], *, what: str, of: str, here: str) -> Chart:
    """A panel for each histogram of `what`: bars `here`, and a line for the reference, `of`."""
    with canvas(_PANEL * len(histograms) + _REST) as figure:
        panels = figure.subplots(len(histograms), 1, sharex=True, squeeze=False)[:, 0]
        for axes, made in zip(panels, histograms, strict=True):
            edges = np.linspace(0, 1, len(made.here) + 1)
            ours, theirs = (
                np.array(side) / max(sum(side), 1) for side in (made.here, made.reference)
            )
            axes.stairs(ours, edges, fill=True, color=BLUE, alpha=0.5, label=here)
            axes.stairs(theirs, edges, color=MUTED, linewidth=1.6, label=of)
            axes.set(xlim=(0, 1), ylim=(0, None), ylabel="fraction")
            n = f"n={sum(made.here):,}, {of} n={sum(made.reference):,}"
            axes.set_title(f"{made.name} ({n})", fontsize=9, loc="left")
            axes.yaxis.set_major_locator(MaxNLocator(3))
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panels[-1].set_xlabel(what)
        figure.align_ylabels()
        drawing = to_svg(figure)
    said = "; ".join(
        f"{made.name}: half of {pluralise(sum(made.here), 'study')} are in the bins up to "
        f"{_middle(made.here):.2f}, of {pluralise(sum(made.reference), 'study')} of {of} up to "
        f"{_middle(made.reference):.2f}"
        for made in histograms
    )
    rows = tuple(
        (f"{made.name}, {i / len(made.here):.2f} to {(i + 1) / len(made.here):.2f}", f"{a}", f"{b}")
        for made in histograms
        for i, (a, b) in enumerate(zip(made.reference, made.here, strict=True))
        if a or b
    )
    return Chart(
        drawing,
        f"Histograms of the {what}. {said}.",
        f"How many of the studies have such a {what}: bars here, the line on {of}.",
        Table(
            f"{what[0].upper()}{what[1:]}, here and on {of}",
            ("bin that has studies", of, "here"),
            rows,
        ),
    )


def _middle(counts: Sequence[int]) -> float:
    """The upper end of the bin with the median."""
    return (int(np.searchsorted(np.cumsum(counts), sum(counts) / 2)) + 1) / len(counts)
