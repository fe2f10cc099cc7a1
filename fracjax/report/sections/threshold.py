"""The operating point: where it comes from, what it is worth, and elsewhere."""

from fracjax.evaluation import AtThreshold, BinaryReport, Estimate
from fracjax.evaluation.predictive_values import at_prevalence
from fracjax.judge import Judged
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.page import Facts, Prose, Section
from fracjax.report.tables import Table, binary_tables

# From a screening of people without complaints to a clinic that sees the worst.
_PREVALENCES = (0.01, 0.05, 0.10, 0.20, 0.40)


def threshold_section(judged: Judged, report: BinaryReport) -> Section:
    """Everything at the operating point, and separately at 0.5."""
    point, temperature = judged.point, judged.settled.temperature
    chosen = f"{point.n} validation studies, {point.n_positive} with a fracture"
    facts = Facts(
        (
            ("Threshold", f"{point.threshold:.4g}{_between(point.low, point.high)}"),
            ("Rule", point.rule),
            ("Chosen on", f"{chosen} (split {judged.trained.meta.split_hash[:12]})"),
            ("Worth there", f"sensitivity {point.sensitivity}, specificity {point.specificity}"),
            (
                "Temperature",
                f"{temperature.value:.3g}{_between(temperature.low, temperature.high)}"
                + (f"; {temperature.note}" if temperature.note else ""),
            ),
        )
    )
    words = Prose(
        (
            "A study is called fractured when its score reaches the threshold. Scores are the "
            "network's probabilities after division of their log-odds by the temperature, which "
            "validation chose; that changes no order, and 0.5 stays 0.5.",
        )
    )
    return Section(
        "threshold",
        "Operating point",
        (
            facts,
            words,
            binary_tables(report)[1],
            confusion_chart(
                report.at_operating_point.matrix,
                judged.predictions.classes,
                f"Confusion at {report.at_operating_point.threshold:.4g}",
            ),
            confusion_chart(report.at_half.matrix, judged.predictions.classes, "Confusion at 0.5"),
            _elsewhere(report.at_operating_point),
            Prose(
                (
                    "The last table takes sensitivity and specificity from here to other shares "
                    "of fractures, as if the studies there were as easy and as hard as these.",
                )
            ),
        ),
    )


def _elsewhere(at: AtThreshold) -> Table:
    rows: list[tuple[str | Estimate, ...]] = [
        (f"{prevalence:.0%}", *at_prevalence(at.sensitivity, at.specificity, prevalence))
        for prevalence in _PREVALENCES
    ]
    return Table(
        "At another prevalence",
        ("share of fractures", "precision (PPV)", "NPV"),
        tuple(rows),
    )


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
