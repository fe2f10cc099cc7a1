"""How two sets of studies differ: by hand, against SciPy, and under no drift."""

import numpy as np
import pytest
import scipy
from numpy.testing import assert_allclose

from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.drift import fraction_shift, histogram, shift_of
from fracjax.evaluation.intervals import LEVEL


def _each(values):
    return np.asarray(values, float), np.arange(len(values))


def test_two_small_sets_by_hand():
    """Of 12 pairs (here, reference) 9 are higher and 1 is a tie."""
    found = shift_of("x", "training", _each([1, 2, 3, 4]), _each([3, 5, 3.5]))
    assert found.higher.value == pytest.approx((2 + 0.5 + 4 + 3) / 12)
    assert found.ks == pytest.approx(2 / 4)  # below 3 are two of four, and none of three
    assert (found.reference.n, found.reference.median, found.here.median) == (4, 2.5, 3.5)
    assert (found.higher.n, found.of) == (7, "training")


def test_the_same_values_have_not_drifted():
    values = np.random.default_rng(0).normal(size=40)
    found = shift_of("x", "training", _each(values), _each(values[::-1]))
    assert (found.ks, found.higher.value) == (0, 0.5)
    assert not found.beyond_chance


def test_the_distance_is_that_of_scipy_and_its_limit_is_smirnovs():
    rng = np.random.default_rng(1)
    before, here = rng.normal(size=80), rng.normal(0.7, 2, size=50)
    found, theirs = (
        shift_of("x", "t", _each(before), _each(here)),
        scipy.stats.ks_2samp(before, here),
    )
    assert_allclose(found.ks, theirs.statistic)
    # As it is tabled: 1.358 sqrt((m + n) / (m n)).
    assert_allclose(found.ks_by_chance, 1.3581 * (1 / 80 + 1 / 50) ** 0.5, rtol=1e-4)
    assert found.beyond_chance == (theirs.pvalue < 1 - LEVEL)


def test_without_drift_chance_is_exceeded_in_one_of_twenty_sets_or_fewer_also_of_groups():
    """Five images of each of 20 patients, alike: as single studies most sets would differ."""
    rng = np.random.default_rng(2)
    single = grouped = 0
    for _ in range(100):
        sides = [np.repeat(rng.normal(size=20), 5) for _ in range(2)]
        groups = np.repeat(np.arange(20), 5)
        grouped += shift_of("x", "t", *((its, groups) for its in sides)).beyond_chance
        single += shift_of("x", "t", *map(_each, sides)).beyond_chance
    assert grouped <= 0.05 * 100
    assert single > 0.4 * 100


def test_groups_of_both_sides_are_apart_although_they_have_one_name():
    values, groups = np.arange(8.0), np.repeat([0, 1], 4)
    found = shift_of("x", "t", (values, groups), (values + 1, groups))
    labels, scores = np.repeat([0, 1], 8), np.concatenate([values, values + 1])
    apart = auc_estimate(labels, scores, np.repeat([0, 1, 2, 3], 4))
    assert found.higher == apart
    assert found.higher != auc_estimate(labels, scores, np.tile(groups, 2))


def test_a_fraction_by_hand_with_newcombes_interval():
    """His example (a): 56 of 70 against 48 of 80 differ by 0.2, from 0.0524 to 0.3339."""
    sides = [np.arange(n) < k for k, n in ((48, 80), (56, 70))]
    found = fraction_shift("x", "t", *((its, np.arange(its.size)) for its in sides))
    assert found.difference.value == pytest.approx(0.2)
    assert found.difference.low == pytest.approx(0.0524, abs=5e-5)
    assert found.difference.high == pytest.approx(0.3339, abs=5e-5)
    assert found.beyond_chance
    assert (found.reference.n, found.here.n) == (80, 70)


def test_a_histogram_counts_each_probability_once():
    made = histogram("all", [0.0, 0.04, 1.0], [0.5, 0.05])
    assert (sum(made.reference), made.reference[0], made.reference[-1]) == (3, 2, 1)
    assert (made.here[1], made.here[10]) == (1, 1)
