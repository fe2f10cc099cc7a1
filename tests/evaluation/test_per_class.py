# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import json

import numpy as np
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose

from fracjax.evaluation import per_class_report
from fracjax.evaluation.intervals import wilson
from fracjax.runtime.atomic_files import to_json

CLASSES = ("oblique", "spiral", "transverse")


def _set(n=120, k=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    return y, np.where(rng.random(n) < 0.6, y, rng.integers(0, k, n))


def test_by_hand():
    report = per_class_report([0, 0, 1, 2, 2], [0, 1, 1, 2, 0], CLASSES)
    assert report.matrix == ((1, 1, 0), (0, 1, 0), (1, 0, 1))
    assert (report.accuracy.value, report.accuracy.n) == (3 / 5, 5)
    row = report.rows[2]
    assert (row.name, row.support, row.called) == ("transverse", 2, 1)
    assert (row.precision.value, row.precision.n) == (1, 1)
    assert (row.recall.value, row.recall.n) == (1 / 2, 2)
    assert (row.recall.low, row.recall.high) == wilson(1, 2)
    assert (row.specificity.value, row.specificity.n) == (1, 3)  # of the other classes
    assert (report.rows[0].specificity.value, report.rows[0].specificity.n) == (2 / 3, 3)
    assert row.f1.value == 2 / 3
    assert report.macro_recall.value == pytest.approx((1 / 2 + 1 + 1 / 2) / 3, abs=1e-15)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_equals_scikit_learn(k):
    y, p = _set(300, k)
    report = per_class_report(y, p, tuple(map(str, range(k))))
    precision, recall, f1, support = sk.precision_recall_fscore_support(y, p)
    assert [row.support for row in report.rows] == support.tolist()
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        values = [getattr(row, name).value for row in report.rows]
        assert_allclose(values, expected, atol=1e-14)
        macro = getattr(report, f"macro_{name}").value
        assert_allclose(macro, expected.mean(), atol=1e-14)
    assert_allclose(report.accuracy.value, sk.accuracy_score(y, p), atol=1e-14)
    for micro in (sk.precision_score, sk.recall_score, sk.f1_score):
        assert_allclose(report.accuracy.value, micro(y, p, average="micro"), atol=1e-14)
    for i, row in enumerate(report.rows):
        other = sk.recall_score(y == i, p == i, pos_label=0)
        assert_allclose(row.specificity.value, other, atol=1e-14)


def test_a_class_never_called_makes_macro_precision_undefined_and_is_named():
    # scikit-learn puts 0 for "spiral", warns, and averages the 0 in.
    report = per_class_report([0, 0, 1, 2], [0, 0, 0, 2], CLASSES)
    assert report.rows[1].precision.value is None
    assert report.rows[1].precision.note == "never called"
    assert report.rows[1].recall.value == 0
    assert report.rows[1].f1.value == 0
    assert report.macro_precision.value is None
    assert report.macro_precision.note == "undefined for spiral"
    assert report.macro_recall.value == 2 / 3


def test_absent_classes_make_macro_recall_undefined_and_are_named():
    report = per_class_report([0, 0], [0, 1], CLASSES)
    assert report.rows[1].recall.note == "no study of this class"
    assert report.rows[2].f1.note == "neither present nor called"
    assert report.macro_recall.note == "undefined for spiral, transverse"
    assert report.macro_f1.note == "undefined for transverse"
    assert report.accuracy.value == 1 / 2


def test_no_study_at_all_leaves_everything_undefined():
    report = per_class_report(np.zeros(0, int), np.zeros(0, int), CLASSES)
    assert report.n == 0
    assert {report.accuracy.value, report.macro_f1.value, report.rows[0].f1.value} == {None}


def test_every_figure_has_an_interval_around_it():
    report = per_class_report(*_set(), CLASSES)
    figures = [report.accuracy, report.macro_precision, report.macro_recall, report.macro_f1]
    figures += [e for row in report.rows for e in (row.precision, row.recall, row.f1)]
    for e in figures:
        assert e.low < e.value < e.high
        assert e.n > 0


def test_a_perfect_classifier_has_no_interval_of_zero_width():
    y = np.arange(30) % 3
    report = per_class_report(y, y, CLASSES)
    for e in (report.macro_precision, report.macro_recall, report.macro_f1, report.rows[0].f1):
        assert e.value == pytest.approx(1, abs=1e-15)
        assert 0.5 < e.low < 0.95
        assert e.high == pytest.approx(1, abs=1e-12)
    assert report.macro_f1.method == "MOVER over classes"


def test_groups_are_resampled_whole():
    y, p = _set()
    group = np.array([f"g{i}" for i in range(120)])
    once = per_class_report(y, p, CLASSES, group)
    twice = per_class_report(np.tile(y, 2), np.tile(p, 2), CLASSES, np.tile(group, 2))
    assert twice.n_groups == 120
    assert once.macro_f1.low == pytest.approx(twice.macro_f1.low, abs=1e-12)


def test_renaming_and_reordering_classes_moves_figures_along():
    y, p = _set()
    order = np.array([2, 0, 1])  # class i becomes class order[i]
    first = per_class_report(y, p, CLASSES)
    other = per_class_report(order[y], order[p], ("spiral", "transverse", "oblique"))
    assert other.macro_f1.value == pytest.approx(first.macro_f1.value, abs=1e-14)
    assert other.rows[2].f1 == first.rows[0].f1


def test_json_is_strict():
    report = per_class_report([0, 0], [0, 1], CLASSES)
    data = json.loads(json.dumps(to_json(report), allow_nan=False))
    assert data["rows"][1]["recall"]["value"] is None
    assert data["matrix"] == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_refusals():
    with pytest.raises(ValueError, match=r"predictions \(2, 3\); expected one of each per study"):
        per_class_report([0, 1], np.ones((2, 3), int), CLASSES)
    with pytest.raises(ValueError, match="labels and predictions") as error:
        per_class_report([0, 5], [-1, 1], CLASSES)
    assert "labels must be class indices 0 .. 2; found 5 in 1 studies" in str(error.value)
    assert "predictions must be class indices 0 .. 2; found -1" in str(error.value)
    with pytest.raises(ValueError, match=r"predictions must be class indices 0 \.\. 2; found 0\.2"):
        per_class_report([0, 1], [0.2, 0.7], CLASSES)
    with pytest.raises(ValueError, match=r"labels have shape \(3,\) and predictions \(2,\)"):
        per_class_report([0, 1, 2], [0, 1], CLASSES)
