"""Do the probabilities mean what they say? Observed share over mean score, bin by bin."""

from matplotlib.ticker import MaxNLocator

from fracjax.evaluation.calibration import Reliability, ReliabilityBin
from fracjax.report.charts.bands import pluralise
from fracjax.report.charts.canvas import canvas, legend, to_svg
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED
from fracjax.report.table import Table


def reliability_chart(
    reliability: Reliability,
    title: str = "Reliability",
    *,
    score: str = "probability of a fracture",
    observed: str = "share of fractures",
) -> Chart:
    """Bins of equal width as points with Wilson's whiskers; below, how many studies are in each.

    Args:
      reliability: of one set of studies.
      title: in a few words, such as "Reliability before temperature scaling".
      score: what the probabilities are of.
      observed: what share the whiskers are around.
    """
    filled = [b for b in reliability.bins if b.mean_score is not None]
    with canvas(404) as figure:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        axes.plot(
            [0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)), label="as it should be"
        )
        for b in filled:
            if b.observed.low is not None and b.observed.high is not None:
                ends = [b.observed.low, b.observed.high]
                axes.plot([b.mean_score] * 2, ends, color=BLUE, linewidth=1.4, clip_on=False)
        axes.plot(
            [b.mean_score for b in filled],
            [b.observed.value for b in filled],
            color=BLUE,
            linestyle="-",
            linewidth=0.8,
            marker="o",
            markersize=6,
            clip_on=False,
            label="observed, with 95 % interval",
        )
        axes.set(xlim=(0, 1), ylim=(0, 1), ylabel=observed)
        for b in reliability.bins:
            below.bar((b.low + b.high) / 2, b.n, 0.92 * (b.high - b.low), color=BLUE, alpha=0.55)
        below.set(xlabel=score, ylabel="studies")
        below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        below.grid(axis="x", visible=False)
        figure.align_ylabels()
        legend(figure, axes)
        svg = to_svg(figure)
    return Chart(
        svg, _alt(reliability, filled), _caption(reliability), _table(reliability, title, observed)
    )


def _alt(reliability: Reliability, filled: list[ReliabilityBin]) -> str:
    n = sum(b.n for b in reliability.bins)
    if not filled:
        return "No reliability curve: there is no study."
    gaps = [
        (abs(b.observed.value - b.mean_score), b)
        for b in filled
        if b.observed.value is not None and b.mean_score is not None
    ]
    words = f"Reliability of {pluralise(n, 'probability', 'probabilities')} in "
    words += (
        f"{pluralise(len(filled), 'bin')}: expected calibration error {reliability.ece.figure}."
    )
    if gaps:
        worst = max(gaps, key=lambda gap: gap[0])[1]
        words += (
            f" Furthest from the diagonal is the bin from {worst.low:.2g} to {worst.high:.2g}: "
            f"mean probability {worst.mean_score:.3f}, observed {worst.observed.figure} of "
            f"{pluralise(worst.n, 'study', 'studies')}."
        )
    return words


def _caption(reliability: Reliability) -> str:
    return (
        f"Expected calibration error {reliability.ece.figure} over {len(reliability.bins)} bins of "
        f"equal width, {reliability.ece_equal_mass.figure} over {len(reliability.equal_mass)} bins "
        f"of about as many studies each; Brier score {reliability.brier.figure}. "
        "Below: how many studies have such a probability."
    )


def _table(reliability: Reliability, title: str, observed: str) -> Table:
    rows = tuple(
        (
            f"{b.low:.3g} to {b.high:.3g}",
            "undefined" if b.mean_score is None else f"{b.mean_score:.3f}",
            b.observed,
        )
        for b in reliability.bins
    )
    return Table(title, ("bin", "mean probability", f"{observed}\n(n in the bin)"), rows)
