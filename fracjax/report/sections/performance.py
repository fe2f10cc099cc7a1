"""What the networks are worth: at the operating point, over all thresholds, in subgroups."""

from collections.abc import Sequence

from fracjax.evaluation import (
    AtThreshold,
    BinaryReport,
    Estimate,
    OperatingPoint,
    PerClassReport,
    Predictions,
)
from fracjax.evaluation.calibration import Reliability
from fracjax.evaluation.curves import decision_curve, pr_band, roc_band
from fracjax.evaluation.predictive_values import at_prevalence
from fracjax.evaluation.recalibration import Recalibration
from fracjax.evaluation.subgroups import Subgroup
from fracjax.evaluation.temperature import RANGE, Temperature
from fracjax.report.charts.bands import threshold_text
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.charts.forest import forest_chart
from fracjax.report.charts.reliability import reliability_chart
from fracjax.report.charts.roc_pr import pr_chart, roc_chart
from fracjax.report.charts.thresholds import decision_chart
from fracjax.report.facts import RunFacts
from fracjax.report.page import Facts, Prose, Section
from fracjax.report.table import Table
from fracjax.report.tables import binary_tables, per_class_table, reliability_table

# From a screening of people without complaints to a clinic that sees the worst.
_PREVALENCES = (0.01, 0.05, 0.10, 0.20, 0.40)


def threshold_section(run: RunFacts, point: OperatingPoint, report: BinaryReport) -> Section:
    """Everything at the operating point, and separately at 0.5."""
    chosen = (
        f"{point.n} validation studies, {point.n_positive} with a fracture "
        f"(split {run.data.split_hash[:12]})"
    )
    settled = "Measured on" if point.rule.startswith("fixed") else "Chosen on"
    worth = f"sensitivity {point.sensitivity}, specificity {point.specificity}"
    facts = Facts(
        (
            ("Threshold", f"{threshold_text(point.threshold)}{_between(point.low, point.high)}"),
            ("Rule", point.rule),
            (settled, chosen),
            ("On those studies", worth),
            ("Temperature", temperature_text(run.temperature)),
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
                run.classes,
                f"Confusion at {threshold_text(report.at_operating_point.threshold)}",
            ),
            confusion_chart(report.at_half.matrix, run.classes, "Confusion at 0.5"),
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


def classes_section(report: PerClassReport) -> Section:
    """Every class of a classifier, and what it is mistaken for."""
    chart = confusion_chart(report.matrix, report.classes, "Confusion")
    return Section("classes", "The classes", (per_class_table(report), chart))


def ranking_section(predictions: Predictions, report: BinaryReport) -> Section:
    """ROC and precision over recall, over all thresholds."""
    data = (predictions.label, predictions.fracture_score, predictions.groups)
    return Section(
        "ranking",
        "All thresholds",
        (
            roc_chart(roc_band(*data), report),
            pr_chart(pr_band(*data), report),
            binary_tables(report)[0],
        ),
    )


def calibration_section(
    predictions: Predictions, threshold: float, made: Reliability, line: Recalibration
) -> Section:
    """Whether a probability of 0.3 means three in ten, and what calling is worth."""
    data = (predictions.label, predictions.fracture_score, predictions.groups)
    return Section(
        "calibration",
        "What a probability means",
        (
            reliability_chart(made),
            decision_chart(decision_curve(*data), threshold),
            reliability_table(made, line),
            Prose(
                (
                    "The decision curve counts a true find as 1 and a false alarm as the odds of "
                    "the threshold: who acts at a probability of 0.1 holds nine false alarms to be "
                    "worth one find. Where the model lies below another line, it is better to call "
                    "every study, or none.",
                )
            ),
        ),
    )


def confidence_section(made: Reliability, temperature: Temperature) -> Section:
    """Whether a classifier that is sure is right."""
    return Section(
        "calibration",
        "What a probability means",
        (
            reliability_chart(
                made,
                "Reliability of the called class",
                score="probability of the called class",
                observed="share called rightly",
            ),
            Prose(
                (
                    "Here a study counts by the probability of the class that it is called, and "
                    "the share is that of right calls. Temperature: "
                    f"{temperature_text(temperature)}.",
                )
            ),
        ),
    )


def subgroup_section(subgroups: Sequence[Subgroup], report: BinaryReport) -> Section:
    """The same figures on parts of the studies."""
    words = (
        "A subgroup with too few fractures, or too few normal studies, has no figure: it would be "
        "noise. Intervals are of each subgroup alone; about one in twenty misses the true value. "
        "What the dataset does not record cannot be seen here."
    )
    return Section(
        "subgroups",
        "Subgroups",
        (
            *(
                forest_chart(subgroups, report, metric)
                for metric in ("auc", "sensitivity", "specificity")
            ),
            Prose((words,)),
        ),
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
