"""Training by epoch: loss, accuracy and AUC, training beside validation (Figures 5 to 7)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fracjax.report.charts.canvas import canvas, to_svg
from fracjax.report.page import Chart
from fracjax.report.recipe import KEPT
from fracjax.report.svg import BLUE, MUTED, ORANGE
from fracjax.report.table import Table, pluralise


@dataclass(frozen=True)
class History:
    """How one network was trained."""

    # of each what was measured: `epoch`, `phase`, `train_loss`, `validation_loss`, `validation_auc`
    # and so on; any may be missing or None.
    epochs: Sequence[Mapping[str, Any]]
    best_epoch: int  # whose weights are used; 0 for none
    keep: str = "lowest_loss"  # by which rule, `train.keep`

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The row of the best epoch."""
        return next((row for row in self.epochs if row["epoch"] == self.best_epoch), None)


_METRICS = {"loss": "loss (nats)", "accuracy": "accuracy", "auc": "AUC"}
_FEW = 30  # epochs; more and the marks would touch
_PANEL, _REST = 128, 96  # units high: each panel, and the axis and key below them


def training_chart(histories: Mapping[str, History], title: str = "Training") -> Chart:
    """A panel per metric, a line per network (by its name) and part, and each best epoch."""
    epochs = [row for history in histories.values() for row in history.epochs]
    names = {name for row in epochs for name in row}
    metrics = [m for m in _METRICS if names & {f"train_{m}", f"validation_{m}"}]
    many = len(histories) > 1
    with canvas(_PANEL * len(metrics) + _REST) as figure:
        panels = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
        for axes, metric in zip(panels, metrics, strict=True):
            for history in histories.values():
                _draw(axes, history, metric, alone=not many)
            axes.set_ylabel(_METRICS[metric])
            axes.yaxis.set_major_locator(MaxNLocator(4))
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()
        drawing = to_svg(figure)
    columns = {
        f"{part}_{metric}": f"{_METRICS[metric]}\n{name}"
        for metric in metrics
        for part, name in (("train", "training"), ("validation", "validation"))
        if any(_known(row.get(f"{part}_{metric}")) for row in epochs)
    }
    rows = tuple(
        (
            f"{name}, epoch {row['epoch']}" if many else str(row["epoch"]),
            *(_number(row.get(column)) for column in columns),
        )
        for name, history in histories.items()
        for row in history.epochs
    )
    said = (_said(history, f"{name}: " if many else "") for name, history in histories.items())
    caption = f"Every epoch of {len(histories)} networks" if many else "Every epoch"
    if any(history.best for history in histories.values()):
        caption += "; the circle marks the one whose weights are used"
    header = ("network" if many else "epoch", *columns.values())
    alt = f"Training curves. {' '.join(said)}"
    return Chart(drawing, alt, f"{caption}.", Table(title, header, rows))


def _draw(axes: Axes, history: History, metric: str, *, alone: bool) -> None:
    """Both lines of one network, its best epoch, and where another part of it begins to learn."""
    rows, best = history.epochs, history.best
    style: dict[str, Any] = {"linewidth": 1.6} if alone else {"linewidth": 1.1, "alpha": 0.65}
    marked = alone and len(rows) <= _FEW
    for part, label, colour, mark, dashes in (
        ("train", "training", MUTED, "o", (0, (4, 1.5))),
        ("validation", "validation", BLUE, "s", "-"),
    ):
        values = [row.get(f"{part}_{metric}") for row in rows]
        if any(map(_known, values)):
            style |= {"color": colour, "marker": mark if marked else "", "linestyle": dashes}
            numbers = [math.nan if v is None else v for v in values]
            axes.plot([row["epoch"] for row in rows], numbers, markersize=3.5, label=label, **style)
    if best is not None and _known(value := best.get(f"validation_{metric}")):
        ring = {"markeredgecolor": ORANGE, "markeredgewidth": 1.8, "markerfacecolor": "none"}
        which = f"(epoch {best['epoch']})" if alone else "of each network"
        label = f"{KEPT[history.keep]} {which}"
        axes.plot(best["epoch"], value, "o", markersize=10 if alone else 7, label=label, **ring)
    for before, after in pairwise(rows):
        if before.get("phase") != after.get("phase"):
            x = (before["epoch"] + after["epoch"]) / 2
            style = {"linestyle": (0, (1, 1.5)), "label": "next phase begins"}
            axes.axvline(x, color=MUTED, linewidth=1, **style)


def _said(history: History, who: str) -> str:
    """What became of one network, in a sentence."""
    best, n = history.best, pluralise(len(history.epochs), "epoch")
    if best is None:
        return f"{who}{n}, without a validation loss."
    parts = [
        f"validation {name.partition(' ')[0]} {_number(best[f'validation_{metric}'])}"
        for metric, name in _METRICS.items()
        if _known(best.get(f"validation_{metric}"))
    ]
    last = history.epochs[-1]
    if last is not best and _known(last.get("validation_loss")):
        parts.append(f"validation loss {_number(last['validation_loss'])} after the last")
    kept = f"{best['epoch']} of {n} is kept ({KEPT[history.keep]})"
    return f"{who}{kept}: {', '.join(parts)}."


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> str:
    return f"{value:.4f}" if _known(value) else "undefined"
