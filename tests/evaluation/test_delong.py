# Estimates may be None; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from fracjax.evaluation import auc
from fracjax.evaluation.delong import (
    auc_difference,
    auc_estimate,
    auc_variance,
    difference_variance,
)
from fracjax.evaluation.intervals import mover_difference


def _kernel(labels, scores):
    """Of every fracture (rows) and normal study: is the order right? Half of a tie."""
    return (np.sign(scores[labels == 1][:, None] - scores[labels == 0]) + 1) / 2


def _textbook(labels, first, second):
    """DeLong, DeLong and Clarke-Pearson's S10 and S01 by kernels, and L S L' for L = -1, 1."""
    kernels = [_kernel(labels, first), _kernel(labels, second)]
    s10 = np.cov([k.mean(1) for k in kernels])
    s01 = np.cov([k.mean(0) for k in kernels])
    contrast = np.array([-1.0, 1.0])
    m, n = kernels[0].shape
    return contrast @ (s10 / m + s01 / n) @ contrast


def _studies(n=90, seed=0):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    shared = rng.normal(size=n) + y
    return y, shared + rng.normal(size=n), shared + 0.6 * rng.normal(size=n)


def test_by_hand():
    # fractures, then normal studies. First: V10 = 1, 1/2; V01 = 1/2, 1. Second: both AUCs 1.
    y = np.array([1, 1, 0, 0])
    first, second = np.array([3.0, 1.0, 2.0, 0.0]), np.array([3.0, 2.0, 1.0, 0.0])
    # Gains 0, 1/2 and 1/2, 0: variance 1/8 each, over 2 studies each.
    assert difference_variance(y, first, second, np.arange(4)) == 0.125
    estimate, p_value = auc_difference(y, first, second, np.arange(4))
    assert estimate.value == 0.25
    assert p_value == pytest.approx(2 * norm.sf(0.25 / 0.125**0.5))
    assert estimate.low == pytest.approx(0.25 - 1.959964 * 0.125**0.5, abs=1e-6)
    assert estimate.high == pytest.approx(0.25 + 1.959964 * 0.125**0.5, abs=1e-6)


def test_equals_the_textbook_with_and_without_ties():
    for seed, digits in ((0, None), (1, 0), (2, 1)):
        y, first, second = _studies(seed=seed)
        if digits is not None:
            first, second = first.round(digits), second.round(digits)
        each = np.arange(y.size)
        variance = difference_variance(y, first, second, each)
        assert_allclose(variance, _textbook(y, first, second), rtol=1e-12)
        estimate, p_value = auc_difference(y, first, second, each)
        assert_allclose(estimate.value, auc(y, second) - auc(y, first), atol=1e-15)
        assert_allclose(p_value, 2 * norm.sf(abs(estimate.value) / variance**0.5))
        assert estimate.method == "DeLong"


def test_a_constant_has_no_say():
    # Against a scorer that knows nothing the variance is that of the one AUC.
    y, scores, _ = _studies()
    variance = difference_variance(y, np.zeros(90), scores, np.arange(90))
    assert_allclose(variance, auc_variance(y, scores, np.arange(90)), rtol=1e-12)


def test_scale_and_order_of_studies_change_nothing_and_sides_change_the_sign():
    y, first, second = _studies()
    each = np.arange(90)
    estimate, p_value = auc_difference(y, first, second, each)
    shuffle = np.random.default_rng(1).permutation(90)
    other, other_p = auc_difference(y[shuffle], np.exp(first)[shuffle], second[shuffle] * 9, each)
    assert_allclose((other.low, other.high, other_p), (estimate.low, estimate.high, p_value))
    swapped, swapped_p = auc_difference(y, second, first, each)
    assert_allclose((swapped.low, swapped.high), (-estimate.high, -estimate.low))
    assert swapped_p == p_value


def test_the_interval_leaves_out_0_exactly_when_p_is_below_5_percent():
    for seed in range(60):
        y, first, second = _studies(60, seed)
        estimate, p_value = auc_difference(y, first, second, np.arange(60))
        assert (estimate.low > 0 or estimate.high < 0) == (p_value < 0.05)


def test_copies_of_studies_are_no_evidence():
    y, first, second = _studies()
    each = np.arange(90)
    alone = difference_variance(y, first, second, each)
    copies = [np.repeat(a, 4) for a in (y, first, second, each)]
    assert_allclose(difference_variance(*copies), alone, rtol=1e-12)
    assert difference_variance(*copies[:3], np.arange(360)) < alone / 3.9
    assert auc_difference(*copies)[0].method == "DeLong, by group"


def test_groups_equal_obuchowski_s_definition():
    y, first, second = _studies()
    rng = np.random.default_rng(2)
    groups = rng.integers(0, 35, 90)  # of both classes
    gain = _kernel(y, second) - _kernel(y, first)
    m, n = gain.shape
    d10, d01 = gain.mean(1) - gain.mean(), gain.mean(0) - gain.mean()
    by_group = [(d10[groups[y == 1] == g], d01[groups[y == 0] == g]) for g in np.unique(groups)]
    i10, i01 = (sum(len(pair[i]) > 0 for pair in by_group) for i in (0, 1))
    i = len(by_group)
    s10 = i10 / ((i10 - 1) * m) * sum(a.sum() ** 2 for a, _ in by_group)
    s01 = i01 / ((i01 - 1) * n) * sum(b.sum() ** 2 for _, b in by_group)
    s11 = i / (i - 1) * sum(a.sum() * b.sum() for a, b in by_group)
    expected = s10 / m + s01 / n + 2 * s11 / (m * n)
    assert_allclose(difference_variance(y, first, second, groups), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "y, first, second",
    [
        (np.arange(20) // 10, np.arange(20.0), np.arange(20.0) ** 2),  # both AUCs 1
        (np.arange(20) % 2, np.arange(20.0), np.arange(20.0)),  # the same scores
        (np.arange(20) // 10, np.zeros(20), np.arange(20.0)),  # a constant against a perfect one
        ((np.arange(20) == 9).astype(int), np.arange(20.0), np.arange(20.0) % 7),  # one fracture
    ],
)
def test_without_a_variance_the_interval_is_as_if_independent_and_there_is_no_p(y, first, second):
    estimate, p_value = auc_difference(y, first, second, np.arange(20))
    assert p_value is None
    assert estimate.method == "MOVER of both AUCs"
    alone = [auc_estimate(y, s, np.arange(y.size)) for s in (first, second)]
    assert estimate.value == alone[1].value - alone[0].value
    assert (estimate.low, estimate.high) == mover_difference(*alone)
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.high - estimate.low > 0.2


def test_one_class_is_undefined_and_says_which():
    scores = np.arange(3.0)
    estimate, p_value = auc_difference(np.ones(3, int), scores, scores, np.arange(3))
    assert (estimate.value, estimate.note, p_value) == (None, "no negative study among 3", None)


def test_coverage_and_level():
    # 30 fractures, 70 normal studies; both true AUCs 0.85, correlated 0.6.
    rng = np.random.default_rng(0)
    y, each = (np.arange(100) < 30).astype(int), np.arange(100)
    noise = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(400, 100))
    scores = noise + (y * np.sqrt(2) * norm.ppf(0.85))[:, None]
    covered = 0
    for first, second in np.moveaxis(scores, -1, 1):
        error = difference_variance(y, first, second, each) ** 0.5
        covered += abs(auc(y, second) - auc(y, first)) < 1.96 * error
    assert 0.92 < covered / 400 < 0.98


def test_of_several_networks_it_is_their_mean_auc_with_its_variance():
    """Var((a + b) / 2) = (2 Var a + 2 Var b - Var(a - b)) / 4."""
    rng = np.random.default_rng(3)
    y, groups = np.arange(90) % 2, np.arange(90) // 3
    first, second = y + rng.normal(size=90), y + rng.normal(size=90)
    both = np.stack([first, second])
    alone = sum(auc_variance(y, one, groups) for one in both)
    expected = (2 * alone - difference_variance(y, first, second, groups)) / 4
    assert_allclose(auc_variance(y, both, groups), expected, rtol=1e-12)
    assert auc_estimate(y, both, groups).value == np.mean([auc(y, one) for one in both])
    gain, p_value = auc_difference(y, both, both[::-1], groups)
    assert (gain.value, p_value) == (0, None)
    one, _ = auc_difference(y, both, np.stack([first, first]), groups)
    assert one.value == (auc(y, first) - auc(y, second)) / 2
    variance = difference_variance(y, both, np.stack([first, first]), groups)
    assert_allclose(variance, difference_variance(y, second, first, groups) / 4, rtol=1e-12)
