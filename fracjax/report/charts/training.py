"""Training by epoch: loss, accuracy and AUC, training beside validation (Figures 5 to 7)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fracjax.report.charts.bands import pluralise
from fracjax.report.charts.canvas import canvas, legend, to_svg
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED, ORANGE
from fracjax.report.table import Table


@dataclass(frozen=True)
class History:
    """How one network was trained.

    Attributes:
      epochs: of each what was measured: `epoch`, `phase`, `train_loss`, `validation_loss`,
        `validation_auc` and so on; any may be missing or None.
      best_epoch: the one whose weights are used, that of the lowest validation loss; 0 for none.
    """

    epochs: Sequence[Mapping[str, Any]]
    best_epoch: int

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The row of the best epoch."""
        return next((row for row in self.epochs if row["epoch"] == self.best_epoch), None)


_METRICS = {"loss": "loss (nats)", "accuracy": "accuracy", "auc": "AUC"}
_FEW = 30  # epochs; more and the marks would touch
_PANEL, _REST = 128, 96  # units high: each panel, and the axis and key below them


def training_chart(histories: Mapping[str, History], title: str = "Training") -> Chart:
    """A panel per metric, a line per network and part, and the best epoch of each network.

    Args:
      histories: by the name of the network.
      title: in a few words.

    Raises:
      ValueError: there is no epoch, or none with such a figure.
    """
    names = {name for history in histories.values() for row in history.epochs for name in row}
    metrics = [m for m in _METRICS if f"train_{m}" in names or f"validation_{m}" in names]
    if not metrics:
        there = ", ".join(sorted(names)) or "nothing"
        raise ValueError(
            "a history needs epochs with loss, accuracy or auc, named train_... or validation_...; "
            f"found {there}"
        )
    with canvas(_PANEL * len(metrics) + _REST) as figure:
        panels = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
        for axes, metric in zip(panels, metrics, strict=True):
            for history in histories.values():
                _lines(axes, history, metric, alone=len(histories) == 1)
                _phases(axes, history)
            axes.set(ylabel=_METRICS[metric])
            axes.yaxis.set_major_locator(MaxNLocator(4))
        panels[-1].set(xlabel="epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()
        legend(figure, *panels)
        svg = to_svg(figure)
    return Chart(svg, _alt(histories), _caption(histories), _table(histories, metrics, title))


def _lines(axes: Axes, history: History, metric: str, *, alone: bool) -> None:
    epochs = [row["epoch"] for row in history.epochs]
    best = history.best
    parts = (
        ("train", "training", MUTED, "o", (0, (4, 1.5))),
        ("validation",) * 2 + (BLUE, "s", "-"),
    )
    for part, label, colour, mark, style in parts:
        values = [row.get(f"{part}_{metric}") for row in history.epochs]
        if not any(map(_known, values)):
            continue
        axes.plot(
            epochs,
            [math.nan if v is None else v for v in values],
            color=colour,
            alpha=1 if alone else 0.65,
            linewidth=1.6 if alone else 1.1,
            linestyle=style,
            marker=mark if len(epochs) <= _FEW and alone else "",
            markersize=3.5,
            label=label,
        )
    if best is None:
        return
    value = best.get(f"validation_{metric}")
    if value is not None and math.isfinite(value):
        axes.plot(
            best["epoch"],
            value,
            linestyle="none",
            marker="o",
            markersize=10 if alone else 7,
            markerfacecolor="none",
            markeredgecolor=ORANGE,
            markeredgewidth=1.8,
            label=f"lowest validation loss (epoch {best['epoch']})"
            if alone
            else "lowest validation loss of each network",
        )


def _phases(axes: Axes, history: History) -> None:
    """A line where another part of the network begins to learn."""
    for before, after in pairwise(history.epochs):
        if before.get("phase") != after.get("phase"):
            x = (before["epoch"] + after["epoch"]) / 2
            style = (0, (1, 1.5))
            axes.axvline(x, color=MUTED, linewidth=1, linestyle=style, label="next phase begins")


def _alt(histories: Mapping[str, History]) -> str:
    return "Training curves. " + " ".join(
        _sentence(name if len(histories) > 1 else "", history)
        for name, history in histories.items()
    )


def _sentence(name: str, history: History) -> str:
    who = f"{name}: " if name else ""
    best, n = history.best, pluralise(len(history.epochs), "epoch")
    if best is None:
        return f"{who}{n}, without a validation loss."
    parts = [
        f"validation {_METRICS[m].partition(' ')[0]} {_number(best.get(f'validation_{m}'))}"
        for m in _METRICS
        if _known(best.get(f"validation_{m}"))
    ]
    words = f"{who}the best of {n} was {best['epoch']}: "
    last = history.epochs[-1]
    if last is not best and _known(last.get("validation_loss")):
        parts.append(f"validation loss {_number(last['validation_loss'])} after the last")
    return words + ", ".join(parts) + "."


def _caption(histories: Mapping[str, History]) -> str:
    many = f" of {len(histories)} networks" if len(histories) > 1 else ""
    circle = "; the circle marks the one whose weights are used"
    return f"Every epoch{many}{circle if any(h.best for h in histories.values()) else ''}."


def _table(histories: Mapping[str, History], metrics: list[str], title: str) -> Table:
    rows_of_all = [row for history in histories.values() for row in history.epochs]
    columns = {
        f"{part}_{metric}": f"{_METRICS[metric]}\n{name}"
        for metric in metrics
        for part, name in (("train", "training"), ("validation", "validation"))
        if any(_known(row.get(f"{part}_{metric}")) for row in rows_of_all)
    }
    many = len(histories) > 1
    rows = tuple(
        (
            f"{name}, epoch {row['epoch']}" if many else str(row["epoch"]),
            *(_number(row.get(column)) for column in columns),
        )
        for name, history in histories.items()
        for row in history.epochs
    )
    return Table(title, ("network" if many else "epoch", *columns.values()), rows)


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> str:
    return f"{value:.4f}" if value is not None and math.isfinite(value) else "undefined"
