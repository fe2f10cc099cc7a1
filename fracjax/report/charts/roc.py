"""The ROC curve with its band, and where on it the detector works."""

from fracjax.evaluation import BinaryReport, Estimate
from fracjax.evaluation.curves import Band
from fracjax.evaluation.estimate import complement
from fracjax.report.charts.canvas import canvas, drawn, key
from fracjax.report.charts.helpers import (
    absent,
    counted,
    draw_band,
    draw_point,
    estimate_at,
    some,
    thresholds_of,
    without_curve,
)
from fracjax.report.page import Chart
from fracjax.report.palette import BLUE, MUTED
from fracjax.report.tables import Table


def roc_chart(band: Band, report: BinaryReport) -> Chart:
    """Sensitivity over 1 − specificity, with the operating point and 0.5 as crosses.

    Args:
      band: `curves.roc_band` of the same studies as `report`.
      report: the AUC, and the figures at the two thresholds.
    """
    n_normal = report.n - report.n_positive
    of = f"{counted(report.n_positive, 'fracture')}, {n_normal:,} normal"
    with canvas(418) as figure:
        axes = figure.add_subplot()
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1),
            xlabel="1 − specificity (false alarms)",
            ylabel="sensitivity (fractures found)",
        )
        if not without_curve(axes, band, absent(report)):
            draw_band(axes, band, BLUE, f"AUC {report.auc.figure}, 95 % band")
            for at, name, colour, mark in thresholds_of(report):
                words = (
                    f"{name}\nsensitivity {at.sensitivity.figure}"
                    f"\nspecificity {at.specificity.figure}"
                )
                draw_point(axes, complement(at.specificity), at.sensitivity, colour, mark, words)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)), label="chance")
        key(figure, axes)
        svg = drawn(figure)
    return Chart(
        svg,
        _alt(report, of),
        f"ROC curve of {counted(report.n, 'study', 'studies')}: {of}. Whiskers of the marks and "
        f"the strip along the curve are 95 % intervals ({band.method}).",
        _table(band, report),
    )


def _alt(report: BinaryReport, of: str) -> str:
    if report.auc.value is None:
        return f"No ROC curve: it is undefined with {of}."
    points = "; ".join(
        f"{name}: sensitivity {at.sensitivity.figure}, specificity {at.specificity.figure}"
        for at, name, _, _ in thresholds_of(report)
    )
    return f"ROC curve of {of}: area under the curve {report.auc.figure}, chance is 0.5. {points}."


def _table(band: Band, report: BinaryReport) -> Table:
    rows: list[tuple[str | Estimate, ...]] = [
        (name, complement(at.specificity), at.sensitivity)
        for at, name, _, _ in thresholds_of(report)
    ]
    rows += [
        (f"curve at {band.x[i]:.3f}", f"{band.x[i]:.3f}", estimate_at(band, i, absent(report)))
        for i in some(band)
    ]
    return Table("ROC curve", ("point", "1 − specificity", "sensitivity"), tuple(rows))
