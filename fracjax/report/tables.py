"""The figures of an evaluation as tables."""

from collections.abc import Sequence
from fractions import Fraction

from fracjax.evaluation import BinaryReport, CascadeReport, Estimate, MarksReport, PerClassReport
from fracjax.evaluation.cascade import EndToEnd
from fracjax.evaluation.compare import Comparison
from fracjax.evaluation.subgroups import Subgroup
from fracjax.report.table import Table, pluralise, studies_of, threshold_text

_AT_THRESHOLD = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision (PPV)",
    "npv": "NPV",
    "f1": "F1",
    "youden_j": "Youden's J",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "Matthews' correlation",
    "positive_likelihood_ratio": "likelihood ratio +",
    "negative_likelihood_ratio": "likelihood ratio −",
}


def binary_tables(report: BinaryReport) -> tuple[Table, Table]:
    """A detector's figures: those without a threshold, and those at the two thresholds."""
    both = (report.at_operating_point, report.at_half)
    title = f"{report.n} studies, {report.n_positive} of them {report.classes[1]}, "
    title += pluralise(report.n_groups, "group")
    overall = {
        "AUC": report.auc,
        "partial AUC, specificity ≥ 0.9": report.partial_auc,
        "average precision (PR-AUC)": report.average_precision,
        "prevalence": report.prevalence,
    }
    rows: list[tuple[str | Estimate, ...]] = [
        (label, *(getattr(at, name) for at in both)) for name, label in _AT_THRESHOLD.items()
    ]
    counts = ((tp, fn, fp, tn) for (tn, fp), (fn, tp) in (at.matrix for at in both))
    rows.append(("TP / FN / FP / TN", *(" / ".join(map(str, four)) for four in counts)))
    header = ("figure", f"at {both[0].threshold:.4g} ({both[0].rule})", "at 0.5")
    return (
        Table(f"Detector: {title}", ("figure", "value"), tuple(overall.items())),
        Table("Detector at a threshold", header, tuple(rows)),
    )


def per_class_table(report: PerClassReport) -> Table:
    """A classifier's figures, one row per class, and their macro averages."""
    macro = ("macro average", report.macro_precision, report.macro_recall, report.macro_f1)
    rows = (*((row.name, row.precision, row.recall, row.f1) for row in report.rows), macro)
    header = ("class", "precision\n(n called so)", "recall\n(n of the class)", "F1\n(n of all)")
    return Table(f"Classifier: accuracy {report.accuracy}, {report.n_groups} groups", header, rows)


def subgroup_table(subgroups: Sequence[Subgroup]) -> Table:
    """One row per subgroup."""
    rows = tuple(
        (f"{s.attribute}: {s.value} ({s.n_positive} / {s.n})", s.auc, s.sensitivity, s.specificity)
        for s in subgroups
    )
    header = ("subgroup (positive / n)", "AUC", "sensitivity", "specificity")
    return Table("Subgroups at the operating point", header, rows)


def marks_tables(report: MarksReport) -> tuple[Table, Table, Table]:
    """Figures of marks over all thresholds, those at the threshold, and by size and subgroup."""
    game, at = report.pointing_game, report.at
    overall: dict[str, Estimate] = {"CPM (mean of the next seven)": report.cpm}
    for rate, estimate in report.sensitivity_at:
        overall[f"marked at {Fraction(rate)} false a picture"] = estimate
    overall |= {
        "AP at IoU 0.5": report.average_precision_50,
        "mAP at IoU 0.50 to 0.95": report.mean_average_precision,
        "highest mark hits": game.marks,
        "the middle of the picture hits": game.middle,
        "by chance (area)": game.chance,
    }
    at_threshold = {
        "fractures marked": at.sensitivity,
        "false marks per picture": at.false_marks,
        "every fracture marked": at.every_fracture,
        "normal pictures without marks": at.unmarked,
    }
    rows = [
        (
            f"{row.attribute}: {row.value} ({row.n_fractures} / {row.n})",
            row.sensitivity,
            "–" if row.false_marks is None else row.false_marks,
        )
        for row in (*report.sizes, *report.subgroups)
    ]
    of = f"{pluralise(report.n_fractures, 'fracture')} on {report.n_fractured} of {report.n} "
    of += f"pictures, {pluralise(report.n_groups, 'group')}"
    header = ("part (fractures / pictures)", "fractures marked", "false marks per picture")
    return (
        Table(f"Marks: {of}", ("figure", "value"), tuple(overall.items())),
        Table(
            f"Marks from {threshold_text(at.threshold)} ({at.rule})",
            ("figure", "value"),
            tuple(at_threshold.items()),
        ),
        Table("Marks by part, at the threshold", header, tuple(rows)),
    )


def comparison_tables(report: Comparison) -> tuple[Table, Table]:
    """Every figure of both networks with their difference; and the tests of no difference."""
    figures = tuple((row.name, row.first, row.second, row.difference) for row in report.rows)
    tests = tuple(
        (row.name, "–" if row.p_value is None else f"{row.p_value:.3g}", row.test or "–")
        for row in report.rows
    )
    title = f"Second against first: {report.n} studies, {report.n_groups} groups"
    return (
        Table(title, ("figure", "first", "second", "second − first"), figures),
        Table("Tests of no difference", ("figure", "p", "test"), tests),
    )


def cascade_tables(report: CascadeReport) -> tuple[Table, Table]:
    """The outcome of each true class, and the classifier without and with the filter."""
    every = studies_of(report.n, report.detector_classes[1])
    outcomes = Table(
        f"Cascade: {every}, detector at {report.threshold:.4g}",
        ("true class", "found", "mistyped", "missed"),
        tuple((o.name, o.found, o.mistyped, o.missed) for o in (*report.rows, report.total)),
    )
    without, behind = report.without_filter, report.with_filter
    rows: list[tuple[str | Estimate, ...]] = [
        ("accuracy on what it sees", without.accuracy, behind.accuracy),
        ("accuracy end to end", without.accuracy, report.total.found),
    ]
    names = {"precision": "precision", "recall": "recall", "F1": "f1"}
    for label, name in names.items():
        macro = f"macro_{name}"
        rows.append((f"macro {label}", getattr(without, macro), getattr(behind, macro)))
    rows += [
        (f"{alone.name}: {label}", getattr(alone, name), getattr(filtered, name))
        for alone, filtered in zip(without.rows, behind.rows, strict=True)
        for label, name in names.items()
    ]
    header = ("figure", f"without filter ({without.n})", f"with filter ({behind.n})")
    title = "Classifier without and with the detector in front"
    return outcomes, Table(title, header, tuple(rows))


def misses_table(report: CascadeReport) -> Table:
    """What the detector's misses cost, by true class."""
    return Table(
        "The cost of the detector's misses",
        ("true class", "missed", "lost (typed rightly alone)"),
        tuple((row.name, row.missed, row.lost) for row in (*report.rows, report.total)),
    )


def end_to_end_table(report: EndToEnd) -> Table:
    """What each called type is worth when normal studies come, too."""
    at = f"{report.prevalence:.1%}"
    rows = tuple(
        (row.name, row.precision, *map(str, (row.right, row.fractures - row.right, row.alarms)))
        for row in report.rows
    )
    negative, positive = report.detector_classes
    of = f"{studies_of(report.n_fractures, positive)}, {studies_of(report.n_normal, negative)}"
    of += f", at {at} {positive}"
    header = ("called", f"precision at {at}", "right", "mistyped", "alarms")
    return Table(f"End to end: {of}", header, rows)
