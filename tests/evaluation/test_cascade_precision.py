"""False alarms are typed, too, and count against the type."""

import numpy as np
import pytest

from fracjax.evaluation import Predictions, per_class_report
from fracjax.evaluation.cascade import Normals, end_to_end


def _classifier(label, called, k=2):
    n = len(label)
    names = np.array([f"f{i}" for i in range(n)])
    return Predictions(names, np.array(label), np.eye(k)[called], tuple("abcde"[:k]))


def _normals(passed, called):
    return Normals(np.array(passed, bool), np.array(called))


def _ends(estimate) -> tuple[float, float, float]:
    assert None not in (estimate.low, estimate.value, estimate.high)
    return estimate.low, estimate.value, estimate.high


def test_by_hand():
    """Of four fractures three pass, one of them is called wrongly; of ten normal ones four pass."""
    classifier = _classifier([0, 0, 1, 1], [0, 1, 1, 0])
    passed = np.array([True, True, True, False])
    normals = _normals([True] * 4 + [False] * 6, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    report = end_to_end(passed, classifier, normals, 0.2)
    a, b = report.rows
    assert (a.right, a.fractures, a.alarms) == (1, 1, 3)
    assert (b.right, b.fractures, b.alarms) == (1, 2, 1)
    assert a.precision.value == pytest.approx(0.2 * 0.25 / (0.2 * 0.25 + 0.8 * 0.3), abs=1e-12)
    assert b.precision.value == pytest.approx(0.2 * 0.25 / (0.2 * 0.5 + 0.8 * 0.1), abs=1e-12)
    assert (report.n_fractures, report.n_normal) == (4, 10)
    assert report.alarms.value == 0.4


def test_without_false_alarms_it_is_the_precision_of_what_passes():
    rng = np.random.default_rng(0)
    classifier = _classifier(rng.integers(0, 3, 60), rng.integers(0, 3, 60), k=3)
    passed = rng.random(60) < 0.7
    report = end_to_end(passed, classifier, _normals([False] * 8, [0] * 8), 0.1)
    alone = per_class_report(
        classifier.label[passed], classifier.called[passed], classifier.classes
    )
    for row, other in zip(report.rows, alone.rows, strict=True):
        assert row.precision.value == pytest.approx(other.precision.value, abs=1e-12)
        low, value, high = _ends(row.precision)
        assert low < value < high


def test_rarer_fractures_make_each_call_worth_less():
    classifier = _classifier([0, 1] * 10, [0, 1] * 10)
    normals = _normals([True, False] * 10, [0] * 20)
    values = [
        _ends(end_to_end(np.ones(20, bool), classifier, normals, p).rows[0].precision)[1]
        for p in (0.5, 0.1, 0.01)
    ]
    assert values[0] > values[1] > values[2] > 0


def test_a_type_that_is_never_called_is_undefined_and_impossible_input_refused():
    classifier = _classifier([0, 1], [0, 0])
    report = end_to_end(np.ones(2, bool), classifier, _normals([False], [1]), 0.1)
    assert report.rows[1].precision.value is None
    assert report.rows[1].precision.note == "never called"
    with pytest.raises(
        ValueError, match=r"(?s)prevalence:\n- it is 1; expected .*no negative study"
    ):
        end_to_end(np.ones(2, bool), classifier, _normals([], np.zeros(0, int)), 1.0)


def test_an_interval_without_spread_still_knows_the_prevalence_and_the_normal_studies():
    """Of twenty normal studies none passed; up to one in six might, which at 5 % is most calls."""
    classifier = _classifier([0, 1] * 10, [0, 1] * 10)
    few, many = (
        end_to_end(np.ones(20, bool), classifier, _normals([False] * m, [0] * m), 0.05).rows[0]
        for m in (20, 2000)
    )
    assert _ends(few.precision)[1:] == (1.0, 1.0)
    assert _ends(few.precision)[0] < 0.2
    assert _ends(many.precision)[0] > 0.5


def test_the_interval_holds_the_truth_where_false_alarms_are_few():
    """Of 60 normal studies two pass, of 40 fractures thirty: 200 draws, one type, at 10 %."""
    rng = np.random.default_rng(0)
    truth = 0.1 * 0.75 / (0.1 * 0.75 + 0.9 * 0.03)
    held = 0
    for _ in range(200):
        passed = rng.random(40) < 0.75
        alarms = (rng.random(60) < 0.03).tolist()
        classifier = _classifier([0] * 40, [0] * 40)
        row = end_to_end(passed, classifier, _normals(alarms, [0] * 60), 0.1).rows[0]
        low, _, high = _ends(row.precision)
        held += low <= truth <= high
    assert held >= 184  # 92 %
