# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from fracjax.evaluation import Estimate, auc
from fracjax.evaluation.delong import (
    auc_estimate,
    auc_variance,
    newcombe_auc,
    structural_components,
)
from fracjax.evaluation.intervals import (
    mover,
    mover_difference,
    mover_ratio,
    proportion,
    wilson,
    wilson_f1,
)


def test_wilson_by_the_formula():
    z = norm.ppf(0.975)
    for x, n in ((31, 46), (0, 5), (5, 5), (97, 143)):
        p = x / n
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert_allclose(wilson(x, n), (centre - half, centre + half), atol=1e-12)


def test_the_paper_s_46_studies():
    # 67.39 % of 46 is 31 studies, with the interval [53, 79] that PAPER.md states.
    assert_allclose(wilson(31, 46), (0.53, 0.79), atol=0.005)


def test_a_perfect_proportion_keeps_its_width():
    low, high = wilson(20, 20)
    assert high == 1
    assert low == pytest.approx(20 / (20 + norm.ppf(0.975) ** 2), abs=1e-12)


def test_a_proportion_of_nothing_is_undefined():
    assert proportion(0, 0, empty="never called") == Estimate(
        None, None, None, 0, "Wilson", "never called"
    )
    assert proportion(3, 4).value == 0.75
    assert proportion(3, 4).n == 4


def test_f1_interval_follows_its_proportion():
    low, high = wilson(8, 12)  # TP 8, FP + FN 4: F1 = 16 / 20
    assert wilson_f1(8, 4) == (2 * low / (1 + low), 2 * high / (1 + high))
    assert wilson_f1(8, 4)[0] < 0.8 < wilson_f1(8, 4)[1]
    assert wilson_f1(9, 0)[1] == 1
    assert wilson_f1(9, 0)[0] < 0.9


def test_mover_is_newcombe_s_interval_of_a_difference():
    # Newcombe 1998, Statistics in Medicine 17:873-890, Table II, method 10: 56/70 - 48/80.
    first, second = proportion(56, 70), proportion(80 - 48, 80)  # p1 - p2 = p1 + (1 - p2) - 1
    assert_allclose(mover([first, second], shift=-1.0), (0.0524, 0.3339), atol=5e-5)


def test_mover_of_a_difference_is_that_of_a_sum_with_the_sign_turned():
    # The same example of Newcombe's.
    first, second = proportion(48, 80), proportion(56, 70)
    assert_allclose(mover_difference(first, second), (0.0524, 0.3339), atol=5e-5)
    low, high = mover_difference(second, first)
    assert_allclose((-high, -low), mover_difference(first, second), atol=1e-15)


def test_mover_of_a_ratio_by_the_published_formula():
    a, b = proportion(40, 50), proportion(10, 100)
    product = a.value * b.value
    low = product - np.sqrt(
        product**2 - a.low * (2 * a.value - a.low) * b.high * (2 * b.value - b.high)
    )
    high = product + np.sqrt(
        product**2 - a.high * (2 * a.value - a.high) * b.low * (2 * b.value - b.low)
    )
    expected = (low / (b.high * (2 * b.value - b.high)), high / (b.low * (2 * b.value - b.low)))
    assert_allclose(mover_ratio(a, b), expected, rtol=1e-12)
    assert expected[0] < 8 < expected[1]


def test_mover_of_a_ratio_ends_where_the_intervals_of_its_parts_do():
    # A known part only scales: its interval is a point.
    def point(x):
        return Estimate(x, x, x, 1, "")

    share = proportion(7, 20)
    assert_allclose(mover_ratio(share, point(0.5)), (2 * share.low, 2 * share.high))
    assert_allclose(mover_ratio(point(0.5), share), (0.5 / share.high, 0.5 / share.low))
    nothing = proportion(0, 20)
    assert mover_ratio(share, nothing)[1] == np.inf
    assert 0 < mover_ratio(share, nothing)[0] < share.high / nothing.high
    assert mover_ratio(nothing, share)[0] == 0
    assert_allclose(mover_ratio(nothing, point(0.5)), (0, 2 * nothing.high))


def test_delong_by_hand():
    # fractures at 3 and 1, normal at 2 and 0: V10 = (1, 1/2), V01 = (1/2, 1)
    y, s = np.array([1, 1, 0, 0]), np.array([3.0, 1.0, 2.0, 0.0])
    v10, v01 = structural_components(y, s)
    assert v10.tolist() == [1, 0.5]
    assert v01.tolist() == [0.5, 1]
    assert auc_variance(y, s, np.arange(y.size)) == 0.125 / 2 + 0.125 / 2


def test_delong_equals_its_definition_and_is_blind_to_scale():
    rng = np.random.default_rng(0)
    for scores in (rng.normal(size=90), rng.integers(0, 5, 90).astype(float)):
        y = (np.arange(90) % 3 == 0).astype(int)
        psi = (np.sign(scores[y == 1][:, None] - scores[y == 0]) + 1) / 2
        slow = psi.mean(1).var(ddof=1) / 30 + psi.mean(0).var(ddof=1) / 60
        assert_allclose(auc_variance(y, scores, np.arange(90)), slow, rtol=1e-12)
        assert_allclose(auc_variance(y, np.exp(scores), np.arange(90)), slow, rtol=1e-12)
        v10, v01 = structural_components(y, scores)
        assert_allclose([v10.mean(), v01.mean()], auc(y, scores), atol=1e-14)


def test_auc_interval_is_delong_s_on_the_logit_scale():
    rng = np.random.default_rng(1)
    y = (np.arange(100) < 30).astype(int)
    s = rng.normal(size=100) + y
    estimate = auc_estimate(y, s, np.arange(y.size))
    logit = np.log(estimate.value / (1 - estimate.value))
    half = (
        1.959964
        * auc_variance(y, s, np.arange(y.size)) ** 0.5
        / (estimate.value * (1 - estimate.value))
    )
    ends = 1 / (1 + np.exp(-np.array([logit - half, logit + half])))
    assert_allclose([estimate.low, estimate.high], ends, atol=1e-6)
    assert estimate.n == 100
    assert estimate.method == "DeLong, logit scale"


def test_newcombe_solves_its_equation():
    # Substituted back: (auc - t)^2 = z^2 V(t), V as in Hanley and McNeil 1982 with equal sizes.
    for area, p, q in ((0.8, 20, 60), (0.5, 5, 5), (1.0, 30, 70), (0.0, 30, 70), (1.0, 1, 99)):
        for t in newcombe_auc(area, p, q):
            size = (p + q) / 2
            q1, q2 = t / (2 - t), 2 * t**2 / (1 + t)
            variance = (t * (1 - t) + (size - 1) * (q1 - t**2 + q2 - t**2)) / (p * q)
            assert_allclose((area - t) ** 2, norm.ppf(0.975) ** 2 * variance, atol=1e-9)


@pytest.mark.parametrize(
    "y, s, value",
    [
        (np.arange(20) // 10, np.arange(20.0), 1.0),  # perfect
        (np.arange(20) // 10, -np.arange(20.0), 0.0),  # perfectly wrong
        (np.arange(20) // 10, np.full(20, 0.3), 0.5),  # constant
        ((np.arange(20) == 9).astype(int), np.arange(20.0), 9 / 19),  # one fracture
    ],
)
def test_an_auc_without_delong_variance_still_has_a_width(y, s, value):
    estimate = auc_estimate(y, s, np.arange(y.size))
    assert estimate.value == pytest.approx(value, abs=1e-15)
    assert estimate.method == "Newcombe"
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.high - estimate.low > 0.1


def test_auc_of_one_class_is_undefined_and_says_which():
    assert (
        auc_estimate(np.ones(3, int), np.arange(3.0), np.arange(3)).note
        == "no negative study among 3"
    )
    assert auc_estimate(np.zeros(3, int), np.arange(3.0), np.arange(3)).value is None


def test_coverage_near_auc_1():
    # 20 fractures, 60 normal, true AUC 0.97. The plain AUC +- 1.96 SE covers about 80 % here.
    rng = np.random.default_rng(0)
    y = (np.arange(80) < 20).astype(int)
    covered = 0
    for _ in range(200):
        s = rng.normal(size=80) + y * np.sqrt(2) * norm.ppf(0.97)
        estimate = auc_estimate(y, s, np.arange(80))
        covered += estimate.low <= 0.97 <= estimate.high
    assert 0.88 < covered / 200 < 0.99
