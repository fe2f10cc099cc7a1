# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import jax
import numpy as np
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning

from fracjax import evaluation as ev
from fracjax.evaluation import metrics
from fracjax.evaluation.float64 import exact


def test_binary_by_hand():
    # scores 0.9+ 0.5- 0.5+ 0.2- 0.1+; at 0.5 the two ties are called positive
    matrix = ev.confusion_at([1, 0, 1, 0, 1], [0.9, 0.5, 0.5, 0.2, 0.1], 0.5)
    assert_array_equal(matrix, [[1, 1], [1, 2]])
    assert ev.accuracy(matrix) == 3 / 5
    assert ev.sensitivity(matrix) == 2 / 3
    assert ev.specificity(matrix) == 1 / 2
    assert_array_equal(ev.precision(matrix), [1 / 2, 2 / 3])  # NPV, PPV
    assert ev.f1(matrix)[1] == 4 / 6
    assert ev.youden_j(matrix) == pytest.approx(2 / 3 + 1 / 2 - 1, abs=1e-15)


def test_classes_by_hand():
    matrix = ev.confusion_matrix([0, 0, 1, 2, 2], [0, 1, 1, 2, 0], 3)
    assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    assert_array_equal(ev.recall(matrix), [1 / 2, 1, 1 / 2])
    assert_array_equal(ev.precision(matrix), [1 / 2, 1 / 2, 1])
    assert_array_equal(ev.f1(matrix), [2 / 4, 2 / 3, 2 / 3])


def test_the_paper_s_table_fits_these_counts():
    # 805 studies, 143 fractured: TP 97, TN 585. Printed: sens 67.83, spec 88.37, F1 .61, J .56.
    matrix = np.array([[585, 77], [46, 97]])
    assert round(float(ev.sensitivity(matrix)), 4) == 0.6783
    assert round(float(ev.specificity(matrix)), 4) == 0.8837
    assert round(float(ev.f1(matrix)[1]), 2) == 0.61
    assert round(float(ev.youden_j(matrix)), 2) == 0.56
    assert round(float(ev.accuracy(matrix)), 3) == 0.847


def test_equals_scikit_learn():
    rng = np.random.default_rng(0)
    for k in (2, 3, 10):
        for n in (k, 50, 500):
            # every class is present and called, so that nothing is 0/0
            y = np.concatenate([np.arange(k), rng.integers(0, k, n)])
            p = np.concatenate([rng.permutation(k), rng.integers(0, k, n)])
            matrix = ev.confusion_matrix(y, p, k)
            assert_array_equal(matrix, sk.confusion_matrix(y, p, labels=range(k)))
            precision, recall, f1, _ = sk.precision_recall_fscore_support(y, p)
            assert_allclose(ev.precision(matrix), precision, atol=1e-14)
            assert_allclose(ev.recall(matrix), recall, atol=1e-14)
            assert_allclose(ev.f1(matrix), f1, atol=1e-14)
            assert_allclose(ev.accuracy(matrix), sk.accuracy_score(y, p), atol=1e-14)
            assert_allclose(ev.mcc(matrix), sk.matthews_corrcoef(y, p), atol=1e-14)
            balanced = sk.balanced_accuracy_score(y, p)
            assert_allclose(ev.balanced_accuracy(matrix), balanced, atol=1e-14)
            others = [sk.recall_score(y == c, p == c, pos_label=0) for c in range(k)]
            assert_allclose(ev.specificity_per_class(matrix), others, atol=1e-14)
            if k == 2 and n > k:  # no ratio is 0/0
                ratios = sk.class_likelihood_ratios(y, p)
                assert_allclose(ev.positive_likelihood_ratio(matrix), ratios[0], rtol=1e-14)
                assert_allclose(ev.negative_likelihood_ratio(matrix), ratios[1], rtol=1e-14)
            assert_allclose(ev.macro(ev.f1(matrix)), sk.f1_score(y, p, average="macro"), atol=1e-14)


def test_nothing_over_nothing_is_nan_where_scikit_learn_says_0():
    # Class 1 is absent, class 2 is never called. scikit-learn warns and puts 0 for both.
    matrix = ev.confusion_matrix([0, 0, 2], [0, 1, 0], 3)
    assert_array_equal(ev.recall(matrix), [1 / 2, np.nan, 0])
    assert_array_equal(ev.precision(matrix), [1 / 2, 0, np.nan])
    # F1 is counted, 2 TP / (2 TP + FP + FN): a class present or called has one, and it may be 0.
    assert_array_equal(ev.f1(matrix), [2 / 4, 0, 0])
    assert np.isnan(ev.macro(ev.recall(matrix)))
    with pytest.warns(UndefinedMetricWarning):
        assert sk.recall_score([0, 0, 2], [0, 1, 0], average=None)[1] == 0
    assert np.isnan(ev.f1(ev.confusion_matrix([0, 1], [0, 1], 3))[2])
    assert np.isnan(ev.accuracy(np.zeros((2, 2), int)))


def test_many_matrices_at_once_equal_one_by_one():
    matrices = np.random.default_rng(0).poisson(0.7, size=(4, 5, 3, 3))
    for figure in (ev.accuracy, ev.recall, ev.precision, ev.f1, ev.mcc, ev.specificity_per_class):
        one_by_one = [[figure(m) for m in row] for row in matrices]
        assert_array_equal(figure(matrices), one_by_one)


def test_weighted_matrices_in_a_program_of_its_own():
    rng = np.random.default_rng(1)
    y, s, w = rng.integers(0, 2, 50), rng.integers(0, 9, 50) / 9, rng.poisson(1.0, (3, 50))
    got = exact(_matrices, y, s, w.astype(float))
    for matrix, weights in zip(got, w, strict=True):
        assert_array_equal(matrix, sk.confusion_matrix(y, s >= 0.5, sample_weight=weights))
        i = np.repeat(np.arange(50), weights)
        assert_array_equal(matrix, ev.confusion_at(y[i], s[i], 0.5))


def _matrices(labels, scores, weights):
    return jax.vmap(lambda w: metrics.confusion_at(labels, scores, w, 0.5))(weights)


def test_correlation_and_ratios_of_nothing():
    perfect = np.array([[500, 0], [0, 7]])
    assert ev.mcc(perfect) == 1
    assert ev.mcc(perfect[::-1]) == -1
    assert np.isnan(ev.mcc([[5, 0], [3, 0]]))  # all called normal; scikit-learn says 0
    assert ev.positive_likelihood_ratio(perfect) == np.inf
    assert np.isnan(ev.positive_likelihood_ratio([[5, 0], [3, 0]]))
    assert np.isnan(ev.negative_likelihood_ratio([[0, 5], [0, 3]]))
    assert ev.negative_likelihood_ratio([[0, 5], [1, 3]]) == np.inf


def test_predictive_values_at_another_prevalence():
    # Of 1000 with 10 % fractured: 80 found, 270 false alarms; 630 pass rightly, 20 wrongly.
    sens, spec, prevalence = np.array(0.8), np.array(0.7), np.array(0.1)
    assert_allclose(exact(metrics.ppv_at, sens, spec, prevalence), 80 / 350, atol=1e-15)
    assert_allclose(exact(metrics.npv_at, sens, spec, prevalence), 630 / 650, atol=1e-15)
    matrix = np.array([[70.0, 30], [10, 40]])  # and at its own it is the plain one
    own = (np.array(0.8), np.array(0.7), np.array(50 / 150))
    assert_allclose(exact(metrics.ppv_at, *own), exact(metrics.ppv, matrix), atol=1e-15)
    assert_allclose(exact(metrics.npv_at, *own), exact(metrics.npv, matrix), atol=1e-15)
    assert np.isnan(exact(metrics.ppv_at, np.array(0.0), np.array(1.0), prevalence))


def test_swapping_the_classes_swaps_sensitivity_and_specificity():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 99), rng.integers(0, 2, 99)
    straight = ev.confusion_matrix(y, p, 2)
    swapped = ev.confusion_matrix(1 - y, 1 - p, 2)
    assert ev.sensitivity(straight) == ev.specificity(swapped)
    assert ev.youden_j(straight) == pytest.approx(float(ev.youden_j(swapped)), abs=1e-15)


def test_infinite_thresholds_call_none_and_all():
    y, s = [0, 1, 1], [0.1, 0.2, 0.3]
    assert_array_equal(ev.confusion_at(y, s, np.inf), [[1, 0], [2, 0]])
    assert_array_equal(ev.confusion_at(y, s, -np.inf), [[0, 1], [0, 2]])


def test_refusals():
    with pytest.raises(ValueError, match=r"labels have shape \(2,\) and predictions \(3,\)"):
        ev.confusion_matrix([0, 1], [0, 1, 1], 2)
    with pytest.raises(ValueError) as error:
        ev.confusion_matrix([0, 5], [-1, 1], 3)
    assert "labels must be class indices 0 .. 2; found 5 in 1 studies" in str(error.value)
    assert "predictions must be class indices 0 .. 2; found -1" in str(error.value)
    with pytest.raises(ValueError, match=r"shape is \(2, 3\); expected \(... k k\)"):
        ev.accuracy(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"shape is \(3, 3\); expected \(... 2 2\)"):
        ev.sensitivity(np.eye(3))
    with pytest.raises(ValueError, match="1 of 4 counts are negative or NaN"):
        ev.mcc([[1, -1], [0, 2]])
    with pytest.raises(ValueError, match="threshold:\n- it is NaN"):
        ev.confusion_at([0, 1], [0.1, 0.2], float("nan"))
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        ev.confusion_at([0, 1], [0.1, np.nan], 0.5)
