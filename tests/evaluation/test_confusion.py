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

from fracjax.evaluation import confusion
from fracjax.evaluation.confusion import confusion_matrix
from tests.evaluation.helpers import run_float64


def test_classes_by_hand():
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0]), 3)
    assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    assert_array_equal(confusion.recall(matrix), [1 / 2, 1, 1 / 2])
    assert_array_equal(confusion.precision(matrix), [1 / 2, 1 / 2, 1])
    assert_array_equal(confusion.f1(matrix), [2 / 4, 2 / 3, 2 / 3])


def test_the_paper_s_table_fits_these_counts():
    # 805 studies, 143 fractured: TP 97, TN 585. Printed: sens 67.83, spec 88.37, F1 .61, J .56.
    matrix = np.array([[585, 77], [46, 97]])
    assert_array_equal(confusion.recall(matrix).round(4), [0.8837, 0.6783])
    assert round(float(confusion.f1(matrix)[1]), 2) == 0.61
    assert round(float(confusion.youden_j(matrix)), 2) == 0.56


def test_equals_scikit_learn():
    rng = np.random.default_rng(0)
    for k in (2, 3, 10):
        for n in (k, 50, 500):
            # every class is present and called, so that nothing is 0/0
            y = np.concatenate([np.arange(k), rng.integers(0, k, n)])
            p = np.concatenate([rng.permutation(k), rng.integers(0, k, n)])
            matrix = confusion_matrix(y, p, k)
            assert_array_equal(matrix, sk.confusion_matrix(y, p, labels=range(k)))
            precision, recall, f1, _ = sk.precision_recall_fscore_support(y, p)
            assert_allclose(confusion.precision(matrix), precision, atol=1e-14)
            assert_allclose(confusion.recall(matrix), recall, atol=1e-14)
            assert_allclose(confusion.f1(matrix), f1, atol=1e-14)
            assert_allclose(confusion.mcc(matrix), sk.matthews_corrcoef(y, p), atol=1e-14)
            balanced = sk.balanced_accuracy_score(y, p)
            assert_allclose(confusion.balanced_accuracy(matrix), balanced, atol=1e-14)
            macro = sk.f1_score(y, p, average="macro")
            assert_allclose(confusion.macro(confusion.f1(matrix)), macro, atol=1e-14)


def test_nothing_over_nothing_is_nan_where_scikit_learn_says_0():
    # Class 1 is absent, class 2 is never called. scikit-learn warns and puts 0 for both.
    matrix = confusion_matrix(np.array([0, 0, 2]), np.array([0, 1, 0]), 3)
    assert_array_equal(confusion.recall(matrix), [1 / 2, np.nan, 0])
    assert_array_equal(confusion.precision(matrix), [1 / 2, 0, np.nan])
    # F1 is counted, 2 TP / (2 TP + FP + FN): a class present or called has one, and it may be 0.
    assert_array_equal(confusion.f1(matrix), [2 / 4, 0, 0])
    assert np.isnan(confusion.macro(confusion.recall(matrix)))
    with pytest.warns(UndefinedMetricWarning):
        assert sk.recall_score([0, 0, 2], [0, 1, 0], average=None)[1] == 0
    assert np.isnan(confusion.f1(confusion_matrix(np.array([0, 1]), np.array([0, 1]), 3))[2])


def test_many_matrices_at_once_equal_one_by_one():
    matrices = np.random.default_rng(0).poisson(0.7, size=(4, 5, 3, 3))
    for metric in (confusion.recall, confusion.precision, confusion.f1, confusion.mcc):
        one_by_one = [[metric(m) for m in row] for row in matrices]
        assert_array_equal(metric(matrices), one_by_one)


def test_weighted_matrices_of_jax_and_of_numpy():
    rng = np.random.default_rng(1)
    y, p, w = rng.integers(0, 2, 50), rng.integers(0, 2, 50), rng.poisson(1.0, (3, 50))
    vmapped = run_float64(_vmapped, y, p, w.astype(float))
    for matrix, weights in zip(vmapped["matrix"], w, strict=True):
        assert_array_equal(matrix, sk.confusion_matrix(y, p, sample_weight=weights))
        assert_array_equal(matrix, _all(y, p, weights.astype(float))["matrix"])
    for name, values in _of_matrices(vmapped["matrix"]).items():  # a NumPy array gives NumPy's
        assert isinstance(values, np.ndarray)
        assert_allclose(vmapped[name], values, rtol=1e-15)


def _of_matrices(matrices):
    names = ("balanced_accuracy", "f1", "mcc", "precision", "youden_j")
    return {name: getattr(confusion, name)(matrices) for name in names}


def _all(labels, called, weights):
    matrix = (weights @ confusion.one_hot_cells(labels, called, 2)).reshape(2, 2)
    return {"matrix": matrix, **_of_matrices(matrix)}


def _vmapped(labels, called, weights):
    return jax.vmap(lambda w: _all(labels, called, w))(weights)


def test_correlation_without_error_and_of_nothing():
    perfect = np.array([[500, 0], [0, 7]])
    assert confusion.mcc(perfect) == 1
    assert confusion.mcc(perfect[::-1]) == -1
    assert confusion.mcc(10**5 * perfect) == 1  # no integer overflows
    assert np.isnan(confusion.mcc(np.array([[5, 0], [3, 0]])))  # none called; scikit-learn says 0


def test_swapping_the_classes_swaps_sensitivity_and_specificity():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 99), rng.integers(0, 2, 99)
    straight, swapped = confusion_matrix(y, p, 2), confusion_matrix(1 - y, 1 - p, 2)
    assert_array_equal(confusion.recall(straight), confusion.recall(swapped)[::-1])
    assert confusion.youden_j(straight) == pytest.approx(float(confusion.youden_j(swapped)))
