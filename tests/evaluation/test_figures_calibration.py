# dcurves and scikit-learn are loosely typed.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false

from functools import partial

import dcurves
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import calibration_curve

from fracjax.evaluation import metrics
from fracjax.evaluation.float64 import exact

THRESHOLDS = np.array([0.0, 0.1, 0.35, 0.5, 0.8, 0.99])


def _all(labels, probabilities, weights):
    arrays = (labels, probabilities, weights)
    both = jnp.stack([1 - probabilities, probabilities], axis=1)
    width, mass = (f(*arrays, 5) for f in (metrics.equal_width_bins, metrics.equal_mass_bins))
    return {
        "brier": metrics.brier(*arrays),
        "brier of classes": metrics.brier_of_classes(labels, both, weights),
        "log loss": metrics.log_loss(labels, both, weights),
        "width": width,
        "mass": mass,
        "ece": metrics.calibration_error(width),
        "ece of mass": metrics.calibration_error(mass),
        "benefit": metrics.net_benefit(*arrays, jnp.asarray(THRESHOLDS)),
        "of all": metrics.net_benefit_of_all(labels, weights, jnp.asarray(THRESHOLDS)),
    }


def _vmapped(labels, probabilities, weights):
    return jax.vmap(partial(_all, labels, probabilities))(weights)


def _set(n=103, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p).astype(int), p, rng.poisson(1.0, n).astype(float)


def _repeated(y, p, w):
    i = np.repeat(np.arange(y.size), w.astype(int))
    return y[i], p[i]


def test_by_hand():
    # bins of a fifth: [0, .2) has 0.1-, [.2, .4) 0.2+ twice, [.8, 1] 0.8- and 1.0+
    y, p = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 1.0, 0.5])
    got = exact(_all, y, p, np.array([1.0, 2, 1, 1, 0]))
    assert_array_equal(got["width"].weight, [1, 2, 0, 0, 2])
    assert_array_equal(got["width"].observed, [0, 1, np.nan, np.nan, 0.5])
    assert_allclose(got["width"].mean_score, [0.1, 0.2, np.nan, np.nan, 0.9], atol=1e-15)
    assert_allclose(got["ece"], (0.1 + 2 * 0.8 + 2 * 0.4) / 5, atol=1e-15)
    assert_allclose(got["brier"], (0.01 + 2 * 0.64 + 0.64 + 0) / 5, atol=1e-15)
    # at 0.5: one found, one false alarm, of five
    assert got["benefit"][3] == pytest.approx(1 / 5 - 1 / 5, abs=1e-15)
    assert got["benefit"][0] == pytest.approx(3 / 5, abs=1e-15)  # every study is called
    assert got["of all"][0] == pytest.approx(3 / 5, abs=1e-15)


def test_equals_scikit_learn_with_weights():
    y, p, w = _set()
    got = exact(_all, y, p, w)
    assert_allclose(got["brier"], sk.brier_score_loss(y, p, sample_weight=w), atol=1e-12)
    assert_allclose(got["brier of classes"], 2 * got["brier"], atol=1e-12)
    assert_allclose(got["log loss"], sk.log_loss(y, p, sample_weight=w), atol=1e-12)
    for name, strategy in (("width", "uniform"), ("mass", "quantile")):
        observed, score = calibration_curve(*_repeated(y, p, w), n_bins=5, strategy=strategy)
        assert_allclose(got[name].observed, observed, atol=1e-12)
        assert_allclose(got[name].mean_score, score, atol=1e-12)
    yr, pr = _repeated(y, p, w)
    assert_array_equal(got["width"].weight, np.histogram(pr, 5, (0, 1))[0])
    assert_allclose(got["mass"].edges, np.quantile(pr, np.arange(6) / 5), atol=1e-12)
    assert_array_equal(got["mass"].weight.sum(), yr.size)


def test_bins_of_equal_mass_keep_ties_together_and_may_be_empty():
    y, _, w = _set()
    p = np.where(np.arange(103) < 80, 0.3, 0.7)
    got = exact(_all, y, p, w)["mass"]
    assert sorted(got.weight[got.weight > 0]) == sorted([w[:80].sum(), w[80:].sum()])
    observed, _ = calibration_curve(*_repeated(y, p, w), n_bins=5, strategy="quantile")
    assert_allclose(got.observed[got.weight > 0], observed, atol=1e-12)


def test_net_benefit_is_that_of_dcurves():
    y, p, w = _set()
    p = np.round(p, 1)  # ties with thresholds, too
    y, p = _repeated(y, p, w)
    got = exact(_all, y, p, np.ones(y.size))
    table = dcurves.dca(
        data=pd.DataFrame({"y": y, "p": p}), outcome="y", modelnames=["p"], thresholds=THRESHOLDS
    )
    for model, name in (("p", "benefit"), ("all", "of all")):
        expected = table[table.model == model].sort_values("threshold").net_benefit
        assert_allclose(got[name], expected, atol=1e-12)


def test_vmapped_equals_one_by_one_and_no_weight_is_nan():
    y, p, _ = _set()
    weights = np.random.default_rng(1).poisson(1.0, (4, 103)).astype(float)
    weights[2] = 0
    together = exact(_vmapped, y, p, weights)
    for i, w in enumerate(weights):
        alone = exact(_all, y, p, w)
        jax.tree.map(lambda a, b, i=i: assert_allclose(a[i], b, atol=1e-13), together, alone)
    for name in ("brier", "brier of classes", "log loss", "ece", "ece of mass"):
        assert_array_equal(np.isnan(together[name]), [False, False, True, False])
    assert np.isnan(together["benefit"][2]).all()


def test_the_order_of_studies_changes_nothing():
    y, p, w = _set()
    shuffle = np.random.default_rng(0).permutation(103)
    first, other = exact(_all, y, p, w), exact(_all, y[shuffle], p[shuffle], w[shuffle])
    jax.tree.map(partial(assert_allclose, atol=1e-14), first, other)


def test_a_probability_of_0_that_came_true_is_infinitely_surprising():
    arrays = (np.array([1, 0]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert exact(metrics.log_loss, *arrays, np.ones(2)) == np.inf
    assert exact(metrics.log_loss, *arrays, np.array([0.0, 1])) == pytest.approx(np.log(2))


def test_a_probability_on_an_edge_is_where_its_digits_say():
    """Compiled, too: a third of a tenth-wide bin is 0.3, and not the number above it."""
    p = np.arange(101) / 100
    labels, weights = (np.arange(101) % 2).astype(float), np.ones(101)
    bins = exact(partial(metrics.equal_width_bins, bins=10), labels, p, weights)
    assert_array_equal(bins.edges, np.arange(11) / 10)
    assert_array_equal(bins.weight, [10] * 9 + [11])
    quantiles = exact(partial(metrics.equal_mass_bins, bins=10), labels, p, weights)
    assert_array_equal(quantiles.edges, np.quantile(p, np.arange(11) / 10))
