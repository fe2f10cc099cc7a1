"""Do the probabilities mean what they say? Observed fraction over mean score, bin by bin."""

from typing import Any

from matplotlib.ticker import MaxNLocator

from fracjax.evaluation.calibration import Reliability
from fracjax.report.charts.canvas import canvas, to_svg, whiskers
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED
from fracjax.report.table import Table, pluralise


def reliability_chart(
    reliability: Reliability,
    title: str = "Reliability",
    *,
    score: str = "probability of the positive class",
    observed: str = "fraction that is positive",
) -> Chart:
    """Bins of equal width as points with Wilson's whiskers; below, how many studies are in each."""
    bins = reliability.bins
    points = [(b.mean_score, b.observed.value, b) for b in bins]
    filled = [(mean, y, b) for mean, y, b in points if mean is not None and y is not None]
    means, values = [mean for mean, _, _ in filled], [value for _, value, _ in filled]
    with canvas(404) as figure:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        diagonal = {"linewidth": 1, "linestyle": (0, (4, 4)), "label": "as it should be"}
        axes.plot([0, 1], [0, 1], color=MUTED, **diagonal)
        ends = whiskers(*(b.observed for _, _, b in filled))
        style: dict[str, Any] = {
            "color": BLUE,
            "linewidth": 0.8,
            "elinewidth": 1.4,
            "markersize": 6,
        }
        label = "observed, with 95 % interval"
        axes.errorbar(means, values, yerr=ends, fmt="-o", clip_on=False, label=label, **style)
        axes.set(xlim=(0, 1), ylim=(0, 1), ylabel=observed)
        for b in bins:
            below.bar((b.low + b.high) / 2, b.n, 0.92 * (b.high - b.low), color=BLUE, alpha=0.55)
        below.set(xlabel=score, ylabel="studies")
        below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        below.grid(axis="x", visible=False)
        figure.align_ylabels()
        drawing = to_svg(figure)
    ece = reliability.ece.figure
    n = pluralise(sum(b.n for b in bins), "probability")
    alt = "No reliability curve: there is no study."
    if filled:
        mean, _, worst = max(filled, key=lambda point: abs(point[1] - point[0]))
        alt = (
            f"Reliability of {n} in {pluralise(len(filled), 'bin')}: expected calibration error "
            f"{ece}. Furthest from the diagonal is the bin from {worst.low:.2g} to "
            f"{worst.high:.2g}: mean probability {mean:.3f}, observed {worst.observed.figure} of "
            f"{pluralise(worst.n, 'study')}."
        )
    caption = (
        f"Expected calibration error {ece} over {len(bins)} bins of equal width, "
        f"{reliability.ece_equal_mass.figure} over {len(reliability.equal_mass)} bins of about as "
        f"many studies each; Brier score {reliability.brier.figure}. Below: how many studies have "
        "such a probability."
    )
    rows = tuple(
        (
            f"{b.low:.3g} to {b.high:.3g}",
            "undefined" if b.mean_score is None else f"{b.mean_score:.3f}",
            b.observed,
        )
        for b in bins
    )
    header = ("bin", "mean probability", f"{observed}\n(n in the bin)")
    return Chart(drawing, alt, caption, Table(title, header, rows))
