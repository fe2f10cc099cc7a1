import re

import numpy as np
import pytest
from rich.console import Console

from fracjax.evaluation import (
    Predictions,
    binary_report,
    cascade_report,
    choose_threshold,
    per_class_report,
)
from fracjax.report.table import Cell, Table
from fracjax.report.tables import binary_tables, cascade_tables, marks_tables, per_class_table
from tests.report.sample_page import MARKS_REPORT

CLASSES = ("Intra-articular fracture", "Comminuted fracture", "Pathological fracture")
# value [low, high] n=..., with the two-digit interval or more
FIGURE = re.compile(r"-?\d\.\d{3} \[-?\d\.\d{2,4}, \d\.\d{2,4}\] n=\d+")


def _screen(table: Table, width: int = 80) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table.rich())
    return capture.get()


def _detector():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 90)
    s = np.clip(0.3 + 0.3 * y + 0.2 * rng.normal(size=90), 0, 1)
    return binary_report(y, s, choose_threshold("sensitivity:0.9", y, s), resamples=50)


def _classifier(n=60):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return y, np.where(rng.random(n) < 0.7, y, rng.integers(0, 3, n))


def _cascade(threshold=0.5):
    y, p = _classifier()
    study = np.array([f"s{i}" for i in range(60)])
    s = np.random.default_rng(1).random(60)
    return cascade_report(
        Predictions(study, np.ones(60, int), np.stack([1 - s, s], 1), ("healthy", "fracture")),
        threshold,
        Predictions(study, y, np.eye(3)[p], CLASSES),
        resamples=50,
    )


def test_a_grid_by_hand():
    report = per_class_report([0, 0, 1], [0, 1, 1], ("a|b", "c"), resamples=50)
    table = per_class_table(report)
    grid = table.grid()
    assert table.title == "Classifier: accuracy 0.667 [0.21, 0.94] n=3, 3 groups"
    assert table.header[1] == "precision\n(n called so)"
    assert grid.kinds == ["text", "figure", "figure", "figure"]
    name, precision, recall, _ = grid.rows[0]
    assert name == Cell("text", "a|b")
    assert precision == Cell("figure", "1.000", "[0.21, 1.00]", 1)
    assert recall == Cell("figure", "0.500", "[0.09, 0.91]", 2)
    assert grid.methods.startswith("95 % intervals: Wilson, bootstrap of 3 groups")


@pytest.mark.parametrize(
    "table",
    [
        *binary_tables(_detector()),
        per_class_table(per_class_report(*_classifier(), CLASSES, resamples=50)),
        *cascade_tables(_cascade()),
        *marks_tables(MARKS_REPORT)[:2],
    ],
    ids=["overall", "threshold", "classes", "fates", "comparison", "marks", "shown"],
)
def test_a_screen_of_80_columns_shows_every_figure_whole(table):
    text = _screen(table)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    cells = [c for row in table.rows for c in row if not isinstance(c, str)]
    assert cells
    for cell in cells:
        assert cell.figure in text
        assert f"n={cell.n}" in text
        assert FIGURE.fullmatch(str(cell))


def test_both_thresholds_are_named_and_counted():
    report = _detector()
    table, point = binary_tables(report)[1], report.at_operating_point
    assert table.header[1:] == (f"at {point.threshold:.4g} (sensitivity:0.9)", "at 0.5")
    (tn, fp), (fn, tp) = point.matrix
    assert table.rows[-1][:2] == ("TP / FN / FP / TN", f"{tp} / {fn} / {fp} / {tn}")
    assert f"{report.n_positive} of them positive" in binary_tables(report)[0].title


def test_the_comparison_shows_both_sides_and_end_to_end():
    report = _cascade()
    fates, comparison = cascade_tables(report)
    assert comparison.header[1:] == ("without filter (60)", f"with filter ({report.with_filter.n})")
    rows = {row[0]: row[1:] for row in comparison.rows}
    assert rows["accuracy end to end"] == (report.without_filter.accuracy, report.total.found)
    assert rows["macro F1"] == (report.without_filter.macro_f1, report.with_filter.macro_f1)
    assert rows[f"{CLASSES[1]}: recall"][1] == report.with_filter.rows[1].recall
    assert [row[0] for row in fates.rows] == [*CLASSES, "all"]


def test_undefined_says_so_and_why_and_is_never_0():
    table = per_class_table(per_class_report([0, 0], [0, 1], ("a", "b", "c"), resamples=50))
    text = _screen(table, 200)
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    no_recall, no_f1 = "undefined: no study of this class", "undefined: neither present nor called"
    notes = {note[4:]: note[:3] for note in text.splitlines() if note.startswith("(")}
    notes = {note.strip(): number for note, number in notes.items()}
    assert f"undefined {notes[no_recall]}" in rows["b"]
    assert f"undefined {notes[no_f1]}" in rows["c"]
    assert "undefined for b, c" in notes
    _, comparison = cascade_tables(_cascade(np.inf))
    assert "undefined: no studies" in comparison.grid().notes


def test_a_class_name_is_not_markup():
    table = per_class_table(per_class_report([0, 1], [0, 1], ("[red]x", "y[/]"), resamples=50))
    assert "[red]x" in _screen(table)
    assert "y[/]" in _screen(table)
