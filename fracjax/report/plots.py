"""Figures as PNG files: ROC curve, confusion matrix, training curves.

Drawn with matplotlib's objects, without pyplot and its list of open figures; no screen is needed.
Colours are Okabe and Ito's, told apart by people who do not see red and green; what colour says, a
mark or a number says too.
"""

import math
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fracjax.evaluation import AtThreshold, BinaryReport, RocCurve

_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#6E6E6E"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "text.parse_math": False,  # a class may be called "a$b$"
}
_DPI = 160


def roc_png(curve: RocCurve, report: BinaryReport, path: Path, *, title: str = "ROC") -> None:
    """Draw the exact ROC curve with the operating point and 0.5 marked on it.

    Args:
      curve: of the same studies as `report`.
      report: gives the AUC with its interval, and the figures at the two thresholds.
      path: PNG file to write.
      title: of the figure.
    """
    with _figure(path, 5.6, 5.9) as figure:
        axes = figure.add_subplot()
        n = f"n={report.n}: {report.n_positive} fractures, {report.n - report.n_positive} normal"
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 4)), label="chance")
        axes.plot(
            curve.fpr,
            curve.tpr,
            color=_BLUE,
            linewidth=2,
            clip_on=False,
            label=f"AUC {report.auc.figure}\n{n}",
        )
        axes.fill_between(curve.fpr, curve.tpr, color=_BLUE, alpha=0.08, linewidth=0)
        marks = (
            # The first is larger, so that it shows as a ring where both are the same point.
            (report.at_operating_point, report.at_operating_point.rule, "o", 11, _ORANGE),
            (report.at_half, "", "D", 6.5, _GREEN),
        )
        for at, rule, marker, size, colour in marks:
            if at.sensitivity.value is None or at.specificity.value is None:
                continue  # a class is absent: there is no such point, and no curve either
            axes.plot(
                1 - at.specificity.value,
                at.sensitivity.value,
                linestyle="none",
                marker=marker,
                markersize=size,
                markeredgecolor="white",
                markeredgewidth=1.2,
                color=colour,
                clip_on=False,
                zorder=3,
                label=_point_label(at, rule),
            )
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
            xlabel="1 − specificity (false alarms among normal studies)",
            ylabel="sensitivity (fractures found)",
            title=title,
        )
        axes.grid(color="#E4E4E4", linewidth=0.7)
        axes.set_axisbelow(True)
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(
            [*handles[1:], handles[0]],
            [*labels[1:], labels[0]],
            loc="lower right",
            fontsize=9,
            labelspacing=0.7,
            frameon=True,
            framealpha=0.9,
            edgecolor="none",
        )


def confusion_png(
    matrix: tuple[tuple[int, ...], ...] | np.ndarray,
    classes: tuple[str, ...],
    path: Path,
    *,
    title: str = "Confusion",
) -> None:
    """Draw a confusion matrix: counts, and their share of the true class, which is the shade.

    Args:
      matrix: int[k, k], true class in rows, called class in columns.
      classes: the k names.
      path: PNG file to write.
      title: of the figure.
    """
    counts = np.asarray(matrix)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    k = len(classes)
    few = k <= 4
    cell, margin = (1.15, 1.9) if few else (0.72, 2.2)  # inches
    with _figure(path, max(4.4, k * cell + margin), max(3.6, k * cell + margin - 0.4)) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.ndindex(k, k):
            share = f"{100 * shares[i, j]:.0f} %" if totals[i, 0] else "–"
            empty = not counts[i, j]
            axes.text(
                j,
                i,
                "0" if empty and totals[i, 0] else f"{counts[i, j]}\n{share}",
                ha="center",
                va="center",
                fontsize=11 if few else 8.5,
                fontweight="bold" if i == j else "normal",
                color="#8A8A8A" if empty else "white" if shares[i, j] > 0.7 else "black",
            )
        names = [textwrap.fill(name, 18) for name in classes]
        rows = [f"{name}\nn={n}" for name, n in zip(names, totals[:, 0], strict=True)]
        axes.set_yticks(range(k), rows)
        if few:
            axes.set_xticks(range(k), names)
        else:
            axes.set_xticks(range(k), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.tick_params(length=0, labelsize=9 if few else 8.5)
        axes.set_xticks(np.arange(0.5, k - 1), minor=True)
        axes.set_yticks(np.arange(0.5, k - 1), minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        axes.set(
            xlabel="called",
            ylabel="true class",
            title=f"{title}, n={counts.sum()}\ncount and share of the true class",
        )


def curves_png(history: list[dict], path: Path, *, title: str = "Training") -> None:
    """Draw every metric of a training run by epoch, training beside validation.

    Args:
      history: one dict per epoch, with `epoch` and figures named `train_loss`, `validation_loss`,
        `validation_auc` and so on; a figure may be missing or None in some epochs.
      path: PNG file to write.
      title: of the figure.

    Raises:
      ValueError: there is no epoch, or no figure named like that.
    """
    names = [name for row in history for name in row]
    metrics = list(
        dict.fromkeys(
            metric
            for name in names
            for part, _, metric in [name.partition("_")]
            if part in ("train", "validation") and metric
        )
    )
    if not metrics:
        raise ValueError(
            f"a history of {len(history)} epochs has no figure named train_... or validation_...; "
            f"found {', '.join(dict.fromkeys(names)) or 'nothing'}"
        )
    metrics.sort(key=lambda metric: metric != "loss")
    epochs = [row["epoch"] for row in history]
    best = _best_epoch(history)
    with _figure(path, max(5.6, 4.6 * len(metrics)), 3.6) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        handles = {}
        for axes, metric in zip(panels, metrics, strict=True):
            for part, colour, style in (("train", _GREY, "o"), ("validation", _BLUE, "s")):
                if f"{part}_{metric}" not in names:
                    continue
                values = [row.get(f"{part}_{metric}") for row in history]
                axes.plot(
                    epochs,
                    [math.nan if v is None else v for v in values],
                    color=colour,
                    linewidth=2,
                    marker=style,
                    markersize=4,
                    label="training" if part == "train" else part,
                )
            if best is not None:
                axes.axvline(
                    best,
                    color=_ORANGE,
                    linewidth=1.2,
                    linestyle=(0, (3, 3)),
                    label=f"lowest validation loss (epoch {best})",
                )
            axes.set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
            axes.set(title="AUC" if metric == "auc" else metric.replace("_", " "))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.grid(color="#E4E4E4", linewidth=0.7)
            axes.set_axisbelow(True)
            handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=3)


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches, written to `path` when the block ends."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(path, format="png", metadata={"Software": None})


def _point_label(at: AtThreshold, rule: str) -> str:
    rule = f" ({rule})" if rule else ""
    return (
        f"at {at.threshold:.4g}{rule}\n"
        f"sensitivity {at.sensitivity.figure}\nspecificity {at.specificity.figure}"
    )


def _best_epoch(history: list[dict]) -> int | None:
    losses = [
        (row["validation_loss"], row["epoch"])
        for row in history
        if row.get("validation_loss") is not None
    ]
    return min(losses)[1] if losses else None
