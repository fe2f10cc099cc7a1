"""Curves with their bands: ROC, precision-recall, FROC, net benefit, the cascade by threshold."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fracjax.evaluation import AtThreshold, BinaryReport, Estimate, MarksReport
from fracjax.evaluation.cascade import CascadeSweep
from fracjax.evaluation.curves import Band, DecisionCurve
from fracjax.evaluation.intervals import complement, undefined
from fracjax.report.charts.canvas import canvas, to_svg, whiskers
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, GREEN, MUTED, ORANGE, PAPER
from fracjax.report.table import Table, pluralise, studies_of, threshold_text

_ROWS = 21  # of a table behind a curve
_DASHES, _DOTS = (0, (5, 2)), (0, (1, 1.5))
_SWEPT = ("fraction that passes", "end-to-end accuracy", "macro precision of what passes")


def roc_chart(band: Band, report: BinaryReport) -> Chart:
    """`curves.roc_band` of the same studies, with the operating point and 0.5 as marks."""
    negative, positive = report.classes
    of = studies_of(report.n_positive, positive)
    of += f", {studies_of(report.n - report.n_positive, negative)}"
    return _over_all_thresholds(
        band,
        report,
        title="ROC curve",
        area=("AUC", "area under the curve", report.auc),
        labels=("1 − specificity (false alarms)", f"sensitivity ({positive} found)"),
        point=lambda at: (complement(at.specificity), at.sensitivity),
        words=lambda at: {"sensitivity": at.sensitivity, "specificity": at.specificity},
        of=of,
        chance=(0.0, 1.0, "chance", "chance is 0.5"),
        caption=f"ROC curve of {pluralise(report.n, 'study')}: {of}.",
    )


def pr_chart(band: Band, report: BinaryReport) -> Chart:
    """`curves.pr_band` of the same studies, with the operating point, 0.5 and the prevalence."""
    of = f"{studies_of(report.n_positive, report.classes[1])} among {report.n:,}"
    at = report.n_positive / report.n
    by_chance = f"chance is the prevalence, {report.prevalence.figure}"
    return _over_all_thresholds(
        band,
        report,
        title="Precision-recall curve",
        area=("AP", "average precision", report.average_precision),
        labels=(f"recall ({report.classes[1]} found)", "precision (calls that are right)"),
        point=lambda at: (at.sensitivity, at.precision),
        words=lambda at: {"recall": at.sensitivity, "precision": at.precision},
        of=of,
        chance=(at, at, f"chance: prevalence {at:.3f}", by_chance),
        caption=f"Precision-recall curve of {of}. AP is average precision, the area under it.",
    )


def _over_all_thresholds(
    band: Band,
    report: BinaryReport,
    *,
    title: str,
    area: tuple[str, str, Estimate],
    labels: tuple[str, str],
    point: Callable[[AtThreshold], tuple[Estimate, Estimate]],
    words: Callable[[AtThreshold], dict[str, Estimate]],
    of: str,
    chance: tuple[float, float, str, str],
    caption: str,
) -> Chart:
    """What the two have in common; `chance` is a line's two ends, its label, and a sentence."""
    negative, positive = report.classes
    missing = {0: f"no {positive} study", report.n: f"no {negative} study"}.get(
        report.n_positive, "no curve"
    )
    at = report.at_operating_point
    marks = [(f"operating point {threshold_text(at.threshold)} ({at.rule})", at)]
    if at.threshold != 0.5:
        marks.append(("at 0.5", report.at_half))
    said = {name: [f"{word} {e.figure}" for word, e in words(at).items()] for name, at in marks}
    short, long, estimate = area
    with canvas(418) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=labels[0], ylabel=labels[1])
        if not _say_if_undefined(axes, band, missing):
            _draw_band(axes, band, BLUE, f"{short} {estimate.figure}, 95 % band")
            for (name, at), style in zip(marks, ((ORANGE, "o"), (GREEN, "D")), strict=False):
                _draw_mark(axes, *point(at), *style, "\n".join((name, *said[name])))
        *ends, label, by_chance = chance
        axes.plot([0, 1], ends, color=MUTED, linewidth=1, linestyle=(0, (4, 4)), label=label)
        drawing = to_svg(figure)
    points = "; ".join(f"{name}: {', '.join(figures)}" for name, figures in said.items())
    alt = f"{title} of {of}: {long} {estimate.figure}, {by_chance}. {points}."
    if estimate.value is None:
        alt = f"No {title.replace('Precision', 'precision')}: it is undefined with {of}."
    rows: list[tuple[str | Estimate, ...]] = [(name, *point(at)) for name, at in marks]
    rows += [(f"curve at {x}", x, *ys) for _, x, ys in _points(band, reason=missing)]
    return Chart(
        drawing,
        alt,
        f"{caption} Whiskers of the marks and the strip along the curve are 95 % intervals "
        f"({band.method}).",
        Table(title, ("point", *(label.partition(" (")[0] for label in labels)), tuple(rows)),
    )


def froc_chart(band: Band, report: MarksReport) -> Chart:
    """`froc.froc_band` of the same pictures, with the threshold of the marks as a mark."""
    of = f"{pluralise(report.n_fractures, 'fracture')} on {pluralise(report.n, 'picture')}"
    at, missing = report.at, "no fracture"
    name = f"marks from {threshold_text(at.threshold)} ({at.rule})"
    said = {"fractures marked": at.sensitivity, "false marks per picture": at.false_marks}
    words = [f"{word} {estimate.figure}" for word, estimate in said.items()]
    with canvas(380) as figure:
        axes = figure.add_subplot()
        axes.set(xscale="log", xlim=(band.x[0], band.x[-1]), ylim=(0, 1))
        axes.set(xlabel="false marks per picture", ylabel="fraction of fractures marked")
        ticks = [x for x in band.x if math.log2(x).is_integer()]
        axes.set_xticks(ticks, [str(Fraction(x)) for x in ticks])
        axes.minorticks_off()
        if not _say_if_undefined(axes, band, missing):
            _draw_band(axes, band, BLUE, f"CPM {report.cpm.figure}, 95 % band")
            if (at.false_marks.value or 0) >= band.x[0]:  # an axis of doublings has no 0
                label = "\n".join((name, *words))
                _draw_mark(axes, at.false_marks, at.sensitivity, ORANGE, "o", label)
        drawing = to_svg(figure)
    alt = (
        f"FROC curve of {of}: mean sensitivity at 1/8 to 8 false marks per picture (CPM) "
        f"{report.cpm.figure}. {name}: {', '.join(words)}."
    )
    if report.cpm.value is None:
        alt = f"No FROC curve: it is undefined with {of}."
    rows: list[tuple[str | Estimate, ...]] = [(name, at.false_marks, at.sensitivity)]
    rows += [(f"curve at {x}", x, *ys) for _, x, ys in _points(band, reason=missing)]
    return Chart(
        drawing,
        alt,
        f"Free-response ROC curve of {of}: what is found for how many false marks. The whiskers "
        f"and the strip along the curve are 95 % intervals ({band.method}).",
        Table("FROC curve", ("point", *reversed(said)), tuple(rows)),
    )


def decision_chart(curve: DecisionCurve, threshold: float) -> Chart:
    """Net benefit beside calling all and calling none; the `threshold` is marked if in (0, 1)."""
    model, everyone = curve.model, curve.treat_all
    with canvas(340) as figure:
        axes = figure.add_subplot()
        axes.set(xlabel="threshold probability", ylabel="net benefit", xlim=(0, 1))
        # From a little below 0: calling everyone falls without end.
        values = np.concatenate([model.y, model.high, everyone])
        top = max(values.max(initial=-1, where=np.isfinite(values)), 0.02) * 1.06
        axes.set_ylim(-0.3 * top, top)
        if not _say_if_undefined(axes, model, "no net benefit"):
            _draw_band(axes, model, BLUE, "the model, with 95 % band")
            style = {"color": GREEN, "linewidth": 1.4, "linestyle": _DASHES}
            axes.plot(model.x, everyone, label="call every study", **style)
            axes.axhline(0, color=MUTED, linewidth=1.4, linestyle=_DOTS, label="call no study")
            if 0 < threshold < 1:
                _draw_threshold(axes, threshold)
        drawing = to_svg(figure)
    all_called = [f"{y:.3f}".replace("-", "−") if np.isfinite(y) else "undefined" for y in everyone]
    rows = tuple((x, *ys, all_called[i], "0") for i, x, ys in _points(model))
    header = ("threshold probability", "the model", "call every study", "call no study")
    return Chart(
        drawing,
        _decision_alt(curve, threshold),
        f"Decision curve of {pluralise(model.n, 'study')}. Net benefit: true finds per "
        "study, less the false alarms weighed by the odds of the threshold. The strip is the "
        f"95 % interval ({model.method}).",
        Table("Decision curve", header, rows),
    )


def _decision_alt(curve: DecisionCurve, threshold: float) -> str:
    model, everyone = curve.model, curve.treat_all
    known = np.isfinite(model.y)
    if not known.any():
        return "No decision curve: net benefit is undefined."
    i = _nearest(model, threshold) if 0 < threshold < 1 else int(known.argmax())
    where, x = "nowhere better than both", model.x[known & (model.y > np.maximum(everyone, 0))]
    if x.size:
        ends = f"from {x.min():.2g} to {x.max():.2g}"
        where = f"better than both at {x.size} of {known.sum()} thresholds, {ends}"
    return (
        f"Decision curve: at a threshold probability of {model.x[i]:.2g} the model's net benefit "
        f"is {_estimate_at(model, i).figure}, that of calling every study {everyone[i]:.3f}, of "
        f"calling none 0. The model is {where}."
    )


def sweep_chart(sweep: CascadeSweep, threshold: float) -> Chart:
    """The cascade over the detector's threshold, its operating one marked."""
    passed, accuracy = sweep.passed, sweep.found
    x, bands = passed.x, dict(zip(_SWEPT, (passed, accuracy, sweep.macro_precision), strict=True))
    styles = ((MUTED, _DASHES), (BLUE, "-"), (GREEN, (0, (1, 1.2))))
    with canvas(340) as figure:
        axes = figure.add_subplot()
        for (name, band), (colour, style) in zip(bands.items(), styles, strict=True):
            _draw_band(axes, band, colour, name, style)
        axes.set(xlim=(x[0], x[-1]), ylim=(0, 1), xlabel="threshold of the detector")
        axes.set_ylabel("fraction")
        if x[0] <= threshold <= x[-1]:
            _draw_threshold(axes, threshold)
        drawing = to_svg(figure)
    point = f"The operating threshold is {threshold_text(threshold)}."
    if math.isfinite(threshold):
        at = _nearest(passed, threshold)
        figures = (f"{name} {_estimate_at(band, at).figure}" for name, band in bands.items())
        point = f"At {threshold_text(x[at])}: {'; '.join(figures)}."
    rows = tuple(
        (x, *ys) for _, x, ys in _points(*bands.values(), reason="a class is never called")
    )
    return Chart(
        drawing,
        f"The cascade over the detector's threshold. {point} "
        "From the lowest threshold to the highest, end-to-end accuracy goes from "
        f"{_estimate_at(accuracy, 0).figure} to {_estimate_at(accuracy, -1).figure}.",
        f"{pluralise(passed.n, 'study')} through the cascade, at every threshold of the "
        f"detector. Strips are 95 % intervals ({passed.method}).",
        Table("Cascade over thresholds", ("threshold", *_SWEPT), rows),
    )


def _draw_band(axes: Axes, band: Band, colour: str, label: str, style: Any = "-") -> None:
    axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(band.x, band.y, color=colour, linewidth=1.8, linestyle=style, label=label)


def _draw_mark(axes: Axes, x: Estimate, y: Estimate, colour: str, marker: str, label: str) -> None:
    """A mark with a whisker along each axis; nothing where there is no such point."""
    if x.value is None or y.value is None:
        return
    ends: dict[str, Any] = {"xerr": whiskers(x), "yerr": whiskers(y), "elinewidth": 1.4}
    mark = {"fmt": marker, "markersize": 8, "markeredgecolor": PAPER, "color": colour}
    axes.errorbar(x.value, y.value, **ends, **mark, clip_on=False, zorder=4, label=label)


def _draw_threshold(axes: Axes, threshold: float) -> None:
    label = f"operating threshold {threshold_text(threshold)}"
    axes.axvline(threshold, color=ORANGE, linewidth=1.2, linestyle=(0, (6, 2, 1, 2)), label=label)


def _say_if_undefined(axes: Axes, band: Band, reason: str) -> bool:
    """Whether the curve is undefined throughout; the empty chart then says so."""
    if empty := not np.isfinite(band.y).any():
        middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, f"undefined: {reason}", fontstyle="italic", **middle)
    return empty


def _nearest(band: Band, x: float) -> int:
    return int(np.abs(band.x - x).argmin())


def _estimate_at(band: Band, index: int, reason: str = "") -> Estimate:
    """One point of a band; `reason` says why it would be undefined."""
    value, low, high = (float(v[index]) for v in (band.y, band.low, band.high))
    if not math.isfinite(value):
        return undefined(band.n, band.method, reason or "no such point")
    if not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(value, None, None, band.n, band.method, "too few to resample")
    return Estimate(value, low, high, band.n, band.method)


def _points(*bands: Band, reason: str = "") -> Iterator[tuple[int, str, tuple[Estimate, ...]]]:
    """Of a table its rows, the ends and what lies evenly between: index, x, and each curve."""
    x = bands[0].x
    for i in np.unique(np.linspace(0, x.size - 1, _ROWS).round().astype(int)).tolist():
        yield i, f"{x[i]:.3f}", tuple(_estimate_at(band, i, reason) for band in bands)
