"""Several networks side by side: the figures of each, their spread, and all of them as one."""

import json
import math

import numpy as np
import pytest
from rich.console import Console

from fracjax.evaluation import (
    Predictions,
    binary_report,
    choose_threshold,
    per_class_report,
)
from fracjax.evaluation.aggregate import mean, pooled, vote
from fracjax.evaluation.temperature import scaled
from fracjax.report.members_table import MembersReport, members_table, report_members
from fracjax.report.table import Cell
from fracjax.runtime.atomic_files import to_json

TYPES = ("Comminuted fracture", "Fracture Dislocation", "Pathological fracture")


def _detector(scores, label, study="s") -> Predictions:
    s = np.array(scores, np.float64)
    names = np.array([f"{study}{i}" for i in range(len(s))])
    return Predictions(names, np.array(label), np.stack([1 - s, s], 1), ("healthy", "fracture"))


LABEL = [0, 0, 1, 1]
EACH = [
    _detector([0.1, 0.2, 0.7, 0.8], LABEL),  # finds both, no false alarm
    _detector([0.1, 0.6, 0.2, 0.8], LABEL),  # finds one of two, one false alarm
    _detector([0.6, 0.1, 0.2, 0.9], LABEL),  # likewise
]
POINT = choose_threshold("fixed:0.5", np.array(LABEL), EACH[0].fracture_score)


def _values(figures):
    return [None if cell is None else cell.value for cell in figures.values()]


def _classifiers(count: int, n: int = 40) -> list[Predictions]:
    rng = np.random.default_rng(0)
    study, label = np.array([f"s{i}" for i in range(n)]), np.arange(n) % 3
    rows = [rng.dirichlet(np.ones(3), n) + 0.3 * np.eye(3)[label] for _ in range(count)]
    return [Predictions(study, label, row / row.sum(1, keepdims=True), TYPES) for row in rows]


@pytest.fixture(scope="module")
def detectors() -> MembersReport:
    return report_members(EACH, POINT, 1.0, folds=False)


def test_detectors_by_hand(detectors):
    names = ["AUC", "sensitivity at 0.5", "specificity at 0.5"]
    for figures in (*detectors.each, detectors.mean_and_sd, *detectors.together.values()):
        assert [*figures] == names
    assert [_values(row) for row in detectors.each] == [
        [1, 1, 1],
        [0.75, 0.5, 0.5],
        [0.75, 0.5, 0.5],
    ]
    assert [s.mean for s in detectors.mean_and_sd.values()] == pytest.approx(
        [2.5 / 3, 2 / 3, 2 / 3]
    )
    assert [s.sd for s in detectors.mean_and_sd.values()] == pytest.approx(
        [0.25 / math.sqrt(3), *[0.5 / math.sqrt(3)] * 2]
    )
    # Means 0.27, 0.30, 0.37, 0.83; votes 1, 1, 1 and 3 of three.
    assert _values(detectors.together["mean of probabilities"]) == [1.0, 0.5, 1.0]
    assert _values(detectors.together["majority vote"]) == [None, 0.5, 1.0]


def test_an_even_vote_of_detectors_is_a_fracture():
    report = report_members(EACH[:2], POINT, 1.0, folds=False)
    # The second healthy study and the first fracture have one vote of two.
    assert _values(report.together["majority vote"]) == [None, 1.0, 0.5]


def test_a_vote_is_at_the_threshold_and_not_at_half():
    point = choose_threshold("fixed:0.15", np.array(LABEL), EACH[0].fracture_score)
    report = report_members(EACH, point, 1.0, folds=False)
    assert [*report.mean_and_sd][1] == "sensitivity at 0.15"
    # Called by two of three or more: 0.1 0.1 0.6 no, 0.2 0.6 0.1 yes, and both fractures.
    assert _values(report.together["majority vote"]) == [None, 1.0, 0.5]


def test_all_networks_are_at_the_temperature_of_their_mean():
    """The mean is scaled after it is taken, as what leaves a run is."""
    report = report_members(EACH, POINT, 3.0, folds=False)
    for row, one in zip(report.each, EACH, strict=True):
        alone = scaled(one, 3.0)
        figures = binary_report(alone.label, alone.fracture_score, POINT).at_operating_point
        assert _values(row)[1:] == [figures.sensitivity.value, figures.specificity.value]
    together = scaled(mean(EACH), 3.0)
    figures = binary_report(together.label, together.fracture_score, POINT).at_operating_point
    expected = [figures.sensitivity.value, figures.specificity.value]
    assert _values(report.together["mean of probabilities"])[1:] == expected


def test_classifiers_have_the_figures_of_each_of_the_mean_and_of_the_vote():
    each = _classifiers(3)
    report = report_members(each, None, 1.0, folds=False)
    assert [*report.mean_and_sd] == ["accuracy", "macro F1"]
    for found, one in (
        *zip(report.each, each, strict=True),
        (report.together["mean of probabilities"], mean(each)),
        (report.together["majority vote"], vote(each)),
    ):
        alone = per_class_report(one.label, one.called, one.classes, one.groups)
        assert tuple(found.values()) == (alone.accuracy, alone.macro_f1)
    mean_of, voted = report.together.values()
    assert mean_of != voted  # else the one could stand for the other


def test_folds_are_pooled_and_neither_averaged_nor_counted():
    folds = [
        _detector([0.1, 0.9], [0, 1], "a"),
        _detector([0.2, 0.4, 0.3], [0, 1, 0], "b"),
        _detector([0.6, 0.7], [0, 1], "c"),
    ]
    report = report_members(folds, POINT, 1.0, folds=True)
    assert list(report.together) == ["all folds pooled"]
    whole = pooled(folds)
    alone = binary_report(whole.label, whole.fracture_score, POINT, whole.groups)
    at = alone.at_operating_point
    figures = tuple(report.together["all folds pooled"].values())
    assert figures == (alone.auc, at.sensitivity, at.specificity)
    assert alone.auc.n == 7
    # Each fold ranks its own studies without a fault; all of them together are not.
    assert report.mean_and_sd["AUC"].mean == 1.0
    assert alone.auc.value == pytest.approx(11 / 12)
    assert members_table(report, [2, 3, 2]).title == "3 networks, 2 + 3 + 2 studies"


def test_a_figure_that_one_network_has_not_is_undefined_and_never_0():
    folds = [_detector([0.1, 0.9], [0, 1], "a"), _detector([0.2, 0.4], [0, 0], "b")]
    report = report_members(folds, POINT, 1.0, folds=True)
    assert [s.mean for s in report.mean_and_sd.values()] == [None, None, 1.0]
    rows = {row[0]: row[1:] for row in members_table(report, [2, 2]).rows}
    assert rows["mean ± standard deviation"] == ("undefined", "undefined", "1.000 ± 0.000")
    assert members_table(report, [2, 2]).grid().rows[1][1] == Cell(
        "figure", "undefined", "", 2, "undefined: no positive study among 2", 1
    )


def test_the_table_has_a_row_of_every_network_and_of_all_of_them(detectors):
    table = members_table(detectors, [4, 4, 4])
    assert table.title == "3 networks on 4 studies each"
    assert [row[0] for row in table.rows] == [
        "network 1", "network 2", "network 3", "mean ± standard deviation",
        "mean of probabilities", "majority vote",
    ]  # fmt: skip
    assert table.rows[3][1:] == ("0.833 ± 0.144", "0.667 ± 0.289", "0.667 ± 0.289")
    assert table.rows[5][1] == "–"


@pytest.mark.parametrize("point", [POINT, None], ids=["detectors", "classifiers"])
def test_a_screen_of_80_columns_shows_every_figure_whole(point):
    each = EACH if point else _classifiers(3)
    table = members_table(report_members(each, point, 1.0, folds=False), [len(LABEL)] * 3)
    console = Console(width=80, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table.rich())
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for row in table.rows:
        for cell in row[1:]:
            assert (cell if isinstance(cell, str) else cell.figure) in text


def test_json_holds_every_figure(detectors):
    found = json.loads(json.dumps(to_json(detectors), allow_nan=False))
    assert [one["AUC"]["value"] for one in found["each"]] == [1.0, 0.75, 0.75]
    assert found["mean_and_sd"]["AUC"]["values"] == [1.0, 0.75, 0.75]
    assert found["together"]["majority vote"]["AUC"] is None
    assert found["together"]["majority vote"]["sensitivity at 0.5"]["value"] == 0.5
    assert found["together"]["mean of probabilities"]["specificity at 0.5"]["n"] == 2
