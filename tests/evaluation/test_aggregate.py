"""Several networks as one: means, votes, pooled folds, spread."""

import math

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.evaluation import Estimate, Predictions
from fracjax.evaluation.aggregate import Spread, mean, pooled, spread, vote

THREE = ("a", "b", "c")
TWO = ("healthy", "fracture")


def _predictions(rows, classes=THREE, study=None, label=None) -> Predictions:
    rows = np.array(rows, np.float64)
    study = np.array(study if study is not None else [f"s{i}" for i in range(len(rows))])
    label = np.array(label if label is not None else [0] * len(rows))
    return Predictions(study, label, rows, classes, {"group": np.char.add("g", study)})


def _scores(*scores) -> Predictions:
    return _predictions([[1 - s, s] for s in scores], TWO)


def _networks(count: int, n: int = 60, k: int = 3) -> list[Predictions]:
    rng = np.random.default_rng(count)
    label = rng.integers(0, k, n)
    return [
        _predictions(rng.dirichlet(np.ones(k), n), THREE[:k], label=label) for _ in range(count)
    ]


def _shuffled(predictions: Predictions, seed: int) -> Predictions:
    return predictions.take(np.random.default_rng(seed).permutation(predictions.n))


# By hand


def test_the_mean_by_hand():
    one = _predictions([[0.6, 0.4, 0.0], [0.2, 0.2, 0.6]])
    two = _predictions([[0.2, 0.4, 0.4], [0.0, 1.0, 0.0]])
    found = mean([one, two])
    assert_allclose(found.probabilities, [[0.4, 0.4, 0.2], [0.1, 0.6, 0.3]])
    assert found.called.tolist() == [0, 1]
    assert found.classes == THREE
    assert found.groups.tolist() == ["gs0", "gs1"]


def test_a_vote_by_hand():
    # Two of three call a, though the mean calls b.
    rows = [[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.0, 1.0, 0.0]]
    each = [_predictions([row]) for row in rows]
    assert mean(each).called.tolist() == [1]
    found = vote(each)
    assert found.called.tolist() == [0]
    assert_allclose(found.probabilities, [[2 / 3, 1 / 3, 0]], atol=1e-3)


def test_a_tie_is_called_by_the_larger_mean_probability():
    # One vote each for a and b; the means are 0.35, 0.5 and 0.15.
    each = [_predictions([row]) for row in ([0.5, 0.3, 0.2], [0.2, 0.7, 0.1])]
    assert vote(each).called.tolist() == [1]
    # c, which no one calls, has the largest mean, and is not called.
    rows = [[0.52, 0.0, 0.48], [0.0, 0.53, 0.47]]
    each = [_predictions([row]) for row in rows]
    assert mean(each).called.tolist() == [2]
    assert vote(each).called.tolist() == [1]


def test_a_vote_at_a_threshold_by_hand():
    # A score that reaches the threshold is a vote: 3, 2, 1 and 0 of three.
    each = [_scores(0.9, 0.1, 0.0, 0.0), _scores(0.1, 0.2, 0.09, 0.0), _scores(0.2, 0.0, 0.3, 0.0)]
    found = vote(each, threshold=0.1)
    assert_allclose(found.fracture_score, [1, 2 / 3, 1 / 3, 0])


def test_an_even_vote_at_a_threshold_is_positive_at_half():
    for threshold in (0.3, 0.7):  # whatever the scores themselves are
        found = vote([_scores(0.29), _scores(0.71)], threshold)
        assert found.fracture_score.tolist() == [0.5]
    assert vote([_scores(0.9), _scores(1.0)], math.inf).fracture_score.tolist() == [0.0]


def test_pooled_folds_by_hand():
    one = _predictions([[0.6, 0.4, 0.0]], study=["x"], label=[1])
    two = _predictions([[0.2, 0.2, 0.6], [1, 0, 0]], study=["y", "z"], label=[2, 0])
    found = pooled([one, two])
    assert found.study.tolist() == ["x", "y", "z"]
    assert found.label.tolist() == [1, 2, 0]
    assert_array_equal(found.probabilities, [[0.6, 0.4, 0.0], [0.2, 0.2, 0.6], [1, 0, 0]])
    assert found.groups.tolist() == ["gx", "gy", "gz"]


def _estimate(value: float | None) -> Estimate:
    return Estimate(value, value, value, 10, "by hand")


def test_a_spread_by_hand():
    found = spread([_estimate(v) for v in (0.7, 0.8, 0.9)])
    assert found.values == (0.7, 0.8, 0.9)
    assert found.mean == pytest.approx(0.8)
    assert found.sd == pytest.approx(0.1)  # divided by 2, not 3
    assert str(found) == "0.800 ± 0.100"


def test_a_spread_over_an_undefined_figure_is_undefined():
    found = spread([_estimate(0.7), _estimate(None), _estimate(0.9)])
    assert found == Spread((0.7, None, 0.9), None, None)
    assert str(found) == "undefined"


# Outside reference


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_majorities_are_those_of_scipy(count):
    each = _networks(count)
    calls = np.stack([one.called for one in each])
    votes = np.stack([(calls == k).sum(axis=0) for k in range(3)])
    clear = (votes == votes.max(axis=0)).sum(axis=0) == 1
    assert clear.any()
    called = vote(each).called
    assert_array_equal(called[clear], scipy.stats.mode(calls, axis=0).mode[clear])
    # Else it is that of the larger mean among those with most votes.
    among = np.where(votes == votes.max(axis=0), mean(each).probabilities.T, -1)
    assert_array_equal(called, among.argmax(axis=0))
    if count in (2, 3, 5):
        assert not clear.all()


def test_a_spread_is_that_of_scipy():
    values = np.random.default_rng(0).random(7)
    found = spread([_estimate(float(v)) for v in values])
    described = scipy.stats.describe(values)
    assert found.mean == pytest.approx(described.mean)
    assert found.sd == pytest.approx(math.sqrt(described.variance))


# Invariances


@pytest.mark.parametrize("combine", [mean, vote], ids=lambda f: f.__name__)
def test_studies_meet_by_id_and_not_by_order(combine):
    each = _networks(3)
    expected = combine(each)
    found = combine([each[0], *(_shuffled(one, i) for i, one in enumerate(each[1:]))])
    assert_array_equal(found.study, expected.study)
    assert_array_equal(found.label, expected.label)
    assert_allclose(found.probabilities, expected.probabilities, rtol=1e-12)
    turned = combine([_shuffled(one, i) for i, one in enumerate(each)]).aligned_to(expected)
    assert_allclose(turned.probabilities, expected.probabilities, rtol=1e-12)


@pytest.mark.parametrize("combine", [mean, vote], ids=lambda f: f.__name__)
def test_networks_have_no_order(combine):
    each = _networks(4)
    turned = combine(each[::-1])
    assert_allclose(turned.probabilities, combine(each).probabilities, rtol=1e-12, atol=1e-15)


def test_a_vote_at_a_threshold_meets_by_id():
    each = [_scores(0.9, 0.1), _scores(0.8, 0.2), _scores(0.7, 0.3)]
    turned = [each[0], each[1].take([1, 0]), each[2].take([1, 0])]
    assert vote(turned, 0.5).fracture_score.tolist() == [1.0, 0.0]


def test_networks_that_agree_are_each_of_them():
    one = _networks(1)[0]
    assert_allclose(mean([one] * 3).probabilities, one.probabilities, rtol=1e-12)
    assert_array_equal(vote([one] * 3).called, one.called)


# Refusals


@pytest.mark.parametrize("combine", [mean, vote], ids=lambda f: f.__name__)
def test_what_does_not_belong_together_is_refused(combine):
    one = _predictions([[1, 0, 0]])
    with pytest.raises(ValueError, match="predictions to combine are of different classes"):
        combine([one, _predictions([[1, 0, 0]], ("a", "c", "b"))])
    with pytest.raises(ValueError, match="studies only in the first: 'x'"):
        combine([one, _predictions([[1, 0, 0]], study=["x"])])
    with pytest.raises(ValueError, match="another true class"):
        combine([one, _predictions([[1, 0, 0]], label=[2])])


def test_a_threshold_on_three_classes_is_refused():
    with pytest.raises(ValueError, match="a fracture score is of two classes"):
        vote([_predictions([[1, 0, 0]])], threshold=0.5)


def test_folds_that_do_not_fit_are_refused():
    one = _predictions([[1, 0, 0]])
    with pytest.raises(ValueError, match="occur more than once: 's0'"):
        pooled([one, one])
    with pytest.raises(ValueError, match="predictions to pool are of different classes"):
        pooled([one, _predictions([[1, 0, 0]], ("a", "c", "b"), study=["x"])])
    bare = Predictions(np.array(["x"]), np.array([0]), np.array([[1.0, 0, 0]]), THREE)
    for both in ([one, bare], [bare, one]):
        with pytest.raises(ValueError, match="predictions to pool have different attributes"):
            pooled(both)
