"""The operating point: where it comes from, what it is worth, and elsewhere."""

from fracjax.evaluation import AtThreshold, BinaryReport, Estimate
from fracjax.evaluation.predictive_values import at_prevalence
from fracjax.evaluation.temperature import RANGE, Temperature
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.charts.helpers import threshold_text
from fracjax.report.page import Facts, Prose, Section
from fracjax.report.tables import Table, binary_tables

# From a screening of people without complaints to a clinic that sees the worst.
_PREVALENCES = (0.01, 0.05, 0.10, 0.20, 0.40)


def threshold_section(evaluated: EvaluatedRun, report: BinaryReport) -> Section:
    """Everything at the operating point, and separately at 0.5."""
    point, temperature = evaluated.point, evaluated.calibration.temperature
    chosen = (
        f"{point.n} validation studies, {point.n_positive} with a fracture "
        f"(split {evaluated.bundle.meta.split_hash[:12]})"
    )
    settled = "Measured on" if point.rule.startswith("fixed") else "Chosen on"
    worth = f"sensitivity {point.sensitivity}, specificity {point.specificity}"
    facts = Facts(
        (
            ("Threshold", f"{threshold_text(point.threshold)}{_between(point.low, point.high)}"),
            ("Rule", point.rule),
            (settled, chosen),
            ("On those studies", worth),
            ("Temperature", temperature_text(temperature)),
        )
    )
    words = Prose(
        (
            "A study is called fractured when its score reaches the threshold. Scores are the "
            "network's probabilities after division of their log-odds by the temperature; that "
            "changes no order, and 0.5 stays 0.5.",
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
                evaluated.predictions.classes,
                f"Confusion at {threshold_text(report.at_operating_point.threshold)}",
            ),
            confusion_chart(
                report.at_half.matrix, evaluated.predictions.classes, "Confusion at 0.5"
            ),
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


def temperature_text(temperature: Temperature) -> str:
    """Value and interval, or why there is none."""
    if temperature.note:
        return f"left at {temperature.value:.3g}: {temperature.note}"
    low, high = temperature.low, temperature.high
    least = f"below {RANGE[0]:g}" if low is None else f"{low:.3g}"
    most = f"above {RANGE[1]:g}" if high is None else f"{high:.3g}"
    return f"{temperature.value:.3g} [{least}, {most}], fitted on {temperature.n} studies"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
