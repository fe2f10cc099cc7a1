# dcurves is loosely typed.
# pyright: reportCallIssue=false
import dcurves
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.evaluation import auc, metrics
from fracjax.evaluation.curves import decision_curve, pr_band, roc_band
from fracjax.evaluation.intervals import wilson
from tests.evaluation.helpers import draw_weights, run_float64


def _set(n=200, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    return y, np.round(np.clip(rng.normal(0.35 + 0.25 * y, 0.15), 0, 1), 2)


def test_the_curves_are_the_figures_and_have_their_areas():
    y, s = _set()
    roc, pr = roc_band(y, s), pr_band(y, s)
    assert_array_equal(roc.x, np.arange(101) / 100)
    assert_array_equal(pr.x, np.arange(1, 101) / 100)
    ones = np.ones(y.size)
    assert_allclose(roc.y, run_float64(metrics.sensitivity_at, y, s, ones, roc.x), atol=1e-14)
    assert_allclose(np.trapezoid(roc.y, roc.x), auc(y, s), atol=0.01)
    assert_allclose(pr.y.mean(), sk.average_precision_score(y, s), atol=0.02)
    assert (roc.n, roc.method) == (
        200,
        "bootstrap of 200 groups, 2000 resamples, pointwise; Wilson over positive studies where "
        "all are the same",
    )


def test_the_bands_are_the_percentiles_of_resampled_curves():
    y, s = _set()
    group = np.arange(200) // 2
    roc = roc_band(y, s, group, seed=4, resamples=30)
    decision = decision_curve(y, s, group, seed=4, resamples=30)
    rates, benefits = [], []
    for w in draw_weights(group, seed=4, resamples=30):
        called = s[:, None] >= np.unique(s)[::-1]
        tp, fp = (w * y) @ called, (w * (1 - y)) @ called
        x, height = fp / fp[-1], tp / tp[-1]
        rates.append(max(height[x <= 0.1][-1], np.interp(0.1, x, height)))
        t = 0.3
        hit, false = (w * y) @ (s >= t), (w * (1 - y)) @ (s >= t)
        benefits.append((hit - false * t / (1 - t)) / w.sum())
    assert_allclose([roc.low[10], roc.high[10]], np.quantile(rates, [0.025, 0.975]), atol=1e-12)
    ends = [decision.model.low[29], decision.model.high[29]]
    assert_allclose(ends, np.quantile(benefits, [0.025, 0.975]), atol=1e-12)


@pytest.mark.parametrize("curve", [roc_band, pr_band])
def test_the_curve_lies_in_its_band_and_the_order_of_groups_changes_nothing(curve):
    y, s = _set()
    group = np.arange(200) // 2
    band = curve(y, s, group, resamples=200)
    assert (band.low <= band.y).mean() > 0.95
    assert (band.y <= band.high).mean() > 0.95
    shuffle = np.random.default_rng(0).permutation(200)
    other = curve(y[shuffle], s[shuffle], group[shuffle], resamples=200)
    assert_allclose(other.low, band.low, atol=1e-12)
    assert other.method.startswith("bootstrap of 100 groups")


def test_a_perfect_detector_has_a_band_all_the_same():
    y = (np.arange(60) < 20).astype(int)
    roc, pr = roc_band(y, 0.1 + 0.8 * y), pr_band(y, 0.1 + 0.8 * y)
    assert_array_equal(roc.y, np.ones(101))
    assert_allclose(roc.low[:100], wilson(20, 20)[0], atol=1e-15)
    assert (roc.low[100], roc.high[100]) == (1, 1)  # where every study is called
    assert_allclose(pr.low, wilson(20, 20)[0], atol=1e-15)


def test_net_benefit():
    y, s = _set()
    curve = decision_curve(y, s)
    assert_array_equal(curve.model.x, np.arange(1, 100) / 100)
    table = dcurves.dca(
        data=pd.DataFrame({"y": y, "p": s}), outcome="y", modelnames=["p"], thresholds=curve.model.x
    )
    of_all = table[table.model == "all"].sort_values("threshold").net_benefit
    assert_allclose(curve.treat_all, of_all, atol=1e-12)
    # At 0.01 all but the studies of probability 0 are called.
    assert abs(curve.model.y[0] - curve.treat_all[0]) < 0.01
    # No study reaches 0.99: worth nothing, but not for sure in the next 200 studies.
    assert curve.model.y[98] == 0
    assert curve.model.low[98] < 0 < curve.model.high[98]
    assert curve.model.method.endswith("MOVER of Wilson's where all are the same")


def test_refusals():
    y, s = _set(20)
    with pytest.raises(ValueError, match=r"2 of 20 are not within 0 .. 1: 1.5, -0.5"):
        decision_curve(y, np.r_[1.5, -0.5, s[2:]])
    with pytest.raises(ValueError, match="no positive study"):
        roc_band(np.zeros(20, int), s)
    with pytest.raises(ValueError, match=r"groups have shape \(19,\)"):
        pr_band(y, s, np.arange(19))
