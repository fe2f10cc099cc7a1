# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import json

import numpy as np
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose

from fracjax.evaluation import binary_report, choose_threshold
from fracjax.evaluation.intervals import wilson
from fracjax.runtime.atomic_files import to_json
from tests.evaluation.helpers import draw_weights

_FIGURES = (
    "accuracy",
    "sensitivity",
    "specificity",
    "precision",
    "npv",
    "f1",
    "youden_j",
    "balanced_accuracy",
    "mcc",
    "positive_likelihood_ratio",
    "negative_likelihood_ratio",
)


def _set(n=400, seed=0, ties=20):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.2).astype(int)
    s = np.clip(rng.normal(0.35 + 0.25 * y, 0.15), 0, 1)
    return y, np.round(s * ties) / ties


def _estimates(report):
    names = ("prevalence", "auc", "partial_auc", "average_precision", "brier")
    yield from ((name, getattr(report, name)) for name in names)
    for where in ("at_operating_point", "at_half"):
        at = getattr(report, where)
        for name in _FIGURES:
            yield f"{where}.{name}", getattr(at, name)


def test_by_hand():
    y = np.array([1, 0, 1, 0, 1])
    s = np.array([0.9, 0.5, 0.5, 0.2, 0.1])
    report = binary_report(y, s, choose_threshold("fixed:0.15", y, s), resamples=9)
    assert (report.n, report.n_positive, report.n_groups) == (5, 3, 5)
    at, half = report.at_operating_point, report.at_half
    assert (at.threshold, at.rule, at.matrix) == (0.15, "fixed:0.15", ((0, 2), (1, 2)))
    assert (half.threshold, half.rule, half.matrix) == (0.5, "fixed:0.5", ((1, 1), (1, 2)))
    assert (at.specificity.value, at.specificity.n) == (0, 2)  # a true 0, of two studies
    assert (at.precision.value, at.precision.n) == (2 / 4, 4)
    assert (at.npv.value, at.npv.n) == (0, 1)
    assert at.f1.value == 4 / 7
    assert at.youden_j.value == pytest.approx(2 / 3 - 1, abs=1e-15)
    assert (half.accuracy.value, half.accuracy.n) == (3 / 5, 5)
    assert (half.accuracy.low, half.accuracy.high) == wilson(3, 5)


def test_equals_scikit_learn():
    y, s = _set()
    point = choose_threshold("youden", *_set(seed=1), resamples=9)
    report = binary_report(y, s, point, resamples=9)
    assert_allclose(report.auc.value, sk.roc_auc_score(y, s), atol=1e-14)
    assert_allclose(report.average_precision.value, sk.average_precision_score(y, s), atol=1e-14)
    partial = sk.roc_auc_score(y, s, max_fpr=0.1)
    assert_allclose(report.partial_auc.value, partial, atol=1e-14)
    assert_allclose(report.brier.value, sk.brier_score_loss(y, s), atol=1e-14)
    for at in (report.at_operating_point, report.at_half):
        p = (s >= at.threshold).astype(int)
        assert_allclose(at.mcc.value, sk.matthews_corrcoef(y, p), atol=1e-14)
        assert_allclose(at.balanced_accuracy.value, sk.balanced_accuracy_score(y, p), atol=1e-14)
        positive, negative = sk.class_likelihood_ratios(y, p)
        assert_allclose(at.positive_likelihood_ratio.value, positive, rtol=1e-14)
        assert_allclose(at.negative_likelihood_ratio.value, negative, rtol=1e-14)
        assert_allclose(at.accuracy.value, sk.accuracy_score(y, p), atol=1e-14)
        assert_allclose(at.sensitivity.value, sk.recall_score(y, p), atol=1e-14)
        assert_allclose(at.specificity.value, sk.recall_score(y, p, pos_label=0), atol=1e-14)
        assert_allclose(at.precision.value, sk.precision_score(y, p), atol=1e-14)
        assert_allclose(at.npv.value, sk.precision_score(y, p, pos_label=0), atol=1e-14)
        assert_allclose(at.f1.value, sk.f1_score(y, p), atol=1e-14)
        j = sk.balanced_accuracy_score(y, p, adjusted=True)
        assert_allclose(at.youden_j.value, j, atol=1e-14)


def test_the_bootstrap_is_that_of_scikit_learn_in_a_loop():
    y, s = _set(150)
    group = np.arange(150) // 2
    point = choose_threshold("fixed:0.5", y, s)
    report = binary_report(y, s, point, group, seed=7, resamples=40)
    slow = []
    for weights in draw_weights(group, seed=7, resamples=40):
        i = np.repeat(np.arange(150), weights.astype(int))
        p = s[i] >= 0.5
        slow.append(
            (
                sk.average_precision_score(y[i], s[i]),
                sk.f1_score(y[i], p),
                sk.balanced_accuracy_score(y[i], p, adjusted=True),
                sk.roc_auc_score(y[i], s[i], max_fpr=0.1),
                sk.brier_score_loss(y[i], s[i]),
                sk.matthews_corrcoef(y[i], p),
            )
        )
    ends = np.quantile(slow, [0.025, 0.975], axis=0).T
    half = report.at_half
    ranking = (report.partial_auc, report.brier)
    figures = (report.average_precision, half.f1, half.youden_j, *ranking, half.mcc)
    for estimate, expected in zip(figures, ends, strict=True):
        assert_allclose([estimate.low, estimate.high], expected, atol=1e-12)
        assert estimate.method == "bootstrap of 75 groups, 40 resamples"


def test_every_figure_has_its_n_and_an_interval_around_it():
    y, s = _set()
    for name, e in _estimates(binary_report(y, s, choose_threshold("youden", y, s))):
        if e.note.startswith("infinite"):
            continue
        assert e.low <= e.value <= e.high, name
        assert e.low < e.high, name
        assert e.n > 0, name


def test_a_perfect_detector_has_no_interval_of_zero_width():
    y = (np.arange(60) < 20).astype(int)
    report = binary_report(y, 0.1 + 0.8 * y, choose_threshold("youden", y, 0.1 + 0.8 * y))
    for name, e in _estimates(report):
        if name.endswith("positive_likelihood_ratio"):
            assert e.value is None
            assert e.note == "infinite, no false alarm; at least 11.3"
            continue
        assert e.low < e.high, name
        if name == "brier":
            assert e.value == pytest.approx(0.01, abs=1e-15)
            assert e.low <= 0.01 <= e.high
        elif name.endswith("negative_likelihood_ratio"):
            assert (e.value, e.low) == (0, 0)
            assert 0.1 < e.high < 0.2
        elif name != "prevalence":
            assert e.value == 1, name
            assert e.low > (0.6 if name.endswith("mcc") else 0.75), name
            assert e.high == pytest.approx(1, abs=1e-12), name
    assert report.at_half.youden_j.method == "MOVER of Wilson's"
    assert report.average_precision.method == "Wilson, over positive studies"
    assert report.at_half.f1.note == "the same in every resample"


def test_duplicated_studies_do_not_narrow_the_bootstrap():
    y, s = _set(100)
    point = choose_threshold("fixed:0.5", y, s)
    group = np.arange(100)
    once = binary_report(y, s, point, group)
    thrice = binary_report(np.repeat(y, 3), np.repeat(s, 3), point, np.repeat(group, 3))
    blind = binary_report(np.repeat(y, 3), np.repeat(s, 3), point)
    for name in ("f1", "youden_j"):
        a, b, c = (getattr(r.at_half, name) for r in (once, thrice, blind))
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=1e-12)
        assert c.high - c.low < 0.7 * (b.high - b.low)
    assert (thrice.n, thrice.n_groups) == (300, 100)


def test_the_seed_is_an_argument_and_the_order_of_studies_moves_no_value():
    y, s = _set()
    point = choose_threshold("fixed:0.4", y, s)
    first = binary_report(y, s, point, resamples=99)
    assert binary_report(y, s, point, resamples=99) == first
    assert binary_report(y, s, point, seed=1, resamples=99).at_half.f1 != first.at_half.f1
    shuffle = np.random.default_rng(0).permutation(y.size)
    other = binary_report(y[shuffle], s[shuffle], point, resamples=99)
    for (name, a), (_, b) in zip(_estimates(first), _estimates(other), strict=True):
        assert a.value == pytest.approx(b.value, abs=1e-14), name


def test_one_class_alone_leaves_undefined_what_needs_the_other():
    # A detector on a set of fractures only (the bone break set). scikit-learn says 0 or warns.
    s = np.array([0.2, 0.7, 0.9])
    point = choose_threshold("fixed:0.5", [0, 1], [0.1, 0.9])
    report = binary_report(np.ones(3, int), s, point)
    assert report.at_half.sensitivity.value == 2 / 3
    half = report.at_half
    ranking = (report.auc, report.partial_auc, report.average_precision)
    for e in (*ranking, half.youden_j, half.mcc, half.positive_likelihood_ratio):
        assert e.value is None
        assert e.note == "no negative study among 3"
    assert report.at_half.specificity.value is None
    assert report.at_half.specificity.n == 0
    assert report.at_half.f1.value == 4 / 5


def test_a_detector_that_calls_nothing():
    y, s = _set()
    point = choose_threshold("youden", y, np.full(y.size, 0.3))  # +inf
    at = binary_report(y, s, point).at_operating_point
    assert at.precision.value is None
    assert at.precision.note == "no study is called positive"
    assert (at.sensitivity.value, at.f1.value, at.youden_j.value) == (0, 0, 0)
    for e in (at.mcc, at.positive_likelihood_ratio):
        assert (e.value, e.note) == (None, "no study is called positive")
    assert at.negative_likelihood_ratio.value == 1
    assert at.negative_likelihood_ratio.low < 1 < at.negative_likelihood_ratio.high
    assert at.youden_j.low < 0 < at.youden_j.high


def test_scores_that_are_no_probabilities_have_no_brier_score():
    y, s = _set(60)
    report = binary_report(y, 9 * s, choose_threshold("fixed:0.5", y, s))
    assert (report.brier.value, report.brier.note) == (None, "the scores are not probabilities")


def test_the_order_of_constant_scores_is_chance_with_an_interval():
    y = (np.arange(60) < 20).astype(int)
    report = binary_report(y, np.full(60, 0.4), choose_threshold("fixed:0.5", [0, 1], [0.1, 0.9]))
    e = report.partial_auc
    assert e.value == pytest.approx(0.5, abs=1e-15)
    assert e.low < 0.5 < e.high
    assert e.method == "Wilson, over positive studies"


def test_undefined_resamples_are_counted():
    # With one fracture among 12, e^-1 of the resamples have none.
    y = (np.arange(12) == 3).astype(int)
    s = np.linspace(0, 1, 12)
    report = binary_report(y, s, choose_threshold("fixed:0.5", y, s))
    method = report.average_precision.method
    count = int(method.removesuffix(" undefined").rsplit(" ", 1)[1])
    assert 0.30 < count / 2000 < 0.42


def test_json_is_strict_and_complete():
    y, s = _set()
    point = choose_threshold("youden", y, np.full(y.size, 0.3))
    data = json.loads(json.dumps(to_json(binary_report(y, s, point)), allow_nan=False))
    assert data["at_operating_point"]["threshold"] == "inf"
    assert data["auc"].keys() == {"value", "low", "high", "n", "method", "note"}
    assert data["at_half"]["matrix"] == [list(r) for r in binary_report(y, s, point).at_half.matrix]


def test_refusals():
    y, s = _set(10)
    point = choose_threshold("fixed:0.5", [0, 1], [0.1, 0.9])
    with pytest.raises(ValueError, match=r"groups have shape \(9,\); expected one per study"):
        binary_report(y, s, point, np.arange(9))
    with pytest.raises(ValueError, match="no studies"):
        binary_report([], [], point)
    with pytest.raises(ValueError, match="1 of 10 scores are not finite"):
        binary_report(y, np.where(np.arange(10) == 2, np.nan, s), point)
