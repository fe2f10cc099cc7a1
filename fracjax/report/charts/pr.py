"""The precision-recall curve with its band: what a call is worth at this prevalence."""

from fracjax.evaluation import BinaryReport, Estimate
from fracjax.evaluation.curves import Band
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


def pr_chart(band: Band, report: BinaryReport) -> Chart:
    """Precision over recall, with the operating point, 0.5 and the prevalence.

    Args:
      band: `curves.pr_band` of the same studies as `report`.
      report: average precision, prevalence, and the figures at the two thresholds.
    """
    of = f"{counted(report.n_positive, 'fracture')} among {counted(report.n, 'study', 'studies')}"
    with canvas(418) as figure:
        axes = figure.add_subplot()
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1),
            xlabel="recall (fractures found)",
            ylabel="precision (calls that are right)",
        )
        if not without_curve(axes, band, absent(report)):
            draw_band(axes, band, BLUE, f"AP {report.average_precision.figure}, 95 % band")
            for at, name, colour, mark in thresholds_of(report):
                words = f"{name}\nrecall {at.sensitivity.figure}\nprecision {at.precision.figure}"
                draw_point(axes, at.sensitivity, at.precision, colour, mark, words)
        if (prevalence := report.prevalence.value) is not None:
            axes.axhline(
                prevalence,
                color=MUTED,
                linewidth=1,
                linestyle=(0, (4, 4)),
                label=f"chance: prevalence {prevalence:.3f}",
            )
        key(figure, axes)
        svg = drawn(figure)
    return Chart(
        svg,
        _alt(report, of),
        f"Precision-recall curve of {of}. AP is average precision, the area under it. Whiskers of "
        f"the marks and the strip along the curve are 95 % intervals ({band.method}).",
        _table(band, report),
    )


def _alt(report: BinaryReport, of: str) -> str:
    if report.average_precision.value is None:
        return f"No precision-recall curve: it is undefined with {of}."
    points = "; ".join(
        f"{name}: recall {at.sensitivity.figure}, precision {at.precision.figure}"
        for at, name, _, _ in thresholds_of(report)
    )
    return (
        f"Precision-recall curve of {of}: average precision {report.average_precision.figure}, "
        f"chance is the prevalence, {report.prevalence.figure}. {points}."
    )


def _table(band: Band, report: BinaryReport) -> Table:
    rows: list[tuple[str | Estimate, ...]] = [
        (name, at.sensitivity, at.precision) for at, name, _, _ in thresholds_of(report)
    ]
    rows += [
        (f"curve at {band.x[i]:.3f}", f"{band.x[i]:.3f}", estimate_at(band, i, absent(report)))
        for i in some(band)
    ]
    return Table("Precision-recall curve", ("point", "recall", "precision"), tuple(rows))
