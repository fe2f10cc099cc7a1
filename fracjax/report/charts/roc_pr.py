"""ROC and precision-recall curve with their bands, and where on them the detector works."""

from collections.abc import Callable
from dataclasses import dataclass

from fracjax.evaluation import AtThreshold, BinaryReport, Estimate
from fracjax.evaluation.curves import Band
from fracjax.evaluation.estimate import complement
from fracjax.report.charts.bands import (
    draw_band,
    draw_point,
    draw_undefined,
    estimate_at,
    missing_class,
    pluralise,
    table_rows,
    thresholds_of,
)
from fracjax.report.charts.canvas import canvas, legend, to_svg
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED
from fracjax.report.table import Table


@dataclass(frozen=True)
class _Kind:
    """What the two curves differ by.

    Attributes:
      title: name of the curve.
      area: what the area under it is called in the legend, and in words.
      axes: labels of x and y.
      columns: names of x and y in the table.
      words: of a mark, the names and values of its two figures.
      point: where a threshold lies, x and y.
    """

    title: str
    area: tuple[str, str]
    axes: tuple[str, str]
    columns: tuple[str, str]
    words: Callable[[AtThreshold], tuple[str, str]]
    point: Callable[[AtThreshold], tuple[Estimate, Estimate]]


_ROC = _Kind(
    "ROC curve",
    ("AUC", "area under the curve"),
    ("1 − specificity (false alarms)", "sensitivity (fractures found)"),
    ("1 − specificity", "sensitivity"),
    lambda at: (f"sensitivity {at.sensitivity.figure}", f"specificity {at.specificity.figure}"),
    lambda at: (complement(at.specificity), at.sensitivity),
)
_PR = _Kind(
    "Precision-recall curve",
    ("AP", "average precision"),
    ("recall (fractures found)", "precision (calls that are right)"),
    ("recall", "precision"),
    lambda at: (f"recall {at.sensitivity.figure}", f"precision {at.precision.figure}"),
    lambda at: (at.sensitivity, at.precision),
)
_DASHES = (0, (4, 4))


def roc_chart(band: Band, report: BinaryReport) -> Chart:
    """Sensitivity over 1 − specificity, with the operating point and 0.5 as crosses.

    Args:
      band: `curves.roc_band` of the same studies as `report`.
      report: the AUC, and the figures at the two thresholds.
    """
    of = f"{pluralise(report.n_positive, 'fracture')}, {report.n - report.n_positive:,} normal"
    caption = f"ROC curve of {pluralise(report.n, 'study', 'studies')}: {of}."
    return _chart(_ROC, band, report, report.auc, of, "chance is 0.5", caption)


def pr_chart(band: Band, report: BinaryReport) -> Chart:
    """Precision over recall, with the operating point, 0.5 and the prevalence.

    Args:
      band: `curves.pr_band` of the same studies as `report`.
      report: average precision, prevalence, and the figures at the two thresholds.
    """
    n = pluralise(report.n, "study", "studies")
    of = f"{pluralise(report.n_positive, 'fracture')} among {n}"
    chance = f"chance is the prevalence, {report.prevalence.figure}"
    caption = f"Precision-recall curve of {of}. AP is average precision, the area under it."
    return _chart(_PR, band, report, report.average_precision, of, chance, caption)


def _chart(
    kind: _Kind,
    band: Band,
    report: BinaryReport,
    area: Estimate,
    of: str,
    chance: str,
    caption: str,
) -> Chart:
    missing, marks = missing_class(report), thresholds_of(report)
    with canvas(418) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=kind.axes[0], ylabel=kind.axes[1])
        if not draw_undefined(axes, band, missing):
            draw_band(axes, band, BLUE, f"{kind.area[0]} {area.figure}, 95 % band")
            for at, name, colour, mark in marks:
                draw_point(axes, *kind.point(at), colour, mark, "\n".join((name, *kind.words(at))))
        prevalence = report.prevalence.value
        if kind is _ROC:
            axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=_DASHES, label="chance")
        elif prevalence is not None:
            label = f"chance: prevalence {prevalence:.3f}"
            axes.axhline(prevalence, color=MUTED, linewidth=1, linestyle=_DASHES, label=label)
        legend(figure, axes)
        svg = to_svg(figure)
    points = "; ".join(f"{name}: {', '.join(kind.words(at))}" for at, name, _, _ in marks)
    alt = f"{kind.title} of {of}: {kind.area[1]} {area.figure}, {chance}. {points}."
    if area.value is None:
        title = kind.title.replace("Precision", "precision")
        alt = f"No {title}: it is undefined with {of}."
    rows: list[tuple[str | Estimate, ...]] = [(name, *kind.point(at)) for at, name, _, _ in marks]
    rows += [
        (f"curve at {band.x[i]:.3f}", f"{band.x[i]:.3f}", estimate_at(band, i, missing))
        for i in table_rows(band)
    ]
    return Chart(
        svg,
        alt,
        f"{caption} Whiskers of the marks and the strip along the curve are 95 % intervals "
        f"({band.method}).",
        Table(kind.title, ("point", *kind.columns), tuple(rows)),
    )
