"""The first screen of a report: what was found, in plain words, and how far to trust it."""

from fracjax.evaluation import BinaryReport, CascadeReport, PerClassReport
from fracjax.report.page import KeyFigure, KeyFigures, Prose, Section, text
from fracjax.report.table import threshold_text

NOT_A_DEVICE = (
    "Research code, not a medical device. No figure here is a reason to read a radiograph in "
    "another way, or not to read it."
)
_ON_TEST = (
    "No network was trained on these studies, and no epoch and no temperature chosen on them."
)
_CHOSEN_ON = {
    "validation": "These are validation studies: the best epoch, and what was settled by "
    "validation, was chosen on them, so their figures are a little too good.",
    "test": _ON_TEST,
}
_CASCADE_CHOSEN_ON = {
    "validation": "The classifier's epoch and temperature were chosen on these studies, so its "
    "figures are a little too good.",
    "test": _ON_TEST,
}
_CHOSEN = "The threshold was chosen on validation studies."
_GIVEN = "The threshold was given, and this run cannot know from what it was taken."
_INTERVALS = (
    "Brackets are 95 % intervals: made this way, they hold the true value in about 95 of 100 such "
    "sets of studies. For other hospitals, machines and patients it may well lie outside."
)


def detector_summary(part: str, report: BinaryReport) -> Section:
    """What a detector finds, misses and marks for nothing."""
    at = report.at_operating_point
    (tn, fp), (fn, tp) = at.matrix
    found = f"{tp} of {tp + fn} fractures are found; {fn} would be missed."
    alarms = f"{fp} of {tn + fp} normal studies are wrongly called fractured."
    right = (
        f"{tp} of the {tp + fp} studies called fractured have a fracture; of all, "
        f"{report.n_positive} of {report.n} have one."
    )
    above = (
        "How often a random fracture scores higher than a random normal study: 0.5 is a coin, 1 is "
        "perfect. No threshold is involved."
    )
    figures = (
        KeyFigure("Sensitivity", at.sensitivity, found),
        KeyFigure("Specificity", at.specificity, alarms),
        KeyFigure("Precision", at.precision, right),
        KeyFigure("AUC", report.auc, above),
    )
    return _summary(
        figures,
        f"At its threshold of {threshold_text(at.threshold)} ({_rule(at.rule)}) the detector finds "
        f"{tp} of {tp + fn} fractures and calls {fp} of {tn + fp} normal studies fractured. "
        f"{_CHOSEN_ON[part]} {_GIVEN if at.rule.startswith('fixed') else _CHOSEN}",
        _INTERVALS + _grouped(report.n, report.n_groups),
    )


def classifier_summary(part: str, report: PerClassReport) -> Section:
    """How often a classifier names the right type, and which ones it does not."""
    k, right = len(report.classes), sum(row[i] for i, row in enumerate(report.matrix))
    called = f"{right} of {report.n} studies are called by their true class."
    apart = "The mean over the classes, each counting the same, of how well it is recognised."
    figures = (
        KeyFigure("Accuracy", report.accuracy, called),
        KeyFigure("Macro F1", report.macro_f1, apart),
    )
    largest = max(row.support for row in report.rows) / max(report.n, 1)
    worst = min(report.rows, key=lambda row: 2 if row.recall.value is None else row.recall.value)
    finds = f"The class it finds least is {worst.name}: {worst.recall.figure} of {worst.support}"
    return _summary(
        figures,
        f"Guessing among {k} classes is right in {1 / k:.3f} of the cases, always calling the "
        f"largest in {largest:.3f}. {'' if worst.recall.value is None else f'{finds} studies.'} "
        f"{_CHOSEN_ON[part]}",
        _INTERVALS + _grouped(report.n, report.n_groups),
    )


def cascade_summary(part: str, report: CascadeReport, *, same_filter: bool) -> Section:
    """What both stages together find, miss and mistype.

    `part` is of the classifier's split; with `same_filter` the classifier was trained on what this
    detector lets through.
    """
    total, every = report.total, f"Of all {report.n} fractures, end to end."
    lost = "Missed, although the classifier alone would have typed them rightly."
    figures = (
        KeyFigure("Found and rightly typed", total.found, every),
        KeyFigure("Mistyped", total.mistyped, "Found by the detector, and called another type."),
        KeyFigure("Missed", total.missed, "Called normal by the detector, so never typed."),
        KeyFigure("Lost by the detector", total.lost, lost),
    )
    other = "The classifier was not trained on what this detector lets through."
    return _summary(
        figures,
        f"The detector at {threshold_text(report.threshold)} lets {report.passed.figure} of the "
        f"fractures through to the classifier. {_CASCADE_CHOSEN_ON[part]}",
        *(() if same_filter else (other,)),
    )


def _summary(figures: tuple[KeyFigure, ...], *paragraphs: str) -> Section:
    warning = Prose((NOT_A_DEVICE,), "warning")
    return Section("summary", "Summary", (KeyFigures(figures), text(*paragraphs), warning))


def _rule(rule: str) -> str:
    name, _, number = rule.partition(":")
    return {
        "youden": "Youden's: the largest sensitivity + specificity on validation",
        "sensitivity": f"the highest that finds a fraction of {number} or more in validation",
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
