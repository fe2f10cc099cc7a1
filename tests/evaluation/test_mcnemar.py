# Estimates may be None; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from fracjax.evaluation.compare import mcnemar, paired_difference, tango
from fracjax.evaluation.intervals import design_effect, wilson


def _calls(both, only_first, only_second, neither):
    """Who is right, study by study, and every study its own group."""
    counts = (both, only_first, only_second, neither)
    first = np.repeat([True, True, False, False], counts)
    second = np.repeat([True, False, True, False], counts)
    return first, second, np.arange(sum(counts))


def _tango(only_second, only_first, n):
    return tango(float(only_second), float(only_first), float(n))


def test_mcnemar_by_hand():
    # 4 studies against 1: the 12 of 32 outcomes with 4 or more on one side
    assert mcnemar(*_calls(3, 4, 1, 2)) == 12 / 32
    assert mcnemar(*_calls(3, 2, 2, 0)) == 1
    assert mcnemar(*_calls(3, 0, 0, 4)) == 1


@pytest.mark.parametrize("b, c", [(0, 1), (0, 9), (3, 12), (40, 41), (150, 210)])
def test_mcnemar_equals_scipy_and_statsmodels(b, c):
    p_value = mcnemar(*_calls(5, b, c, 7))
    assert_allclose(p_value, binomtest(b, b + c).pvalue, rtol=1e-9)
    assert_allclose(p_value, statsmodels_mcnemar([[5, b], [c, 7]], exact=True).pvalue, rtol=1e-9)


def test_a_group_is_swapped_as_a_whole():
    # Gains of three groups: +3, +1, -1. Of their 8 signs, 6 give a sum of 3 or more on a side.
    first = np.array([0, 0, 0, 0, 1, 1], bool)
    second = np.array([1, 1, 1, 1, 0, 1], bool)
    groups = np.array([2, 2, 2, 0, 1, 3])
    assert mcnemar(first, second, groups) == 6 / 8
    assert mcnemar(second, first, groups) == 6 / 8


def test_swaps_are_all_the_swaps():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 30)) < [[0.5], [0.75]]
    groups = rng.integers(0, 9, 30)
    gains = [(second[groups == g].sum() - first[groups == g].sum()) for g in range(9)]
    sums = [np.dot(signs, gains) for signs in itertools.product((-1, 1), repeat=9)]
    assert mcnemar(first, second, groups) == np.mean(np.abs(sums) >= abs(sum(gains)))


def test_copies_of_studies_are_no_evidence():
    first, second, groups = _calls(10, 2, 9, 5)
    once = mcnemar(first, second, groups)
    assert mcnemar(*(np.repeat(a, 3) for a in (first, second, groups))) == pytest.approx(once)
    assert mcnemar(*(np.repeat(a, 3) for a in (first, second)), np.arange(78)) < 0.01 < once
    alone = paired_difference(first, second, groups)
    copied = paired_difference(*(np.repeat(a, 3) for a in (first, second, groups)))
    assert copied.method == "Tango, design effect 3.08"  # 3 * (1 - 1/78) / (1 - 1/26)
    assert_allclose((copied.low, copied.high), (alone.low, alone.high), atol=0.006)


@pytest.mark.parametrize(
    "table, ends",
    [  # Fagerland, Lydersen and Laake 2017, Statistical Analysis of Contingency Tables, chapter 8
        ((59, 6, 16, 80), (-0.1240, -0.0054)),
        ((1, 1, 7, 12), (-0.5172, -0.0260)),
    ],
)
def test_tango_of_published_tables(table, ends):
    _, b, c, _ = table
    assert_allclose(_tango(b, c, sum(table)), ends, atol=6e-5)
    assert_allclose(_tango(c, b, sum(table)), (-ends[1], -ends[0]), atol=6e-5)


def test_tango_at_the_edges():
    z2 = 1.959964**2
    assert_allclose(_tango(0, 0, 20), (-z2 / (20 + z2), z2 / (20 + z2)), atol=1e-6)
    assert_allclose(_tango(0, 0, 20)[1], wilson(0, 20)[1], atol=1e-6)
    # All studies on one side: 2 p - 1, of the share p that the second has right.
    assert_allclose(_tango(20, 0, 20), (2 * wilson(20, 20)[0] - 1, 1), atol=1e-6)
    assert _tango(1, 0, 1)[1] == 1


def test_tango_solves_its_score_equation():
    # The constrained likelihood by brute force over the share that only the first has right.
    b, c, n = 9, 4, 40
    share = np.linspace(1e-6, 0.4, 400_001)
    for d in _tango(b, c, n):
        ok = (share + d > 0) & (2 * share + d < 1)
        q = share[ok]
        likelihood = b * np.log(q + d) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - d)
        best = q[likelihood.argmax()]
        z = (b - c - n * d) / np.sqrt(n * (2 * best + d - d * d))
        assert_allclose(abs(z), 1.959964, atol=1e-4)


def test_interval_and_test_agree():
    worst = 0.0
    for b, c in itertools.combinations(range(16), 2):
        low, _ = _tango(c, b, 2 * (b + c))
        assert (low > 0) == ((c - b) ** 2 / (b + c) > 1.959964**2)
        p_value = binomtest(b, b + c).pvalue
        assert low > 0 or p_value > 0.05
        if low > 0:
            worst = max(worst, p_value)
    assert worst == 0.125


def test_coverage_of_paired_differences():
    # 25 studies; the second is right in 92 %, the first in 80 %, with half of the errors shared.
    rng = np.random.default_rng(0)
    chances = (0.76, 0.04, 0.16, 0.04)
    tables, times = np.unique(rng.multinomial(25, chances, size=2000), axis=0, return_counts=True)
    ends = {tuple(t[[2, 1]]): _tango(t[2], t[1], 25) for t in tables}
    covered = [ends[tuple(t[[2, 1]])][0] <= 0.12 <= ends[tuple(t[[2, 1]])][1] for t in tables]
    assert 0.93 < np.average(covered, weights=times) < 0.97


def test_design_effect():
    rng = np.random.default_rng(0)
    values = rng.normal(size=40)
    assert design_effect(values, rng.permutation(40)) == 1
    assert design_effect(np.zeros(40), np.arange(40) // 2) == 2
    assert design_effect(values, np.zeros(40, int)) == 40
    assert_allclose(
        design_effect(np.repeat(values, 5), np.repeat(np.arange(40), 5)), 5 * 199 / 200 / 39 * 40
    )
    assert design_effect(np.tile([1.0, -1.0], 20), np.arange(40) // 2) == 1  # never below 1


def test_a_difference_over_nothing_is_undefined():
    nothing = np.zeros(0, bool)
    estimate = paired_difference(nothing, nothing, np.zeros(0, int), empty="no positive study")
    assert (estimate.value, estimate.n, estimate.note) == (None, 0, "no positive study")
