"""The figures of an evaluation as tables: on the screen by rich, and as Markdown.

Every cell of a figure reads `0.912 [0.88, 0.94] n=613`: value, 95 % interval, and what it was
counted over. What is undefined says so, and a note below the table says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import rich.table
from rich import box
from rich.text import Text

from fracjax.evaluation import BinaryReport, CascadeOutcome, CascadeReport, Estimate, PerClassReport
from fracjax.evaluation.calibration import Reliability
from fracjax.evaluation.cascade_precision import EndToEnd
from fracjax.evaluation.compare import Comparison
from fracjax.evaluation.recalibration import Recalibration
from fracjax.evaluation.subgroups import Subgroup

_NAME_WIDTH = 14  # letters that the names of rows keep on a narrow screen
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


@dataclass(frozen=True)
class Table:
    """Rows of text and estimates under a header; the first column names the row."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | Estimate, ...], ...]

    @property
    def notes(self) -> list[str]:
        """How the intervals were made, and why a figure or its interval is missing."""
        named = [
            (f"{row[0]}, {_one_line(column)}", cell)
            for row in self.rows
            for column, cell in zip(self.header, row, strict=True)
            if isinstance(cell, Estimate)
        ]
        # Of "bootstrap of 46 groups, 2000 resamples, 3 undefined" the first part is enough here.
        methods = {cell.method.partition(",")[0]: None for _, cell in named if cell.low is not None}
        notes = [f"95 % intervals: {', '.join(methods)}."] if methods else []
        return notes + [f"{name}: {_why(cell)}." for name, cell in named if cell.low is None]

    def rich(self) -> rich.table.Table:
        """For a screen of 80 columns: three figures side by side have their n on a second line."""
        estimates = max((sum(isinstance(c, Estimate) for c in row) for row in self.rows), default=0)
        table = rich.table.Table(
            title=Text(self.title),
            title_justify="left",
            title_style="bold",
            caption=Text("\n".join(self.notes)),
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            show_edge=False,
        )
        for i, column in enumerate(self.header):
            text_only = all(not isinstance(row[i], Estimate) for row in self.rows)
            right = text_only and i > 0
            table.add_column(
                Text(column),
                justify="right" if right else "left",
                no_wrap=i > 0,
                min_width=None if i else _NAME_WIDTH,
            )
        for row in self.rows:
            table.add_row(*(_cell(c, stacked=estimates > 2) for c in row))
        return table

    def markdown(self) -> str:
        """A GitHub table with its title in bold above and its notes below."""
        lines = [f"**{self.title}**", "", _line(self.header), _line(["---"] * len(self.header))]
        lines += [_line([str(cell) for cell in row]) for row in self.rows]
        return "\n".join([*lines, "", *(f"{note}  " for note in self.notes)]).rstrip() + "\n"


def binary_tables(report: BinaryReport) -> tuple[Table, Table]:
    """A detector's figures: those without a threshold, and those at the two thresholds."""
    point, half = report.at_operating_point, report.at_half
    of = f"{report.n} studies, {report.n_positive} fractures, {report.n_groups} groups"
    overall = Table(
        f"Detector: {of}",
        ("figure", "value"),
        (
            ("AUC", report.auc),
            ("partial AUC, specificity ≥ 0.9", report.partial_auc),
            ("average precision (PR-AUC)", report.average_precision),
            ("prevalence", report.prevalence),
        ),
    )
    counts = [
        " / ".join(str(c) for c in (*at.matrix[1][::-1], *at.matrix[0][::-1]))
        for at in (point, half)
    ]
    at_threshold = Table(
        "Detector at a threshold",
        ("figure", f"at {point.threshold:.4g} ({point.rule})", "at 0.5"),
        (
            *(
                (label, getattr(point, name), getattr(half, name))
                for name, label in _AT_THRESHOLD.items()
            ),
            ("TP / FN / FP / TN", *counts),
        ),
    )
    return overall, at_threshold


def per_class_table(report: PerClassReport, title: str = "Classifier") -> Table:
    """A classifier's figures, one row per class, and their macro averages."""
    return Table(
        f"{title}: accuracy {report.accuracy}, {report.n_groups} groups",
        ("class", "precision\n(n called so)", "recall\n(n of the class)", "F1\n(n of all)"),
        (
            *((row.name, row.precision, row.recall, row.f1) for row in report.rows),
            ("macro average", report.macro_precision, report.macro_recall, report.macro_f1),
        ),
    )


def reliability_table(report: Reliability, line: Recalibration) -> Table:
    """How far the probabilities are from the shares that they promise."""
    return Table(
        "Calibration",
        ("figure", "value"),
        (
            ("intercept (0 is ideal; below, probabilities are too high)", line.intercept),
            ("slope (1 is ideal; below, they are too extreme)", line.slope),
            ("Brier score", report.brier),
            ("expected calibration error, bins of equal width", report.ece),
            ("expected calibration error, bins of equal mass", report.ece_equal_mass),
        ),
    )


def subgroup_table(subgroups: Sequence[Subgroup]) -> Table:
    """One row per subgroup."""
    return Table(
        "Subgroups at the operating point",
        ("subgroup (fractures / n)", "AUC", "sensitivity", "specificity"),
        tuple(
            (
                f"{one.attribute}: {one.value} ({one.n_positive} / {one.n})",
                one.auc,
                one.sensitivity,
                one.specificity,
            )
            for one in subgroups
        ),
    )


def comparison_tables(report: Comparison) -> tuple[Table, Table]:
    """Every figure of both networks with their difference; and the tests of no difference."""
    return (
        Table(
            f"Second against first: {report.n} studies, {report.n_groups} groups",
            ("figure", "first", "second", "second − first"),
            tuple((row.name, row.first, row.second, row.difference) for row in report.rows),
        ),
        Table(
            "Tests of no difference",
            ("figure", "p", "test"),
            tuple(
                (row.name, "–" if row.p_value is None else f"{row.p_value:.3g}", row.test or "–")
                for row in report.rows
            ),
        ),
    )


def cascade_tables(report: CascadeReport) -> tuple[Table, Table]:
    """The fate of each true class, and the classifier without and with the filter."""
    fates = Table(
        f"Cascade: {report.n} studies with a fracture, detector at {report.threshold:.4g}",
        ("true class", "found", "mistyped", "missed"),
        tuple(_fate(fate) for fate in (*report.rows, report.total)),
    )
    without, behind = report.without_filter, report.with_filter
    rows: list[tuple[str | Estimate, ...]] = [
        ("accuracy on what it sees", without.accuracy, behind.accuracy),
        ("accuracy end to end", without.accuracy, report.end_to_end_accuracy),
    ]
    for label, name in (("precision", "precision"), ("recall", "recall"), ("F1", "f1")):
        macro = f"macro_{name}"
        rows.append((f"macro {label}", getattr(without, macro), getattr(behind, macro)))
    for alone, filtered in zip(without.rows, behind.rows, strict=True):
        for label, name in (("precision", "precision"), ("recall", "recall"), ("F1", "f1")):
            rows.append((f"{alone.name}: {label}", getattr(alone, name), getattr(filtered, name)))
    comparison = Table(
        "Classifier without and with the detector in front",
        ("figure", f"without filter ({without.n})", f"with filter ({behind.n})"),
        tuple(rows),
    )
    return fates, comparison


def misses_table(report: CascadeReport) -> Table:
    """What the detector's misses cost, by true class."""
    return Table(
        "The cost of the detector's misses",
        ("true class", "missed", "lost (typed rightly alone)"),
        tuple((fate.name, fate.missed, fate.lost) for fate in (*report.rows, report.total)),
    )


def end_to_end_table(report: EndToEnd) -> Table:
    """What each called type is worth when normal studies come, too."""
    return Table(
        f"End to end: {report.n_fractures} fractures, {report.n_normal} normal studies, at "
        f"{report.prevalence:.1%} fractures",
        ("called", f"precision at {report.prevalence:.1%}", "right", "mistyped", "alarms"),
        tuple(
            (
                row.name,
                row.precision,
                str(row.right),
                str(row.fractures - row.right),
                str(row.alarms),
            )
            for row in report.rows
        ),
    )


def _fate(fate: CascadeOutcome) -> tuple[str | Estimate, ...]:
    return fate.name, fate.found, fate.mistyped, fate.missed


def _why(cell: Estimate) -> str:
    if cell.value is None:
        return cell.note if cell.note.startswith("undefined") else f"undefined ({cell.note})"
    return f"no interval ({cell.note})"


def _cell(cell: str | Estimate, *, stacked: bool) -> Text:
    # Text, not a string: rich would read the brackets of a class name as markup.
    if isinstance(cell, str):
        return Text(cell)
    return Text(f"{cell.figure}\nn={cell.n}" if stacked else str(cell))


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def _one_line(text: str) -> str:
    return text.replace("\n", " ")
