# dcurves and scikit-learn are loosely typed.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false

from functools import partial

import dcurves
import jax
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.evaluation import metrics
from tests.evaluation.helpers import run_float64

THRESHOLDS = np.array([0.0, 0.1, 0.35, 0.5, 0.8, 0.99])


def _all(labels, probabilities, weights):
    return {
        "brier": metrics.brier(labels, probabilities, weights),
        "benefit": metrics.net_benefit(labels, probabilities, weights, THRESHOLDS),
    }


def _vmapped(labels, probabilities, weights):
    return jax.vmap(partial(_all, labels, probabilities))(weights)


def _set(n=103, seed=0):
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(n), 1)  # ties with thresholds, too
    return (rng.random(n) < p).astype(int), p, rng.poisson(1.0, n).astype(float)


def test_by_hand():
    y, p = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 1.0, 0.5])
    got = run_float64(_all, y, p, np.array([1.0, 2, 1, 1, 0]))
    assert_allclose(got["brier"], (0.01 + 2 * 0.64 + 0.64 + 0) / 5, atol=1e-15)
    # at 0.5: one found, one false alarm, of five
    assert got["benefit"][3] == pytest.approx(1 / 5 - 1 / 5, abs=1e-15)
    assert got["benefit"][0] == pytest.approx(3 / 5, abs=1e-15)  # every study is called


def test_equals_scikit_learn_and_dcurves_with_weights():
    y, p, w = _set()
    got = run_float64(_all, y, p, w)
    assert_allclose(got["brier"], sk.brier_score_loss(y, p, sample_weight=w), atol=1e-12)
    i = np.repeat(np.arange(y.size), w.astype(int))
    data = pd.DataFrame({"y": y[i], "p": p[i]})
    table = dcurves.dca(data=data, outcome="y", modelnames=["p"], thresholds=THRESHOLDS)
    expected = table[table.model == "p"].sort_values("threshold").net_benefit
    assert_allclose(got["benefit"], expected, atol=1e-12)


def test_vmapped_equals_one_by_one_and_no_weight_is_nan():
    y, p, _ = _set()
    weights = np.random.default_rng(1).poisson(1.0, (4, 103)).astype(float)
    weights[2] = 0
    together = run_float64(_vmapped, y, p, weights)
    for i, w in enumerate(weights):
        alone = run_float64(_all, y, p, w)
        jax.tree.map(lambda a, b, i=i: assert_allclose(a[i], b, atol=1e-13), together, alone)
    assert_array_equal(np.isnan(together["brier"]), [False, False, True, False])
    assert np.isnan(together["benefit"][2]).all()
