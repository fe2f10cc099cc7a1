# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from fracjax.evaluation.bootstrap import Resampled
from fracjax.evaluation.calibration import _error, reliability
from fracjax.evaluation.intervals import wilson
from fracjax.runtime.atomic_files import to_json


def _drawn(n=300, slope=1.0, seed=0):
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-1, 2, n))
    return (rng.random(n) < expit(slope * logit(p))).astype(int), p


def test_by_hand():
    # Bins [0, 1/2), [1/2, 1]: 0.1, 0.3 (one of them a fracture); 0.5, 0.9, 1 (two of them)
    y, p = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.3, 0.5, 0.9, 1.0])
    made = reliability(y, p, bins=2, resamples=50)
    assert [(b.low, b.high, b.n) for b in made.bins] == [(0, 0.5, 2), (0.5, 1, 3)]
    assert [b.mean_score for b in made.bins] == pytest.approx([0.2, 0.8])
    assert [b.observed.value for b in made.bins] == [1 / 2, 2 / 3]
    assert (made.bins[1].observed.low, made.bins[1].observed.high) == wilson(2, 3)
    assert made.ece.value == pytest.approx(2 / 5 * 0.3 + 3 / 5 * (0.8 - 2 / 3))
    # The median is 0.5, the upper end of the first bin of equal mass.
    assert [(b.low, b.high, b.n) for b in made.equal_mass] == [(0.1, 0.5, 3), (0.5, 1, 2)]
    assert made.ece_equal_mass.value == pytest.approx(3 / 5 * (1 / 3 - 0.3) + 2 / 5 * 0.05)
    assert made.brier.value == pytest.approx((0.01 + 0.49 + 0.25 + 0.01) / 5)
    assert made.ece.n == made.brier.n == 5


@pytest.mark.parametrize("bins", [1, 10])
def test_equals_scikit_learn(bins):
    y, p = _drawn()
    made = reliability(y, p, bins=bins, resamples=20)
    assert_allclose(made.brier.value, brier_score_loss(y, p), atol=1e-15)
    rows = ((made.bins, made.ece, "uniform"), (made.equal_mass, made.ece_equal_mass, "quantile"))
    for found, ece, strategy in rows:
        observed, score = calibration_curve(y, p, n_bins=bins, strategy=strategy)
        found = [b for b in found if b.n]
        assert_allclose([b.observed.value for b in found], observed, atol=1e-14)
        assert_allclose([b.mean_score for b in found], score, atol=1e-14)
        by_hand = sum(b.n * abs(b.observed.value - b.mean_score) for b in found) / y.size
        assert_allclose(ece.value, by_hand, atol=1e-14)


def test_edges_belong_to_the_bin_that_they_begin():
    p = np.arange(11) / 10
    made = reliability(np.arange(11) % 2, p, resamples=20)
    assert [b.n for b in made.bins] == [1] * 9 + [2]  # 0.3 is in the bin that begins with 0.3


def test_equal_scores_share_a_bin_and_an_empty_bin_is_undefined():
    p = np.repeat([0.15, 0.85], [40, 3])
    made = reliability(np.arange(43) % 2, p, resamples=20)
    assert [b.n for b in made.bins] == [0, 40, 0, 0, 0, 0, 0, 0, 3, 0]
    assert made.bins[0].mean_score is made.bins[0].observed.value is None
    assert made.bins[0].observed.note == "no study in this bin"
    assert sum(b.n for b in made.equal_mass) == 43
    assert all(b.n for b in made.equal_mass)


def test_order_of_studies_changes_nothing_and_the_seed_decides():
    y, p = _drawn()
    made = reliability(y, p, resamples=200)
    assert reliability(y, p, resamples=200) == made
    assert reliability(y, p, resamples=200, seed=1).brier.low != made.brier.low
    shuffle = np.random.default_rng(1).permutation(y.size)
    other = reliability(y[shuffle], p[shuffle], resamples=200)
    assert other.bins[3].n == made.bins[3].n
    assert_allclose(other.ece.value, made.ece.value, atol=1e-14)


def test_copies_of_studies_are_no_evidence():
    y, p = _drawn(100)
    alone = reliability(y, p, resamples=1000)
    copied = reliability(*(np.repeat(a, 4) for a in (y, p)), np.repeat(np.arange(100), 4))
    naive = reliability(*(np.repeat(a, 4) for a in (y, p)))
    for name in ("ece", "brier"):
        one, four, wrong = (getattr(made, name) for made in (alone, copied, naive))
        assert_allclose(four.high - four.low, one.high - one.low, rtol=0.12)
        assert wrong.high - wrong.low < 0.7 * (four.high - four.low)
    assert "100 groups" in copied.brier.method


def test_the_interval_holds_its_value_and_0_where_calibration_is_as_good_as_perfect():
    for seed in range(5):
        ece = reliability(*_drawn(seed=seed), resamples=200).ece
        assert ece.low <= ece.value <= ece.high
        assert ece.low == 0
    assert reliability(*_drawn(600, slope=0.4), resamples=200).ece.low > 0.05


def test_coverage_of_the_calibration_error():
    # Draws of groups as multinomial weights, as the bootstrap makes them, of 5 bins.
    rng = np.random.default_rng(0)
    for slope in (1.0, 0.6):
        p = expit(rng.normal(-1, 2, 200_000))
        gap = expit(slope * logit(p)) - p
        bins = np.minimum((5 * p).astype(int), 4)
        truth = np.abs(np.bincount(bins, gap)).sum() / p.size
        covered = 0
        for seed in range(100):
            y, p = _drawn(250, slope, seed)
            gaps = np.eye(5)[np.minimum((5 * p).astype(int), 4)] * (y - p)[:, None]
            weights = rng.multinomial(250, np.full(250, 1 / 250), size=200)
            estimate = _error(Resampled(gaps.mean(axis=0), weights @ gaps / 250, 250, 250))
            covered += estimate.low <= truth <= estimate.high
        assert 0.86 < covered / 100 < 0.995


def test_without_error_the_interval_keeps_a_width():
    y = np.arange(30) % 2
    made = reliability(y, y.astype(float), resamples=50)
    for estimate in (made.ece, made.ece_equal_mass, made.brier):
        assert (estimate.value, estimate.low) == (0, 0)
        assert estimate.high == wilson(0, 30)[1]
        assert estimate.note == "the same in every resample"


def test_one_group_has_no_interval_and_one_class_is_no_error():
    made = reliability(np.ones(4, int), np.array([0.2, 0.4, 0.9, 1.0]), np.zeros(4), resamples=20)
    assert made.ece.low is made.brier.low is None
    assert made.ece.note == made.brier.note == "a single group: nothing to resample"


def test_it_goes_into_strict_json():
    made = reliability(*_drawn(20), resamples=20)
    data = json.loads(json.dumps(to_json(made), allow_nan=False))
    assert data["bins"][0]["observed"]["n"] == made.bins[0].n


@pytest.mark.parametrize(
    "y, p, more, messages",
    [
        ([0, 1], [0.1, 1.5], {}, ["1 of 2 are not within 0 .. 1: 1.5"]),
        ([0, 1], [-0.1, 0.5], {"bins": 0}, ["bins is 0; expected 1 or more"]),
        ([0, 2], [0.1, np.nan], {}, ["2 problems", "found 2", "not finite"]),
        ([], [], {}, ["no studies"]),
    ],
)
def test_refusals(y, p, more, messages):
    with pytest.raises(ValueError) as error:
        reliability(y, p, **more)
    for message in messages:
        assert message in str(error.value)
