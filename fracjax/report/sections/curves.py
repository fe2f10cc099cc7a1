"""How well a detector ranks, whether its probabilities hold, and where it fails."""

from collections.abc import Sequence

from fracjax.evaluation import BinaryReport, Predictions
from fracjax.evaluation.calibration import Reliability, reliability
from fracjax.evaluation.curves import decision_curve, pr_band, roc_band
from fracjax.evaluation.recalibration import Recalibration
from fracjax.evaluation.subgroups import Subgroup
from fracjax.evaluation.temperature import Temperature
from fracjax.report.charts.decision import decision_chart
from fracjax.report.charts.forest import forest_chart
from fracjax.report.charts.pr import pr_chart
from fracjax.report.charts.reliability import reliability_chart
from fracjax.report.charts.roc import roc_chart
from fracjax.report.page import Prose, Section
from fracjax.report.sections.threshold import temperature_text
from fracjax.report.tables import binary_tables, reliability_table


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


def confidence(predictions: Predictions) -> Reliability:
    """Reliability of the probability of the called class, as one of being right."""
    right = (predictions.called == predictions.label).astype(int)
    return reliability(right, predictions.probabilities.max(axis=1), predictions.groups)


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
