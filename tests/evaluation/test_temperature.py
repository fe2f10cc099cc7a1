# Estimates may be None; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import json

import numpy as np
import pytest
import sklearn.metrics as sk
import statsmodels.api as sm
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_softmax, logit, softmax

from fracjax.evaluation import Predictions, auc
from fracjax.evaluation.temperature import Temperature, fit_temperature, scaled
from fracjax.runtime.atomic_files import to_json


def _two(scores):
    scores = np.asarray(scores, float)
    return np.stack([1 - scores, scores], axis=-1)


def _predictions(probabilities, label=None):
    n, k = probabilities.shape
    label = np.arange(n) % k if label is None else label
    study = np.array([f"s{i}" for i in range(n)])
    return Predictions(study, label, probabilities, tuple("abcdefgh"[:k]), {"age": np.arange(n)})


def _drawn(n=400, k=2, temperature=2.0, seed=0):
    """Labels drawn from softmax(logits / temperature), and softmax(logits)."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(n, k))
    chance = np.cumsum(softmax(logits / temperature, axis=1), axis=1)
    return (rng.random((n, 1)) > chance).sum(axis=1).clip(0, k - 1), softmax(logits, axis=1)


def test_by_hand():
    # All said 0.9, three of four right: sigma(log(9) / T) = 3/4, so T = log 9 / log 3 = 2
    y = np.array([1, 1, 1, 0, 0, 0, 0, 1])
    p = _two([0.9] * 4 + [0.1] * 4)
    temperature = fit_temperature(y, p)
    assert temperature.value == pytest.approx(2, abs=1e-6)
    assert temperature.n == 8
    assert_allclose(scaled(_predictions(p, y), 2.0).fracture_score, [0.75] * 4 + [0.25] * 4)


def test_of_two_classes_it_is_logistic_regression_without_intercept():
    y, p = _drawn()
    temperature = fit_temperature(y, p)
    model = sm.Logit(y, logit(p[:, 1])).fit(disp=False)
    assert_allclose(1 / temperature.value, model.params[0], rtol=1e-6)
    for end in (temperature.low, temperature.high):
        # Where twice the log likelihood has fallen by the 95 % quantile of chi-squared.
        at_end = sm.Logit(y, logit(p[:, 1])).loglike([1 / end])
        assert_allclose(2 * (model.llf - at_end), 3.841459, atol=1e-4)


def test_of_many_classes_no_temperature_on_a_grid_is_better():
    y, p = _drawn(n=300, k=5, temperature=0.6)
    value = fit_temperature(y, p).value

    def loss(t):
        return -np.mean(log_softmax(np.log(p) / t, axis=1)[np.arange(300), y])

    grid = np.geomspace(0.05, 20, 2001)
    assert loss(value) <= min(map(loss, grid)) + 1e-12
    assert_allclose(value, grid[np.argmin([loss(t) for t in grid])], rtol=0.004)


def test_scaled_probabilities_need_no_more_scaling():
    y, p = _drawn(k=3)
    predictions = scaled(_predictions(p, y), fit_temperature(y, p).value)
    assert_allclose(fit_temperature(y, predictions.probabilities).value, 1, atol=1e-6)


def test_coverage():
    values = [fit_temperature(*_drawn(n=150, seed=seed)) for seed in range(150)]
    assert 0.9 < np.mean([t.low <= 2 <= t.high for t in values]) < 0.99


@pytest.mark.parametrize(
    "y, p, note",
    [
        (
            [0, 1],
            [0.4, 0.6],
            "the maximum-likelihood temperature is below 0.05: the",
        ),
        (
            [0, 1, 0, 1],
            [0.6, 0.4, 0.4, 0.6],
            "the maximum-likelihood temperature is above 20: the",
        ),
        ([1, 1, 1], [0.4, 0.6, 0.7], "no study of class 0 (of 0 .. 1)"),
    ],
)
def test_where_there_is_none_it_is_1_and_says_why(y, p, note):
    temperature = fit_temperature(np.array(y), _two(p))
    assert (temperature.value, temperature.low, temperature.high) == (1, None, None)
    assert temperature.note.startswith(note)


def test_an_end_beyond_the_range_is_none():
    y = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    temperature = fit_temperature(y, _two([0.1, 0.2, 0.3, 0.9, 0.8, 0.7, 0.45, 0.5]))
    assert temperature.low is None or temperature.low < temperature.value
    wrong_way = fit_temperature(np.array([0, 1, 0, 1]), _two([0.9, 0.95, 0.1, 0.2]))
    assert wrong_way.high is None
    assert wrong_way.low < wrong_way.value


def test_certain_and_wrong_is_finite():
    y, p = _drawn()
    p[0] = 1 - np.eye(2)[y[0]]
    assert 2 < fit_temperature(y, p).value < 10


def test_one_changes_no_bit_and_0_and_1_stay():
    p = np.array([[0.0, 1.0], [1.0, 0.0], [0.3, 0.7], [1 - 1e-17, 1e-17]])
    assert_array_equal(scaled(_predictions(p), 1.0).probabilities, p)
    assert_array_equal(scaled(_predictions(p), 3.0).probabilities[:2], p[:2])
    three = np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    assert_array_equal(scaled(_predictions(three), 0.7).probabilities, three)


def test_scaling_is_softmax_of_divided_logits():
    rng = np.random.default_rng(0)
    for k in (2, 5):
        logits = 4 * rng.normal(size=(50, k))
        before = _predictions(softmax(logits, axis=1))
        after = scaled(before, 2.5)
        assert_allclose(after.probabilities, softmax(logits / 2.5, axis=1), rtol=1e-10)
        assert_array_equal(after.called, before.called)
        assert_array_equal(after.attributes["age"], before.attributes["age"])
        assert_array_equal(after.study, before.study)


def test_two_scalings_are_one_of_their_product():
    before = _predictions(_drawn()[1])
    twice = scaled(scaled(before, 2.0), 1.5)
    assert_allclose(twice.probabilities, scaled(before, 3.0).probabilities, rtol=1e-10)


@pytest.mark.parametrize("temperature", [0.5, 0.9, 1.7, 6.0])
def test_order_auc_and_thresholds_carry_over(temperature):
    # Scores as networks give them: float32 softmax, rounded so that some are tied.
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 600)
    p = softmax((4 * (rng.normal(size=(600, 2)) + y[:, None] * [0, 1])).round(1), axis=1)
    p = np.asarray(p.astype(np.float32), np.float64)
    before = _predictions(p / p.sum(axis=1, keepdims=True), y)
    after = scaled(before, temperature)
    assert auc(y, after.fracture_score) == auc(y, before.fracture_score)
    first, second = (
        sk.roc_curve(y, one.fracture_score, drop_intermediate=False) for one in (before, after)
    )
    assert_array_equal(first[0], second[0])  # false and true positive rates, then thresholds
    assert_array_equal(first[1], second[1])
    assert_allclose(second[2][1:], expit(logit(first[2][1:]) / temperature))


def test_rounding_of_the_other_class_sets_no_equal_scores_apart():
    p = np.array([[0.7, 0.3], [np.nextafter(0.7, 1), 0.3], [0.70001, 0.3], [0.6, 0.4]])
    score = scaled(_predictions(p), 2.0).fracture_score
    assert score[0] == score[1] == score[2] < score[3]


def test_scores_of_1_are_told_apart_by_what_was_left():
    p = np.array([[1e-30, 1.0], [1e-20, 1.0], [1e-5, 1.0], [1e-16, 1 - 1e-16]])
    score = scaled(_predictions(p), 4.0).fracture_score
    assert score[0] > score[1] > score[2] >= score[3]
    assert_allclose(1 - score[1], 1e-5, rtol=1e-3)


def test_dict_round_trip_through_json_is_exact():
    temperature = fit_temperature(*_drawn())
    assert Temperature.from_dict(json.loads(json.dumps(to_json(temperature)))) == temperature
    with pytest.raises(ValueError) as error:
        Temperature.from_dict({"value": 1.0, "n": 3, "low": None, "epoch": 1})
    for problem in ("missing field: high", "missing field: note", "unknown field: epoch"):
        assert problem in str(error.value)
    with pytest.raises(ValueError, match="it is -1; expected a number above 0"):
        Temperature.from_dict(to_json(temperature) | {"value": -1.0})


@pytest.mark.parametrize("temperature", [0.0, -2.0, np.inf, np.nan])
def test_other_temperatures_are_refused(temperature):
    with pytest.raises(ValueError, match="expected a number above 0"):
        scaled(_predictions(_two([0.5, 0.6])), temperature)


@pytest.mark.parametrize(
    "y, p, message",
    [
        ([0, 1], [0.3, 0.4], "found float64(2,); expected floats of n studies, (n, k)"),
        ([0, 1], _two([0.3, np.nan]), "2 of 4 are not from 0 to 1"),
        ([0, 2], _two([0.3, 0.4]), "labels must be class indices 0 .. 1; found 2 in 1 studies"),
        ([0], _two([0.3, 0.4]), "labels have shape (1,)"),
        ([], np.zeros((0, 2)), "found float64(0, 2)"),
    ],
)
def test_refusals(y, p, message):
    with pytest.raises(ValueError) as error:
        fit_temperature(np.array(y, int), np.asarray(p))
    assert message in str(error.value)
