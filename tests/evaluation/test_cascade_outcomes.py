# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import json

import numpy as np
import pytest

from fracjax.evaluation import Predictions, cascade_report, per_class_report
from fracjax.evaluation.intervals import wilson
from fracjax.runtime.atomic_files import to_json

CLASSES = ("oblique", "spiral")


def _classifier(study, label, called):
    probabilities = np.where(np.arange(2) == np.asarray(called)[:, None], 0.75, 0.25)
    return Predictions(np.array(study), np.array(label), probabilities, CLASSES)


def _detector(study, score):
    score = np.asarray(score, float)
    return Predictions(
        np.array(study),
        np.ones(score.size, int),
        np.stack([1 - score, score], axis=1),
        ("healthy", "fracture"),
    )


# a: passed, right   b: passed, mistyped   c: missed, would be right   d, e: passed, right
CLASSIFIER = _classifier(list("abcde"), [0, 0, 0, 1, 1], [0, 1, 0, 1, 1])
DETECTOR = _detector(list("edcba"), [0.9, 0.5, 0.25, 0.75, 0.5])


def _values(fate):
    return [e.value for e in (fate.found, fate.mistyped, fate.missed)]


def test_by_hand():
    report = cascade_report(DETECTOR, 0.5, CLASSIFIER)
    oblique, spiral = report.rows
    assert (oblique.name, oblique.n, _values(oblique)) == ("oblique", 3, [1 / 3, 1 / 3, 1 / 3])
    assert (spiral.name, spiral.n, _values(spiral)) == ("spiral", 2, [1, 0, 0])
    assert (report.total.n, _values(report.total)) == (5, [3 / 5, 1 / 5, 1 / 5])
    assert (report.passed.value, report.passed.n) == (4 / 5, 5)
    assert report.total.found.value == 3 / 5  # the missed study is an error
    assert (report.total.found.low, report.total.found.high) == wilson(3, 5)
    # The filter makes the classifier look no better here: 4/5 without, 3/4 with.
    assert (report.without_filter.accuracy.value, report.without_filter.n) == (4 / 5, 5)
    assert (report.with_filter.accuracy.value, report.with_filter.n) == (3 / 4, 4)


def test_equals_the_classifier_s_own_report():
    report = cascade_report(DETECTOR, 0.5, CLASSIFIER)
    p = CLASSIFIER
    assert report.without_filter == per_class_report(p.label, p.called, CLASSES, p.groups)
    passed = np.array([0, 1, 3, 4])
    chosen = per_class_report(p.label[passed], p.called[passed], CLASSES, p.groups[passed])
    assert report.with_filter == chosen


def test_the_order_of_either_side_changes_nothing():
    first = cascade_report(DETECTOR, 0.5, CLASSIFIER)
    shuffled = cascade_report(DETECTOR.take([3, 1, 0, 4, 2]), 0.5, CLASSIFIER)
    assert shuffled == first
    other = cascade_report(DETECTOR, 0.5, CLASSIFIER.take([3, 1, 0, 4, 2]))
    assert other.rows == first.rows
    assert other.with_filter.matrix == first.with_filter.matrix


def test_a_detector_that_passes_all_is_no_filter():
    report = cascade_report(DETECTOR, 0.0, CLASSIFIER)
    assert report.with_filter == report.without_filter
    assert report.total.found == report.without_filter.accuracy


def test_a_detector_that_passes_none():
    report = cascade_report(DETECTOR, np.inf, CLASSIFIER)
    assert _values(report.total) == [0, 0, 1]
    assert report.with_filter.n == 0
    assert report.with_filter.accuracy.value is None
    assert json.loads(json.dumps(to_json(report), allow_nan=False))["threshold"] == "inf"


def test_a_type_without_studies_is_undefined():
    report = cascade_report(_detector(["a"], [0.9]), 0.5, _classifier(["a"], [0], [0]))
    assert _values(report.rows[1]) == [None, None, None]


def test_the_three_shares_add_up():
    rng = np.random.default_rng(0)
    study = [f"s{i}" for i in range(200)]
    classifier = _classifier(study, rng.integers(0, 2, 200), rng.integers(0, 2, 200))
    report = cascade_report(_detector(study, rng.random(200)), 0.4, classifier)
    for fate in (*report.rows, report.total):
        assert sum(_values(fate)) == pytest.approx(1, abs=1e-15)
    assert report.total.missed.value == pytest.approx(1 - report.passed.value, abs=1e-15)


def test_refusals():
    with pytest.raises(ValueError, match="1 studies only in the second: 'a'"):
        cascade_report(DETECTOR.take([0, 1, 2, 3]), 0.5, CLASSIFIER)
    with pytest.raises(ValueError, match="threshold is NaN"):
        cascade_report(DETECTOR, float("nan"), CLASSIFIER)
    three = Predictions(
        np.array(["a"]), np.array([0]), np.array([[0.2, 0.3, 0.5]]), ("x", "y", "z")
    )
    with pytest.raises(ValueError, match="a fracture score is of two classes"):
        cascade_report(three, 0.5, CLASSIFIER.take([0]))
