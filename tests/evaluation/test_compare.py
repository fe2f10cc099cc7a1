# Estimates may be None and statsmodels' returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import json

import numpy as np
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from fracjax.evaluation import Predictions
from fracjax.evaluation.compare import compare_classifiers, compare_detectors, tango
from fracjax.evaluation.delong import auc_difference
from fracjax.runtime.atomic_files import to_json
from tests.evaluation.helpers import draw_weights

DETECTORS = ("normal", "fracture")
CLASSES = ("spiral", "oblique", "hairline")


def _made(label, probabilities, classes, groups=None):
    n = len(label)
    attributes = {} if groups is None else {"group": np.asarray(groups)}
    study = np.array([f"s{i:03d}" for i in range(n)])
    return Predictions(study, np.asarray(label), probabilities, classes, attributes)


def _detector(label, score, groups=None):
    score = np.asarray(score, float)
    return _made(label, np.stack([1 - score, score], axis=1), DETECTORS, groups)


def _detectors(n=120, gain=1.5, seed=0, groups=None):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    shared = rng.normal(size=n) + y
    first, second = (
        1 / (1 + np.exp(-shared - g * y - rng.normal(size=n) + 0.5)) for g in (0, gain)
    )
    return _detector(y, first, groups), _detector(y, second, groups)


def _classifiers(n=90, seed=0, right=(0.6, 0.8)):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    called = [np.where(rng.random(n) < r, y, rng.integers(0, 3, n)) for r in right]
    return [_made(y, np.eye(3)[c] * 0.7 + 0.1, CLASSES) for c in called]


def _rows(comparison):
    return {row.name: row for row in comparison.rows}


def test_by_hand():
    # Fractures: both found 1, only the second 2, neither 1. Normal: both pass 3, only the first 1.
    y = [1, 1, 1, 1, 0, 0, 0, 0]
    first = [0.9, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    second = [0.9, 0.8, 0.8, 0.1, 0.2, 0.2, 0.2, 0.7]
    made = compare_detectors(_detector(y, first), _detector(y, second), (0.5, 0.7), resamples=50)
    assert (made.n, made.n_groups, made.only_first, made.only_second) == (8, 8, 1, 2)
    rows = _rows(made)
    assert (rows["sensitivity"].first.value, rows["sensitivity"].second.value) == (0.25, 0.75)
    assert (rows["sensitivity"].difference.value, rows["sensitivity"].difference.n) == (0.5, 4)
    assert rows["sensitivity"].p_value == 0.5
    assert rows["specificity"].difference.value == -0.25
    assert rows["specificity"].p_value == 1
    assert rows["accuracy"].difference.value == 1 / 8
    assert rows["accuracy"].p_value == 1
    assert rows["F1"].first.value == 2 / 5  # TP 1, FP 0, FN 3
    assert rows["F1"].second.value == 6 / 8  # TP 3, FP 1, FN 1
    assert rows["F1"].difference.value == pytest.approx(0.35)


def test_every_figure_equals_its_reference():
    first, second = _detectors()
    rows = _rows(compare_detectors(first, second, (0.4, 0.6), resamples=50))
    y = first.label
    for row in rows.values():
        assert row.difference.value == pytest.approx(row.second.value - row.first.value)
    for one, threshold, side in ((first, 0.4, "first"), (second, 0.6, "second")):
        score = one.fracture_score
        called = score >= threshold
        for name, value in (
            ("AUC", sk.roc_auc_score(y, score)),
            ("average precision", sk.average_precision_score(y, score)),
            ("sensitivity", sk.recall_score(y, called)),
            ("specificity", sk.recall_score(1 - y, ~called)),
            ("accuracy", sk.accuracy_score(y, called)),
            ("F1", sk.f1_score(y, called)),
            ("Brier score", sk.brier_score_loss(y, score)),
        ):
            assert_allclose(getattr(rows[name], side).value, value, atol=1e-12)
    estimate, p_value = auc_difference(
        y, first.fracture_score, second.fracture_score, np.arange(120)
    )
    assert (rows["AUC"].difference, rows["AUC"].p_value) == (estimate, p_value)


def test_mcnemar_equals_statsmodels_and_the_interval_is_tango_s():
    first, second = _detectors()
    made = compare_detectors(first, second, (0.5, 0.5), resamples=50)
    right = [(p.fracture_score >= 0.5) == (p.label == 1) for p in (first, second)]
    for name, among in (
        ("sensitivity", first.label == 1),
        ("specificity", first.label == 0),
        ("accuracy", first.label >= 0),
    ):
        a, b = right[0][among], right[1][among]
        table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        row = _rows(made)[name]
        assert_allclose(row.p_value, statsmodels_mcnemar(table, exact=True).pvalue, rtol=1e-10)
        assert row.test == "McNemar, exact"
        ends = tango(float(table[1][0]), float(table[0][1]), float(among.sum()))
        assert (row.difference.low, row.difference.high) == ends
    assert made.only_first == table[0][1]


def test_bootstrapped_differences_are_of_the_same_resamples():
    first, second = _detectors(60)
    made = _rows(compare_detectors(first, second, (0.5, 0.5), seed=3, resamples=400))
    weights = draw_weights(np.arange(60), seed=3, resamples=400)
    loss = [(one.fracture_score - one.label) ** 2 for one in (first, second)]
    gains = weights @ (loss[1] - loss[0]) / 60
    row = made["Brier score"]
    ends = np.quantile(gains, [0.025, 0.975])
    assert_allclose((row.difference.low, row.difference.high), ends, atol=1e-12)
    smaller = min((gains <= 0).sum(), (gains >= 0).sum())
    assert row.p_value == pytest.approx(2 * (1 + smaller) / 401)
    assert row.test == "bootstrap by group"


def test_intervals_and_tests_agree():
    for seed in range(12):
        gain = 0.8 * (seed % 3)
        made = compare_detectors(*_detectors(150, gain, seed), (0.5, 0.5), resamples=400)
        for row in made.rows:
            leaves_out_0 = row.difference.low > 0 or row.difference.high < 0
            if row.test == "McNemar, exact":  # the more cautious of the two
                assert row.p_value > 0.05 or leaves_out_0
                assert row.p_value < 0.13 or not leaves_out_0
            elif abs(row.p_value - 0.05) > 0.006:  # within a resample of the percentile
                assert leaves_out_0 == (row.p_value < 0.05)


def test_studies_meet_by_id_and_sides_change_the_sign():
    first, second = _detectors()
    made = compare_detectors(first, second, (0.4, 0.6), resamples=60)
    shuffled = second.take(np.random.default_rng(1).permutation(120))
    assert compare_detectors(first, shuffled, (0.4, 0.6), resamples=60) == made
    turned = compare_detectors(second, first, (0.6, 0.4), resamples=60)
    assert (turned.only_first, turned.only_second) == (made.only_second, made.only_first)
    for one, other in zip(made.rows, turned.rows, strict=True):
        assert_allclose(one.difference.low, -other.difference.high, atol=1e-9)
        assert one.p_value == pytest.approx(other.p_value)


def test_copies_of_studies_are_no_evidence():
    y, scores = np.arange(40) % 2, np.random.default_rng(5).random((2, 40))
    scores[1] = (scores[1] + y) / 2
    alone = _rows(compare_detectors(*(_detector(y, s) for s in scores), (0.5, 0.5)))
    groups = np.repeat(np.arange(40), 4)
    copies = [_detector(np.repeat(y, 4), np.repeat(s, 4), groups) for s in scores]
    made = compare_detectors(*copies, (0.5, 0.5))
    assert (made.n, made.n_groups) == (160, 40)
    for name, row in _rows(made).items():
        assert row.p_value == pytest.approx(alone[name].p_value, rel=0.15, abs=0.003)
        width = row.difference.high - row.difference.low
        assert width == pytest.approx(alone[name].difference.high - alone[name].difference.low, 0.1)
        assert "by group" in row.test


def test_a_network_and_itself():
    first, _ = _detectors()
    made = compare_detectors(first, first, (0.5, 0.5), resamples=60)
    assert (made.only_first, made.only_second) == (0, 0)
    for row in made.rows:
        assert row.difference.value == 0
        assert row.difference.low < 0 < row.difference.high
        assert row.p_value in (None, 1)
        assert (row.p_value is None) == (row.test == "")


def test_one_class_is_undefined_where_it_has_to_be():
    y = np.ones(20, int)
    rng = np.random.default_rng(0)
    made = compare_detectors(
        _detector(y, rng.random(20)), _detector(y, rng.random(20)), (0.5, 0.5), resamples=60
    )
    rows = _rows(made)
    for name in ("AUC", "average precision", "specificity"):
        assert (rows[name].difference.value, rows[name].p_value, rows[name].test) == (
            None,
            None,
            "",
        )
        assert "no negative study" in rows[name].difference.note
    assert rows["sensitivity"].p_value is not None
    assert json.loads(json.dumps(to_json(made), allow_nan=False))["n"] == 20


def test_classifiers():
    first, second = _classifiers()
    made = compare_classifiers(first, second, resamples=400)
    rows = _rows(made)
    assert list(rows) == ["accuracy", "macro F1"]
    for one, side in ((first, "first"), (second, "second")):
        macro = sk.f1_score(one.label, one.called, average="macro")
        assert_allclose(getattr(rows["macro F1"], side).value, macro, atol=1e-12)
        accuracy = sk.accuracy_score(one.label, one.called)
        assert getattr(rows["accuracy"], side).value == accuracy
    a, b = (one.called == one.label for one in (first, second))
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert_allclose(
        rows["accuracy"].p_value, statsmodels_mcnemar(table, exact=True).pvalue, rtol=1e-10
    )
    assert (made.only_first, made.only_second) == (table[0][1], table[1][0])
    assert rows["macro F1"].p_value < 0.05
    assert rows["macro F1"].difference.low > 0


def test_a_class_that_is_nowhere_leaves_macro_f1_undefined():
    y = np.arange(20) % 2
    one = _made(y, np.eye(3)[y], CLASSES)
    row = _rows(compare_classifiers(one, one, resamples=60))["macro F1"]
    assert (row.difference.value, row.p_value) == (None, None)
    assert row.difference.note == "undefined for hairline"


def test_two_perfect_classifiers_keep_a_width():
    y = np.arange(30) % 3
    one = _made(y, np.eye(3)[y], CLASSES)
    row = _rows(compare_classifiers(one, one, resamples=60))["macro F1"]
    assert row.first.value == 1
    assert row.first.low < 0.95
    assert row.difference.low < -0.05
    assert row.p_value is None


def test_refusals():
    first, second = _detectors(30)
    with pytest.raises(ValueError, match="must be of the same studies"):
        compare_detectors(first, second.take(np.arange(29)), (0.5, 0.5))
    with pytest.raises(ValueError, match="that of the second is NaN"):
        compare_detectors(first, second, (0.5, np.nan))
    with pytest.raises(ValueError, match="30 studies have another true class"):
        compare_detectors(first, _detector(1 - first.label, first.fracture_score), (0.5, 0.5))
    other = Predictions(second.study, second.label, second.probabilities, ("healthy", "fracture"))
    with pytest.raises(ValueError, match="the first has normal, fracture; the second healthy"):
        compare_classifiers(first, other)
    with pytest.raises(ValueError, match="a fracture score is of two classes"):
        compare_detectors(*_classifiers(), (0.5, 0.5))
