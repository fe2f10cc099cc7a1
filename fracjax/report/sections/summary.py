"""The first screen of a report: what was found, in plain words, and how far to trust it."""

from fracjax.config.class_names import roles
from fracjax.evaluation import BinaryReport, CascadeReport, Estimate, MarksReport, PerClassReport
from fracjax.report.page import KeyFigure, KeyFigures, Prose, Section, text
from fracjax.report.sections.localisation import pointing_figure, pointing_words
from fracjax.report.table import pluralise, studies_of, threshold_text

_RESEARCH = (
    "Research code, not a medical device. No figure here is a reason to read a radiograph in "
    "another way, or not to read it."
)
NOT_A_DEVICE = Prose((_RESEARCH,), "warning")
_CHOSEN_ON = {
    "validation": "These are validation studies: the epoch, unless it is the last one by rule, and "
    "what was settled by validation, was chosen on them, so their figures are a little too good.",
    "test": "No network was trained on these studies, and no epoch and no temperature chosen on "
    "them.",
    "external": "These studies are of another dataset: no network was trained on it, and no epoch, "
    "no temperature and no threshold was chosen on it.",
}
_CASCADE_CHOSEN_ON = _CHOSEN_ON | {
    "validation": "The classifier's temperature and, unless it is the last one by rule, its epoch "
    "were chosen on these studies, so its figures are a little too good.",
}


def detector_summary(part: str, report: BinaryReport, marks: MarksReport | None = None) -> Section:
    """What a detector finds, misses and calls for nothing, and how often its marks point right."""
    at = report.at_operating_point
    (tn, fp), (fn, tp) = at.matrix
    negative, positive = report.classes
    found = f"{tp} of {studies_of(tp + fn, positive)}"
    alarms = f"{fp} of {studies_of(tn + fp, negative)}"
    right = (
        f"{tp} of the {pluralise(tp + fp, 'study')} called {positive} are {positive}; of all, "
        f"{report.n_positive} of {report.n} are."
    )
    above = (
        f"How often a random {positive} study scores higher than a random {negative} study: 0.5 is "
        "a coin, 1 is perfect. No threshold is involved."
    )
    alone = _of_one_class(report)
    figures = (
        ("Sensitivity", at.sensitivity, f"{found} are found; {fn} would be missed."),
        ("Specificity", at.specificity, f"{alarms} are wrongly called {positive}."),
        *(() if alone else (("Precision", at.precision, right),)),
        ("AUC", report.auc, above),
        *(() if marks is None else (pointing_figure(marks),)),
    )
    chosen = "was chosen on validation studies"
    if at.rule.startswith("fixed"):
        chosen = "was given, and this run cannot know from what it was taken"
    return _summary(
        figures,
        f"At its threshold of {threshold_text(at.threshold)} ({_rule(at.rule)}) the detector finds "
        f"{found} and calls {alarms} {positive}. {_CHOSEN_ON[part]} The threshold {chosen}.",
        f"The classes: {roles(report.classes)}.",
        *alone,
        *(() if marks is None else (pointing_words(marks),)),
        _intervals(report.n, report.n_groups),
    )


def _of_one_class(report: BinaryReport) -> tuple[str, ...]:
    negative, positive = report.classes
    only = {0: negative, report.n: positive}.get(report.n_positive)
    if only is None:
        return ()
    rate = "sensitivity" if only == positive else "specificity"
    return (
        f"All {report.n} studies are {only}: of the figures {rate} alone says something. What "
        "needs both classes is undefined; precision, NPV, accuracy and F1 hold for such studies "
        "alone.",
    )


def classifier_summary(part: str, report: PerClassReport) -> Section:
    """How often a classifier names the right type, and which ones it does not."""
    k, right = len(report.classes), sum(row[i] for i, row in enumerate(report.matrix))
    called = f"{right} of {report.n} studies are called by their true class."
    mean = "The mean over the classes, each counting the same, of how well it is recognised."
    figures = (("Accuracy", report.accuracy, called), ("Macro F1", report.macro_f1, mean))
    largest = max(row.support for row in report.rows) / max(report.n, 1)
    worst = min(report.rows, key=lambda row: 2 if row.recall.value is None else row.recall.value)
    finds = f"The class it finds least is {worst.name}: {worst.recall.figure} of {worst.support}"
    return _summary(
        figures,
        f"Guessing among {k} classes is right in {1 / k:.3f} of the cases, always calling the "
        f"largest in {largest:.3f}. {'' if worst.recall.value is None else f'{finds} studies.'} "
        f"{_CHOSEN_ON[part]}",
        _intervals(report.n, report.n_groups),
    )


def cascade_summary(part: str, report: CascadeReport, *, same_filter: bool) -> Section:
    """What both stages together find, miss and mistype.

    `part` is of the classifier's split; with `same_filter` the classifier was trained on what this
    detector lets through.
    """
    total, (negative, positive) = report.total, report.detector_classes
    every = studies_of(report.n, positive)
    other = "The classifier was not trained on what this detector lets through."
    alone = "Missed, although the classifier alone would have typed them rightly."
    figures = (
        ("Found and rightly typed", total.found, f"Of all {every}, end to end."),
        ("Mistyped", total.mistyped, "Found by the detector, and called another type."),
        ("Missed", total.missed, f"Called {negative} by the detector, so never typed."),
        ("Lost by the detector", total.lost, alone),
    )
    return _summary(
        figures,
        f"The detector at {threshold_text(report.threshold)} lets {report.passed.figure} of the "
        f"{every} through to the classifier. {_CASCADE_CHOSEN_ON[part]}",
        *(() if same_filter else (other,)),
    )


def _summary(figures: tuple[tuple[str, Estimate, str], ...], *paragraphs: str) -> Section:
    key_figures = KeyFigures(tuple(KeyFigure(*figure) for figure in figures))
    return Section("summary", "Summary", (key_figures, text(*paragraphs), NOT_A_DEVICE))


def _rule(rule: str) -> str:
    name, _, number = rule.partition(":")
    return {
        "youden": "Youden's: the largest sensitivity + specificity on validation",
        "sensitivity": f"the highest that finds a fraction of {number} or more in validation",
        "fixed": "given, not chosen",
    }[name]


def _intervals(n: int, n_groups: int) -> str:
    words = (
        "Brackets are 95 % intervals: made this way, they hold the true value in about 95 of 100 "
        "such sets of studies. For other hospitals, machines and patients it may well lie outside."
    )
    grouped = (
        f" The {n} studies lie in {n_groups} groups (near duplicates and what else belongs "
        "together, such as the images of a patient). Studies of a group are no independent "
        "evidence, and every interval counts them so."
    )
    return words if n_groups == n else words + grouped
