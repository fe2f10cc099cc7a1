"""The cascade over all thresholds of its detector: what a stricter filter gains and costs."""

import math

from fracjax.evaluation.curves import Band
from fracjax.report.charts.canvas import canvas, drawn, key
from fracjax.report.charts.helpers import (
    counted,
    draw_band,
    draw_threshold,
    estimate_at,
    nearest,
    some,
    threshold_text,
)
from fracjax.report.page import Chart
from fracjax.report.palette import BLUE, GREEN, MUTED
from fracjax.report.tables import Table

_NAMES = ("share that passes", "end-to-end accuracy", "macro precision of what passes")


def sweep_chart(passed: Band, accuracy: Band, precision: Band, threshold: float) -> Chart:
    """Three shares over the detector's threshold.

    Args:
      passed: share of the fractures that reach the classifier.
      accuracy: share found and rightly typed, of all.
      precision: macro precision among those that pass; undefined where a class is never called.
      threshold: the operating one.

    Raises:
      ValueError: the three are not over the same thresholds.
    """
    bands = (passed, accuracy, precision)
    if any(band.x.tolist() != passed.x.tolist() for band in bands):
        raise ValueError("the curves of a sweep have different thresholds; expected the same")
    styles = ((MUTED, (0, (5, 2))), (BLUE, "-"), (GREEN, (0, (1, 1.2))))
    with canvas(340) as figure:
        axes = figure.add_subplot()
        for band, name, (colour, style) in zip(bands, _NAMES, styles, strict=True):
            draw_band(axes, band, colour, name, style)
        axes.set(
            xlim=(passed.x[0], passed.x[-1]),
            ylim=(0, 1),
            xlabel="threshold of the detector",
            ylabel="share",
        )
        if passed.x[0] <= threshold <= passed.x[-1]:
            draw_threshold(axes, threshold)
        key(figure, axes)
        svg = drawn(figure)
    at = nearest(passed, threshold)
    figures = "; ".join(
        f"{name} {estimate_at(band, at).figure}" for band, name in zip(bands, _NAMES, strict=True)
    )
    point = f"At {threshold_text(passed.x[at])}: {figures}."
    if math.isinf(threshold):
        point = f"The operating threshold is {threshold_text(threshold)}."
    rows = tuple(
        (f"{passed.x[i]:.3f}", *(estimate_at(band, i, "a class is never called") for band in bands))
        for i in some(passed)
    )
    return Chart(
        svg,
        f"The cascade over the detector's threshold. {point} "
        "From the lowest threshold to the highest, end-to-end accuracy goes from "
        f"{estimate_at(accuracy, 0).figure} to {estimate_at(accuracy, -1).figure}.",
        f"{counted(passed.n, 'fracture')} through the cascade, at every threshold of the detector. "
        f"Strips are 95 % intervals ({passed.method}).",
        Table("Cascade over thresholds", ("threshold", *_NAMES), rows),
    )
