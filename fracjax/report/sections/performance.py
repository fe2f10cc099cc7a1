"""What the networks are worth: at the operating point, over all thresholds, in subgroups."""

from collections.abc import Sequence

from fracjax.config import CLASS_CUES
from fracjax.evaluation import BinaryReport, OperatingPoint, PerClassReport, Predictions
from fracjax.evaluation.calibration import Recalibration, Reliability
from fracjax.evaluation.curves import decision_curve, pr_band, roc_band
from fracjax.evaluation.pool_by import PooledPoint
from fracjax.evaluation.predictive_values import at_prevalence
from fracjax.evaluation.subgroups import Subgroup
from fracjax.evaluation.temperature import RANGE, Temperature
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.charts.curves import decision_chart, pr_chart, roc_chart
from fracjax.report.charts.forest import forest_chart
from fracjax.report.charts.reliability import reliability_chart
from fracjax.report.facts import RunFacts
from fracjax.report.page import Block, Facts, Prose, Section, text
from fracjax.report.table import Table, threshold_text
from fracjax.report.tables import binary_tables, per_class_table

# From a screening of people without complaints to a clinic that sees the worst.
_PREVALENCES = (0.01, 0.05, 0.10, 0.20, 0.40)


def threshold_section(run: RunFacts, point: OperatingPoint, report: BinaryReport) -> Section:
    """Everything at the operating point, and separately at 0.5."""
    at, half = report.at_operating_point, report.at_half
    between = "" if None in (point.low, point.high) else f" [{point.low:.3g}, {point.high:.3g}]"
    classes = run.config.data.classes
    on = f"{point.n} validation studies, {point.n_positive} of them {classes[1]}"
    facts = {
        "Threshold": f"{threshold_text(point.threshold)}{between}",
        "Rule": point.rule,
        "Measured on" if point.rule.startswith("fixed") else "Chosen on": f"{on} "
        f"({run.data.name}, split {run.data.split_hash[:12]})",
        "On those studies": f"sensitivity {point.sensitivity}, specificity {point.specificity}",
        "Temperature": temperature_text(run.temperature),
    }
    words = text(
        f"A study is called {classes[1]} when its score reaches the threshold. Scores are the "
        "network's probabilities after division of their log-odds by the temperature; that changes "
        "no order, and 0.5 stays 0.5."
    )
    title = f"Confusion at {threshold_text(at.threshold)}"
    rows = tuple(
        (f"{p:.0%}", *at_prevalence(at.sensitivity, at.specificity, p)) for p in _PREVALENCES
    )
    header = (f"fraction of {classes[1]}", "precision (PPV)", "NPV")
    after = text(
        "The last table takes sensitivity and specificity from here to other prevalences, "
        "as if the studies there were as easy and as hard as these."
    )
    blocks = (
        Facts(tuple(facts.items())),
        words,
        binary_tables(report)[1],
        confusion_chart(at.matrix, classes, title),
        confusion_chart(half.matrix, classes, "Confusion at 0.5"),
        Table("At another prevalence", header, rows),
        after,
    )
    return Section("threshold", "Operating point", blocks)


def pooled_section(pooled: PooledPoint, run: RunFacts, tables: Sequence[Table]) -> Section:
    """The figures of patients, or of whatever a column names, each as one."""
    column, how = pooled.column, "mean" if pooled.pool == "mean" else "largest"
    words = f"Here all studies of one {column} are one: its probabilities are the {how} of theirs."
    of_detector = (
        f" It is {run.config.data.classes[1]} if one of them is, and called so at a threshold of "
        "its own, which was chosen on validation as that of single studies was."
    )
    words += of_detector if pooled.point is not None else ""
    return Section("pooled", f"Per {column}", (text(words), *tables))


def classes_section(report: PerClassReport) -> Section:
    """Every class of a classifier, and what it is mistaken for."""
    chart = confusion_chart(report.matrix, report.classes, "Confusion")
    return Section("classes", "The classes", (per_class_table(report), chart))


def ranking_section(predictions: Predictions, report: BinaryReport) -> Section:
    """ROC and precision over recall, over all thresholds; curves need both classes."""
    table = binary_tables(report)[0]
    if report.n_positive in (0, report.n):
        words = text(f"There are no curves: {report.auc.note}.")
        return Section("ranking", "All thresholds", (words, table))
    data = (predictions.label, predictions.fracture_score, predictions.groups)
    charts = (roc_chart(roc_band(*data), report), pr_chart(pr_band(*data), report))
    return Section("ranking", "All thresholds", (*charts, table))


def calibration_section(
    predictions: Predictions, threshold: float, made: Reliability, line: Recalibration
) -> Section:
    """Whether a probability of 0.3 means three in ten, and what calling is worth."""
    data = (predictions.label, predictions.fracture_score, predictions.groups)
    figures = {
        "intercept (0 is ideal; below, probabilities are too high)": line.intercept,
        "slope (1 is ideal; below, they are too extreme)": line.slope,
        "Brier score": made.brier,
        "expected calibration error, bins of equal width": made.ece,
        "expected calibration error, bins of equal mass": made.ece_equal_mass,
    }
    table = Table("Calibration", ("figure", "value"), tuple(figures.items()))
    words = text(
        "The decision curve counts a true find as 1 and a false alarm as the odds of the "
        "threshold: who acts at a probability of 0.1 holds nine false alarms to be worth one find. "
        "Where the model lies below another line, it is better to call every study, or none."
    )
    score = f"probability of {predictions.classes[1]}"
    observed = f"fraction that is {predictions.classes[1]}"
    drawn = reliability_chart(made, score=score, observed=observed)
    charts = (drawn, decision_chart(decision_curve(*data), threshold))
    return Section("calibration", "What a probability means", (*charts, table, words))


def confidence_section(made: Reliability, temperature: Temperature) -> Section:
    """Whether a classifier that is sure is right."""
    chart = reliability_chart(
        made,
        "Reliability of the called class",
        score="probability of the called class",
        observed="fraction called rightly",
    )
    words = text(
        "Here a study counts by the probability of the class that it is called, and the fraction "
        f"is that of right calls. Temperature: {temperature_text(temperature)}."
    )
    return Section("calibration", "What a probability means", (chart, words))


def subgroup_section(subgroups: Sequence[Subgroup], report: BinaryReport) -> Section:
    """The same figures on parts of the studies."""
    words = (
        f"A subgroup with too few {report.classes[1]} studies, or too few {report.classes[0]} "
        "studies, has no figure: it would be noise. Intervals are of each subgroup alone; about "
        "one in twenty misses the true value. What the dataset does not record cannot be seen here."
    )
    names = dict.fromkeys(subgroup.attribute for subgroup in subgroups)
    if cues := [name for name in names if name.casefold() in CLASS_CUES]:
        words += (
            f" A class cue is among them ({', '.join(cues)}): it is seen where a fracture was "
            "treated, so that what is found there may be the cue. Read the studies without it."
        )
    metrics = ("auc", "sensitivity", "specificity")
    charts = (forest_chart(subgroups, report, metric) for metric in metrics)
    return Section("subgroups", "Subgroups", (*charts, text(words)))


def temperature_text(temperature: Temperature) -> str:
    """Value and interval, or why there is none."""
    if temperature.note:
        return f"left at {temperature.value:.3g}: {temperature.note}"
    low, high = temperature.low, temperature.high
    least = f"below {RANGE[0]:g}" if low is None else f"{low:.3g}"
    most = f"above {RANGE[1]:g}" if high is None else f"{high:.3g}"
    return f"{temperature.value:.3g} [{least}, {most}], fitted on {temperature.n} studies"


def mistakes_section(
    galleries: Sequence[Block], localisation: Table | None, *, drawn: bool
) -> Section:
    """Images of the surest mistakes (`drawn`: of phantoms), and how well maps point at findings."""
    blocks = [*galleries]
    if localisation:
        words = text(
            "Pointing game: how often the map's maximum lies in the finding. Energy inside: the "
            "fraction of the map that does. IoU: overlap of the finding with what is at half the "
            "maximum or more. Beside them a map that is always brightest in the middle, and the "
            "fraction of the image that the finding takes."
        )
        blocks += [localisation, words]
    notes = (
        *(() if drawn else ("These are images of patients: treat this file as you treat them.",)),
        "A map shows where the network looked, not why; a bright spot on a finding proves no "
        "understanding of it.",
    )
    return Section("mistakes", "The worst mistakes", (*blocks, Prose(notes, "note")))
