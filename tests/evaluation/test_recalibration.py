# Estimates may be None and statsmodels' returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from fracjax.evaluation.calibration import recalibration


def _drawn(n=400, slope=1.0, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(-0.5, 2, n)
    return (rng.random(n) < expit(shift + slope * x)).astype(int), expit(x)


def test_by_hand():
    # Two of four where 1/4 is said: the log odds of 1/2 are log 3 above those of 1/4.
    made = recalibration([1, 1, 0, 0], np.full(4, 0.25))
    assert made.intercept.value == pytest.approx(np.log(3), abs=1e-8)
    assert (made.slope.value, made.slope.note) == (None, "all probabilities are the same")
    # 3/4 of fractures where 0.9 is said, 1/4 where 0.1: log 3 / log 9.
    made = recalibration([1, 1, 1, 0, 0, 0, 0, 1], np.repeat([0.9, 0.1], 4))
    assert made.slope.value == pytest.approx(0.5, abs=1e-8)
    assert made.intercept.value == pytest.approx(0, abs=1e-8)


def test_equals_statsmodels():
    y, p = _drawn(slope=0.6, shift=0.8)
    groups = np.random.default_rng(1).integers(0, 150, y.size)
    x = logit(p)
    made = recalibration(y, p, groups)
    both = sm.GLM(y, sm.add_constant(x), sm.families.Binomial())
    large = sm.GLM(y, np.ones(y.size), sm.families.Binomial(), offset=x)
    for model, estimate in ((both, made.slope), (large, made.intercept)):
        fit = model.fit(tol=1e-13, cov_type="cluster", cov_kwds={"groups": groups})
        ends = fit.conf_int()[-1]
        assert_allclose(estimate.value, fit.params[-1], atol=1e-7)
        assert_allclose([estimate.low, estimate.high], ends, atol=1e-6)
        assert estimate.n == 400


def test_a_well_calibrated_network_has_intercept_0_and_slope_1():
    covered = np.zeros(2)
    for seed in range(40):
        made = recalibration(*_drawn(200, seed=seed))
        covered += (
            made.intercept.low <= 0 <= made.intercept.high,
            made.slope.low <= 1 <= made.slope.high,
        )
    assert ((covered > 33) & (covered <= 40)).all()


def test_probabilities_too_high_and_too_extreme():
    y, p = _drawn(2000)
    assert recalibration(y, expit(logit(p) + 1)).intercept.high < -0.7
    assert recalibration(y, expit(2 * logit(p))).slope.high < 0.7


def test_copies_of_studies_are_no_evidence():
    y, p = _drawn(100)
    alone = recalibration(y, p).slope
    copied = recalibration(np.repeat(y, 5), np.repeat(p, 5), np.repeat(np.arange(100), 5)).slope
    assert_allclose(copied.value, alone.value, atol=1e-7)
    assert_allclose(copied.high - copied.low, alone.high - alone.low, rtol=0.02)


def test_certain_probabilities_have_a_place():
    y, p = _drawn(200)
    p[:2] = 0.0, 1.0
    made = recalibration(y, p)
    assert np.isfinite([made.slope.low, made.intercept.high]).all()


@pytest.mark.parametrize(
    "y, p, note",
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], "a threshold parts the classes without error"),
        ([0, 0, 1, 1], [0.9, 0.4, 0.4, 0.3], "a threshold parts the classes without error"),
        ([1, 1], [0.1, 0.2], "no negative study among 2"),
        ([0, 0], [0.1, 0.2], "no positive study among 2"),
    ],
)
def test_undefined_says_why(y, p, note):
    made = recalibration(y, p)
    assert (made.slope.value, made.slope.note) == (None, note)
    if sum(y) in (0, len(y)):
        assert made.intercept.note == note
    else:
        assert made.intercept.value is not None


def test_too_few_groups_have_no_interval():
    made = recalibration([0, 1, 0, 1, 1], [0.2, 0.1, 0.6, 0.7, 0.8], [0, 0, 0, 1, 1])
    assert made.slope.low is None
    assert made.slope.note == "2 groups are too few for an interval"
    assert made.intercept.low is not None


def test_refusals():
    with pytest.raises(ValueError, match=r"1 of 2 are not within 0 \.\. 1: 1\.5"):
        recalibration([0, 1], [0.1, 1.5])
    with pytest.raises(ValueError, match="not finite"):
        recalibration([0, 1], [0.1, np.nan])
