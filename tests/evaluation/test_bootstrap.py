# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.evaluation.bootstrap import Resampled, bootstrap
from tests.evaluation.helpers import draw_weights


def _no_fallback():
    raise AssertionError("not needed here")


def _estimate(value, draws, n_groups=10, fallback=_no_fallback):
    draws = np.asarray(draws, float)[:, None]
    return Resampled(np.array([value]), draws, 20, n_groups).estimate(0, "closed", fallback)


def _resample(*arguments, **options):
    return bootstrap(*arguments, **options).draws


def _mean(values, weights):
    return weights @ values / weights.sum()


def _counted(values, weights):
    _counted.traces += 1
    return jnp.stack([weights.sum(), weights @ values])


_counted.traces = 0


def test_a_group_is_drawn_whole_and_as_many_groups_as_there_are():
    groups = np.array([0, 0, 1, 2, 2, 2])
    draws = draw_weights(groups, seed=0, resamples=500)
    assert draws.shape == (500, 6)
    assert_array_equal(draws[:, 0], draws[:, 1])
    assert_array_equal(draws[:, 3:5], draws[:, 4:6])
    assert_array_equal(draws[:, [0, 2, 3]].sum(axis=1), np.full(500, 3))
    assert_allclose(draws.mean(axis=0), 1, atol=0.1)  # each group is drawn once on average


def test_every_group_is_drawn_as_often_as_chance_has_it():
    draws = draw_weights(np.arange(300), seed=5, resamples=3000)
    assert_array_equal(draws.sum(axis=1), np.full(3000, 300))
    # Binomial(300, 1/300): mean 1, variance 299/300; 0 in (299/300)^300 of them.
    assert_allclose(draws.mean(axis=0), 1, atol=5 / 3000**0.5)
    assert_allclose(draws.var(), 299 / 300, atol=0.01)
    assert_allclose((draws == 0).mean(), (299 / 300) ** 300, atol=0.002)
    total = draws.sum(axis=0)  # chi-squared of 299 degrees of freedom, five standard deviations
    assert abs(((total - 3000) ** 2 / 3000).sum() - 299) < 5 * (2 * 299) ** 0.5


def test_the_seed_decides_and_few_resamples_are_the_first_of_many():
    groups = np.arange(30)
    first = draw_weights(groups, seed=1, resamples=50)
    assert_array_equal(first, draw_weights(groups, seed=1, resamples=700)[:50])
    assert (first != draw_weights(groups, seed=2, resamples=50)).any()
    assert (first[:-1] != first[1:]).any(axis=1).all()


def test_the_statistic_and_the_size_of_groups_leave_the_draws_as_they_are():
    groups = np.arange(31) // 2
    values = np.random.default_rng(0).normal(size=31)
    weights = draw_weights(groups, seed=3, resamples=101)
    mean = _resample(_mean, groups, values, seed=3, resamples=101)
    assert_allclose(mean[:, 0], weights @ values / weights.sum(axis=1), atol=1e-14)
    closure = _resample(lambda w: w[:2], groups, seed=3, resamples=101)
    assert_array_equal(closure, weights[:, :2])
    larger = draw_weights(np.repeat(groups, 20), seed=3, resamples=101)
    assert_array_equal(larger[:, ::20], weights)


def test_pieces_change_nothing(monkeypatch):
    groups = np.arange(31) // 2
    whole = draw_weights(groups, seed=3, resamples=101)
    monkeypatch.setattr("fracjax.evaluation.bootstrap._AT_ONCE", 256 * 17)
    assert_array_equal(draw_weights(groups, seed=3, resamples=101), whole)


def test_one_function_and_size_of_set_is_traced_once():
    values = np.linspace(0, 1, 40)
    groups = np.arange(40)
    _counted.traces = 0
    first = _resample(_counted, groups, values, seed=0, resamples=600)
    _resample(_counted, groups, values + 1, seed=1, resamples=9)  # other values
    _resample(_counted, groups[:33] // 3, values[:33], seed=0)  # and a set of about the same size
    assert _counted.traces == 1
    assert first.dtype == np.float64
    assert_array_equal(first[:, 0], np.full(600, 40.0))  # nothing that fills up is ever drawn


def test_a_large_set_comes_in_pieces():
    groups = np.arange(20_000) // 2
    draws = _resample(_counted, groups, np.ones(20_000), seed=0, resamples=40)
    assert_array_equal(draws, np.full((40, 2), 20_000.0))


def test_the_spread_of_a_mean_is_that_of_the_groups():
    # Ten copies of each of 50 values: the standard error is that of 50 values, not of 500.
    values = np.random.default_rng(0).normal(size=50)
    groups = np.repeat(np.arange(50), 10)
    draws = _resample(_mean, groups, np.repeat(values, 10), seed=0, resamples=4000)
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
