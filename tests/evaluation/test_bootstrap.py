# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.evaluation.bootstrap import percentile_estimate, resample


def _no_fallback():
    raise AssertionError("not needed here")


def _estimate(value, draws, n_groups=10, fallback=_no_fallback):
    draws = np.asarray(draws, float)
    return percentile_estimate(value, draws, n=20, n_groups=n_groups, fallback=("closed", fallback))


def _weights(weights):
    return weights


def test_a_group_is_drawn_whole_and_as_many_groups_as_there_are():
    groups = np.array([0, 0, 1, 2, 2, 2])
    draws = resample(_weights, groups, seed=0, resamples=500)
    assert draws.shape == (500, 6)
    assert_array_equal(draws[:, 0], draws[:, 1])
    assert_array_equal(draws[:, 3:5], draws[:, 4:6])
    assert_array_equal(draws[:, [0, 2, 3]].sum(axis=1), np.full(500, 3))
    assert_allclose(draws.mean(axis=0), 1, atol=0.1)  # each group is drawn once on average


def test_the_seed_decides():
    groups = np.arange(30)
    first = resample(_weights, groups, seed=1, resamples=50)
    assert_array_equal(first, resample(_weights, groups, seed=1, resamples=50))
    assert (first != resample(_weights, groups, seed=2, resamples=50)).any()


def test_pieces_change_nothing(monkeypatch):
    groups = np.arange(31) // 2
    whole = resample(_weights, groups, seed=3, resamples=101)
    monkeypatch.setattr("fracjax.evaluation.bootstrap._WEIGHTS_AT_ONCE", 31 * 7)
    assert_array_equal(resample(_weights, groups, seed=3, resamples=101), whole)


def test_the_spread_of_a_mean_is_that_of_the_groups():
    # Ten copies of each of 50 values: the standard error is that of 50 values, not of 500.
    values = np.random.default_rng(0).normal(size=50)
    groups = np.repeat(np.arange(50), 10)

    def mean(weights):
        return (weights @ np.repeat(values, 10) / weights.sum(1))[:, None]

    draws = resample(mean, groups, seed=0, resamples=4000)
    assert_allclose(draws.std(), values.std() / np.sqrt(50), rtol=0.05)


def test_percentiles_and_the_count_of_undefined_resamples():
    estimate = _estimate(0.5, [*np.linspace(0, 1, 1001), np.nan, np.nan])
    assert_allclose([estimate.low, estimate.high], [0.025, 0.975], atol=1e-12)
    assert estimate.method == "bootstrap of 10 groups, 1003 resamples, 2 undefined"


def test_no_interval_when_most_resamples_are_undefined():
    estimate = _estimate(0.5, [0.1, 0.9, np.nan, np.nan, np.nan])
    assert (estimate.value, estimate.low, estimate.high) == (0.5, None, None)
    assert estimate.note == "undefined in most resamples"


def test_no_interval_from_a_single_group():
    assert _estimate(0.5, [0.5, 0.5], n_groups=1).note.startswith("a single group")
    assert _estimate(0.5, [0.5, 0.5], n_groups=1).low is None


def test_equal_resamples_hand_over_to_the_closed_form():
    estimate = _estimate(1.0, [1.0] * 9, fallback=lambda: (0.8, 1.0))
    assert (estimate.low, estimate.high, estimate.method) == (0.8, 1.0, "closed")
    assert estimate.note == "the same in every resample"


def test_an_undefined_value_stays_undefined():
    assert _estimate(np.nan, [0.4, 0.6]).value is None
