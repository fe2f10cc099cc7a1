"""The first screen of a report: what was found, in plain words, and how far to trust it."""

from fracjax.evaluation import BinaryReport, Estimate, PerClassReport
from fracjax.inference.cascade import Cascade
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.report.charts.helpers import threshold_text
from fracjax.report.page import KeyFigure, KeyFigures, Prose, Section

NOT_A_DEVICE = (
    "Research code, not a medical device. No figure here is a reason to read a radiograph in "
    "another way, or not to read it."
)
_ON_VALIDATION = (
    "These are validation studies: the best epoch, and what was settled by validation, was chosen "
    "on them, so their figures are a little too good."
)
_CASCADE_ON_VALIDATION = (
    "The classifier's epoch and temperature were chosen on these studies, so its figures are a "
    "little too good."
)
_ON_TEST = (
    "No network was trained on these studies, and no epoch and no temperature chosen on them."
)
_CHOSEN = "The threshold was chosen on validation studies."
_GIVEN = "The threshold was given, and this run cannot know from what it was taken."
_INTERVALS = (
    "Brackets are 95 % intervals: made this way, they hold the true value in about 95 of 100 such "
    "sets of studies. For other hospitals, machines and patients it may well lie outside."
)


def detector_summary(evaluated: EvaluatedRun, report: BinaryReport) -> Section:
    """What a detector finds, misses and marks in vain."""
    at = report.at_operating_point
    (tn, fp), (fn, tp) = at.matrix
    figures = (
        KeyFigure(
            "Sensitivity",
            at.sensitivity,
            f"{tp} of {tp + fn} fractures are found; {fn} would be missed.",
        ),
        KeyFigure(
            "Specificity",
            at.specificity,
            f"{fp} of {tn + fp} normal studies are wrongly called fractured.",
        ),
        KeyFigure(
            "Precision",
            at.precision,
            f"{tp} of the {tp + fp} studies called fractured have a fracture; of all, "
            f"{report.n_positive} of {report.n} have one.",
        ),
        KeyFigure(
            "AUC",
            report.auc,
            "How often a random fracture scores higher than a random normal study: 0.5 is a coin, "
            "1 is perfect. No threshold is involved.",
        ),
    )
    paragraphs = (
        f"At its threshold of {threshold_text(at.threshold)} ({_rule(at.rule)}) the detector finds "
        f"{tp} of {tp + fn} fractures and calls {fp} of {tn + fp} normal studies fractured. "
        f"{_honesty(evaluated.part)} {_GIVEN if at.rule.startswith('fixed') else _CHOSEN}",
        _INTERVALS + _grouped(report.n, report.n_groups),
    )
    return Section(
        "summary",
        "Summary",
        (KeyFigures(figures), Prose(paragraphs), Prose((NOT_A_DEVICE,), "warning")),
    )


def classifier_summary(evaluated: EvaluatedRun, report: PerClassReport) -> Section:
    """How often a classifier names the right type, and which ones it does not."""
    figures = (
        KeyFigure(
            "Accuracy",
            report.accuracy,
            f"{sum(report.matrix[i][i] for i in range(len(report.classes)))} of {report.n} "
            "studies are called by their true class.",
        ),
        KeyFigure(
            "Macro F1",
            report.macro_f1,
            "The mean over the classes, each counting the same, of how well it is told apart.",
        ),
    )
    paragraphs = (
        f"Guessing among {len(report.classes)} classes is right in {1 / len(report.classes):.3f} "
        f"of the cases, always calling the largest in "
        f"{max(row.support for row in report.rows) / max(report.n, 1):.3f}. "
        f"{_worst(report)} {_honesty(evaluated.part)}",
        _INTERVALS + _grouped(report.n, report.n_groups),
    )
    return Section(
        "summary",
        "Summary",
        (KeyFigures(figures), Prose(paragraphs), Prose((NOT_A_DEVICE,), "warning")),
    )


def cascade_summary(cascade: Cascade) -> Section:
    """What both stages together find, miss and mistype."""
    report = cascade.report
    total = report.total
    figures = (
        KeyFigure(
            "Found and rightly typed",
            total.found,
            f"Of all {report.n} fractures, end to end.",
        ),
        KeyFigure("Mistyped", total.mistyped, "Found by the detector, and called another type."),
        KeyFigure("Missed", total.missed, "Called normal by the detector, so never typed."),
        KeyFigure(
            "Lost by the detector",
            total.lost,
            "Missed, although the classifier alone would have typed them rightly.",
        ),
    )
    paragraphs = [
        f"The detector at {threshold_text(report.threshold)} lets {report.passed.figure} of the "
        f"fractures through to the classifier. "
        + (_CASCADE_ON_VALIDATION if cascade.part == "validation" else _ON_TEST),
    ]
    if not cascade.stages.matched:
        paragraphs.append("The classifier was not trained on what this detector lets through.")
    return Section(
        "summary",
        "Summary",
        (KeyFigures(figures), Prose(tuple(paragraphs)), Prose((NOT_A_DEVICE,), "warning")),
    )


def _rule(rule: str) -> str:
    name, _, number = rule.partition(":")
    return {
        "youden": "Youden's: the largest sensitivity + specificity on validation",
        "sensitivity": f"the highest that finds a share of {number} or more in validation",
        "fixed": "given, not chosen",
    }[name]


def _grouped(n: int, n_groups: int) -> str:
    if n_groups == n:
        return ""
    return (
        f" The {n} studies lie in {n_groups} groups of near duplicates. The bootstrap resamples "
        "the groups; intervals of proportions and of the AUC take studies as independent, and are "
        "a little too narrow."
    )


def _honesty(part: str) -> str:
    return _ON_VALIDATION if part == "validation" else _ON_TEST


def _worst(report: PerClassReport) -> str:
    def recall(estimate: Estimate) -> float:
        return 2.0 if estimate.value is None else estimate.value

    row = min(report.rows, key=lambda row: recall(row.recall))
    if row.recall.value is None:
        return ""
    return f"The class it finds least is {row.name}: {row.recall.figure} of {row.support} studies."
