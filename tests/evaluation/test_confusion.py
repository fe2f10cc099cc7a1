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
from fracjax.evaluation.float64 import run_float64


def test_binary_by_hand():
    # scores 0.9+ 0.5- 0.5+ 0.2- 0.1+; at 0.5 the two ties are called positive
    matrix = ev.confusion_at([1, 0, 1, 0, 1], [0.9, 0.5, 0.5, 0.2, 0.1], 0.5)
    assert_array_equal(matrix, [[1, 1], [1, 2]])
    assert metrics.accuracy(matrix) == 3 / 5
    assert metrics.sensitivity(matrix) == 2 / 3
    assert metrics.specificity(matrix) == 1 / 2
    assert_array_equal(metrics.precision(matrix), [1 / 2, 2 / 3])  # NPV, PPV
    assert metrics.f1(matrix)[1] == 4 / 6
    assert metrics.youden_j(matrix) == pytest.approx(2 / 3 + 1 / 2 - 1, abs=1e-15)


def test_classes_by_hand():
    matrix = ev.confusion_matrix([0, 0, 1, 2, 2], [0, 1, 1, 2, 0], 3)
    assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    assert_array_equal(metrics.recall(matrix), [1 / 2, 1, 1 / 2])
    assert_array_equal(metrics.precision(matrix), [1 / 2, 1 / 2, 1])
    assert_array_equal(metrics.f1(matrix), [2 / 4, 2 / 3, 2 / 3])


def test_the_paper_s_table_fits_these_counts():
    # 805 studies, 143 fractured: TP 97, TN 585. Printed: sens 67.83, spec 88.37, F1 .61, J .56.
    matrix = np.array([[585, 77], [46, 97]])
    assert round(float(metrics.sensitivity(matrix)), 4) == 0.6783
    assert round(float(metrics.specificity(matrix)), 4) == 0.8837
    assert round(float(metrics.f1(matrix)[1]), 2) == 0.61
    assert round(float(metrics.youden_j(matrix)), 2) == 0.56
    assert round(float(metrics.accuracy(matrix)), 3) == 0.847


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
            assert_allclose(metrics.precision(matrix), precision, atol=1e-14)
            assert_allclose(metrics.recall(matrix), recall, atol=1e-14)
            assert_allclose(metrics.f1(matrix), f1, atol=1e-14)
            assert_allclose(metrics.accuracy(matrix), sk.accuracy_score(y, p), atol=1e-14)
            assert_allclose(metrics.mcc(matrix), sk.matthews_corrcoef(y, p), atol=1e-14)
            balanced = sk.balanced_accuracy_score(y, p)
            assert_allclose(metrics.balanced_accuracy(matrix), balanced, atol=1e-14)
            if k == 2 and n > k:  # no ratio is 0/0
                ratios = sk.class_likelihood_ratios(y, p)
                assert_allclose(metrics.positive_likelihood_ratio(matrix), ratios[0], rtol=1e-14)
                assert_allclose(metrics.negative_likelihood_ratio(matrix), ratios[1], rtol=1e-14)
            assert_allclose(
                metrics.macro(metrics.f1(matrix)), sk.f1_score(y, p, average="macro"), atol=1e-14
            )


def test_nothing_over_nothing_is_nan_where_scikit_learn_says_0():
    # Class 1 is absent, class 2 is never called. scikit-learn warns and puts 0 for both.
    matrix = ev.confusion_matrix([0, 0, 2], [0, 1, 0], 3)
    assert_array_equal(metrics.recall(matrix), [1 / 2, np.nan, 0])
    assert_array_equal(metrics.precision(matrix), [1 / 2, 0, np.nan])
    # F1 is counted, 2 TP / (2 TP + FP + FN): a class present or called has one, and it may be 0.
    assert_array_equal(metrics.f1(matrix), [2 / 4, 0, 0])
    assert np.isnan(metrics.macro(metrics.recall(matrix)))
    with pytest.warns(UndefinedMetricWarning):
        assert sk.recall_score([0, 0, 2], [0, 1, 0], average=None)[1] == 0
    assert np.isnan(metrics.f1(ev.confusion_matrix([0, 1], [0, 1], 3))[2])
    assert np.isnan(metrics.accuracy(np.zeros((2, 2), int)))


def test_many_matrices_at_once_equal_one_by_one():
    matrices = np.random.default_rng(0).poisson(0.7, size=(4, 5, 3, 3))
    for metric in (metrics.accuracy, metrics.recall, metrics.precision, metrics.f1, metrics.mcc):
        one_by_one = [[metric(m) for m in row] for row in matrices]
        assert_array_equal(metric(matrices), one_by_one)


def test_weighted_matrices_of_jax_and_of_numpy():
    rng = np.random.default_rng(1)
    y, s, w = rng.integers(0, 2, 50), rng.integers(0, 9, 50) / 9, rng.poisson(1.0, (3, 50))
    vmapped = run_float64(_vmapped, y, s, w.astype(float))
    for matrix, weights in zip(vmapped["matrix"], w, strict=True):
        assert_array_equal(matrix, sk.confusion_matrix(y, s >= 0.5, sample_weight=weights))
        assert_array_equal(matrix, _all(y, s, weights.astype(float))["matrix"])
    for name, values in _of_matrices(vmapped["matrix"]).items():  # a NumPy array gives NumPy's
        assert isinstance(values, np.ndarray)
        assert_allclose(vmapped[name], values, rtol=1e-15)


def _of_matrices(matrices):
    names = ("accuracy", "balanced_accuracy", "f1", "mcc", "precision", "youden_j")
    ratios = ("positive_likelihood_ratio", "negative_likelihood_ratio")
    return {name: getattr(metrics, name)(matrices) for name in (*names, *ratios)}


def _all(labels, scores, weights):
    matrix = metrics.confusion_matrix(labels, metrics.calls(scores, 0.5), weights, 2)
    return {"matrix": matrix, **_of_matrices(matrix)}


def _vmapped(labels, scores, weights):
    return jax.vmap(lambda w: _all(labels, scores, w))(weights)


def test_correlation_and_ratios_of_nothing():
    perfect = np.array([[500, 0], [0, 7]])
    assert metrics.mcc(perfect) == 1
    assert metrics.mcc(perfect[::-1]) == -1
    assert metrics.mcc(10**5 * perfect) == 1  # no integer overflows
    assert np.isnan(metrics.mcc(np.array([[5, 0], [3, 0]])))  # none called; scikit-learn says 0
    assert metrics.positive_likelihood_ratio(perfect) == np.inf
    assert np.isnan(metrics.positive_likelihood_ratio(np.array([[5, 0], [3, 0]])))
    assert np.isnan(metrics.negative_likelihood_ratio(np.array([[0, 5], [0, 3]])))
    assert metrics.negative_likelihood_ratio(np.array([[0, 5], [1, 3]])) == np.inf


def test_swapping_the_classes_swaps_sensitivity_and_specificity():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 99), rng.integers(0, 2, 99)
    straight = ev.confusion_matrix(y, p, 2)
    swapped = ev.confusion_matrix(1 - y, 1 - p, 2)
    assert metrics.sensitivity(straight) == metrics.specificity(swapped)
    assert metrics.youden_j(straight) == pytest.approx(float(metrics.youden_j(swapped)), abs=1e-15)


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
    with pytest.raises(ValueError, match="the threshold is NaN"):
        ev.confusion_at([0, 1], [0.1, 0.2], float("nan"))
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        ev.confusion_at([0, 1], [0.1, np.nan], 0.5)
