import numpy as np
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.evaluation import auc, average_precision, roc_curve


def _sets():
    """Distinct scores, many ties, constant, perfect, reversed, one example of a class."""
    rng = np.random.default_rng(0)
    for n in (2, 3, 10, 200, 805):
        y = rng.permutation((np.arange(n) < max(1, n // 5)).astype(int))
        yield y, rng.normal(size=n)
        yield y, rng.integers(0, 4, size=n) / 4
        yield y, np.full(n, 0.3)
        yield y, y.astype(float)
        yield y, 1.0 - y
        one = (np.arange(n) == n // 2).astype(int)
        yield one, rng.integers(0, 4, size=n).astype(float)
        yield 1 - one, rng.integers(0, 4, size=n).astype(float)


def test_by_hand():
    # scores high to low: 0.9+ 0.8- 0.8+ 0.3-  ->  the tie at 0.8 is one diagonal step
    curve = roc_curve(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.8, 0.3]))
    assert_array_equal(curve.thresholds, [np.inf, 0.9, 0.8, 0.3])
    assert_array_equal(curve.tpr, [0, 0.5, 1, 1])
    assert_array_equal(curve.fpr, [0, 0, 0.5, 1])
    assert curve.auc == 0.875
    assert (curve.n_positive, curve.n_negative) == (2, 2)


def test_average_precision_by_hand():
    # steps: recall 0.5 at precision 1, then 0.5 more at precision 2/3 (the tie is one step)
    assert average_precision([1, 0, 1, 0], [0.9, 0.8, 0.8, 0.3]) == 0.5 + 0.5 * 2 / 3


def test_one_study_of_each_class():
    assert auc([0, 1], [0.1, 0.2]) == 1
    assert auc([0, 1], [0.2, 0.1]) == 0
    assert auc([0, 1], [0.1, 0.1]) == 0.5


def test_equals_scikit_learn():
    for y, s in _sets():
        curve = roc_curve(y, s)
        fpr, tpr, thresholds = sk.roc_curve(y, s, drop_intermediate=False)
        assert_allclose(curve.fpr, fpr, atol=1e-15)
        assert_allclose(curve.tpr, tpr, atol=1e-15)
        assert_array_equal(curve.thresholds, thresholds)
        assert_allclose(curve.auc, sk.roc_auc_score(y, s), atol=1e-14)
        assert_allclose(average_precision(y, s), sk.average_precision_score(y, s), atol=1e-14)


def test_auc_is_the_probability_of_the_right_order():
    for y, s in _sets():
        differences = s[y == 1][:, None] - s[y == 0]
        assert_allclose(auc(y, s), ((np.sign(differences) + 1) / 2).mean(), atol=1e-14)


def test_monotone_rescaling_and_the_order_of_studies_change_nothing():
    rng = np.random.default_rng(1)
    y, s = rng.integers(0, 2, 300), rng.integers(0, 40, 300) / 40
    shuffle = rng.permutation(300)
    for other_y, other_s in ((y, np.exp(5 * s) - 100), (y[shuffle], s[shuffle])):
        assert auc(other_y, other_s) == auc(y, s)
        assert average_precision(other_y, other_s) == average_precision(y, s)
    assert_allclose(auc(1 - y, -s), auc(y, s), atol=1e-15)


def test_float32_scores_keep_their_ties():
    s = np.array([0.1, 0.1, 0.3, 0.1], np.float32)
    assert roc_curve([0, 1, 1, 0], s).thresholds.size == 3
    assert roc_curve([0, 1, 1, 0], s).thresholds[1] == s[2]


@pytest.mark.parametrize("function", [roc_curve, auc, average_precision])
@pytest.mark.parametrize(
    "labels, scores, messages",
    [
        # scikit-learn warns and returns nan or 0 where a class is absent; we refuse.
        ([1, 1], [0.1, 0.2], ["no normal study (label 0) among 2: a rate over it would be 0/0"]),
        ([0, 0], [0.1, 0.2], ["no fracture (label 1) among 2"]),
        ([], [], ["no studies"]),
        ([0, 1], [0.1, np.nan], ["1 of 2 scores are not finite"]),
        ([0, 1], [0.1, np.inf], ["1 of 2 scores are not finite"]),
        ([0, 1, 1], [0.1, 0.2], ["labels have shape (3,) and scores (2,)"]),
        ([[0, 1]], [[0.1, 0.2]], ["labels have shape (1, 2)"]),
        ([0, 2, -1], [0.1, 0.2, 0.3], ["labels must be 0 (normal) or 1 (fracture); found -1, 2"]),
        ([0, np.nan], [0.1, 0.2], ["labels must be 0 (normal) or 1 (fracture); found nan"]),
        (["a", "b"], ["x", "y"], ["labels are of type <U1", "scores are of type <U1"]),
        ([0, 3], [np.nan], ["3 problems with", "shape", "found 3", "not finite"]),  # all at once
    ],
)
def test_refusals(function, labels, scores, messages):
    with pytest.raises(ValueError) as error:
        function(labels, scores)
    for message in messages:
        assert message in str(error.value)
