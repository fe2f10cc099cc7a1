# Estimates may be None; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit
from statsmodels.stats.contingency_tables import Table2x2

from fracjax.evaluation.intervals import Estimate, proportion
from fracjax.evaluation.predictive_values import at_prevalence, likelihood_ratios


def test_predictive_values_by_hand():
    # 1,000 studies, 100 fractures: 80 found, 90 false alarms of 900.
    ppv, npv = at_prevalence(proportion(40, 50), proportion(90, 100), 0.1)
    assert ppv.value == pytest.approx(80 / 170, abs=1e-15)
    assert npv.value == pytest.approx(810 / 830, abs=1e-15)
    assert (ppv.n, npv.n) == (150, 150)


def test_at_the_prevalence_of_the_studies_they_are_the_plain_ones():
    tn, fp, fn, tp = 471, 29, 17, 83
    ppv, npv = at_prevalence(proportion(tp, 100), proportion(tn, 500), 100 / 600)
    assert_allclose(ppv.value, tp / (tp + fp), atol=1e-15)
    assert_allclose(npv.value, tn / (tn + fn), atol=1e-15)


def test_the_interval_is_close_to_mercaldo_s_with_many_studies():
    sensitivity, specificity = proportion(850, 1000), proportion(3600, 4000)
    for prevalence in (0.01, 0.2, 0.7):
        for estimate, right, wrong, odds in zip(
            at_prevalence(sensitivity, specificity, prevalence),
            ((0.85, 1000), (0.9, 4000)),
            ((0.1, 4000), (0.15, 1000)),
            (prevalence / (1 - prevalence), (1 - prevalence) / prevalence),
            strict=True,
        ):
            # Mercaldo, Lau and Zhou 2007, equations 8 and 9: the variance on the logit scale.
            variance = sum((1 - p) / (p * n) for p, n in (right, wrong))
            ends = expit(logit(estimate.value) + 1.959964 * variance**0.5 * np.array([-1, 1]))
            assert_allclose(expit(np.log(odds * right[0] / wrong[0])), estimate.value, atol=1e-12)
            assert_allclose((estimate.low, estimate.high), ends, atol=0.003)


def test_a_perfect_specificity_keeps_its_width():
    ppv, npv = at_prevalence(proportion(40, 50), proportion(60, 60), 0.1)
    assert (ppv.value, ppv.high) == (1, 1)
    assert 0.4 < ppv.low < 0.8  # what 0 of 60 false alarms leave open: up to 6 %
    assert npv.low < npv.value < npv.high < 1
    ppv, npv = at_prevalence(proportion(0, 50), proportion(30, 60), 0.1)
    assert (ppv.value, ppv.low) == (0, 0)
    assert 0 < ppv.high < 0.05


def test_fractures_rarer_fewer_calls_right():
    values = [
        at_prevalence(proportion(40, 50), proportion(90, 100), p)[0].value for p in (0.5, 0.1, 0.01)
    ]
    assert values == sorted(values, reverse=True)


def test_coverage():
    rng = np.random.default_rng(0)
    truth = 0.05 * 0.9 / (0.05 * 0.9 + 0.95 * 0.05)
    draws = zip(rng.binomial(40, 0.9, 400), rng.binomial(120, 0.95, 400), strict=True)
    estimates = [
        at_prevalence(proportion(int(a), 40), proportion(int(b), 120), 0.05)[0] for a, b in draws
    ]
    assert 0.93 < np.mean([e.low <= truth <= e.high for e in estimates]) < 0.98


def test_undefined_says_why():
    half = proportion(5, 10)
    none = proportion(0, 0, empty="no positive study")
    assert [e.note for e in at_prevalence(none, half, 0.1)] == [
        "no positive study",
        "no positive study",
    ]
    ppv, npv = at_prevalence(proportion(0, 10), proportion(10, 10), 0.1)
    assert (ppv.value, ppv.note) == (None, "no study is called positive")
    assert npv.value == pytest.approx(0.9)
    bare = Estimate(0.5, None, None, 10, "bootstrap", "a single group: nothing to resample")
    assert at_prevalence(bare, half, 0.1)[0].low is None
    assert at_prevalence(bare, half, 0.1)[0].note == "a single group: nothing to resample"


@pytest.mark.parametrize(
    "prevalence, message",
    [
        (0.0, "it is 0; expected a fraction above 0 and below 1"),
        (1.0, "it is 1; expected"),
        (-0.1, "it is -0.1; expected"),
        (float("nan"), "it is nan; expected"),
        (17.6, "it is 17.6; expected a fraction above 0 and below 1; type 0.176 for 17.6 %"),
    ],
)
def test_other_prevalences_are_refused(prevalence, message):
    with pytest.raises(ValueError) as error:
        at_prevalence(proportion(5, 10), proportion(5, 10), prevalence)
    assert message in str(error.value)


def _ratios(tn, fp, fn, tp):
    labels = np.repeat([0, 0, 1, 1], [tn, fp, fn, tp])
    called = np.repeat([False, True, False, True], [tn, fp, fn, tp])
    return likelihood_ratios(labels, called, np.arange(labels.size))


def test_likelihood_ratios_by_hand():
    # LR+ = (40/50) / (30/100) = 2.667; variance of its log 1/40 - 1/50 + 1/30 - 1/100 = 0.028333
    positive, negative = _ratios(70, 30, 10, 40)
    assert positive.value == pytest.approx(8 / 3, abs=1e-15)
    half = 1.959963984540054 * (1 / 40 - 1 / 50 + 1 / 30 - 1 / 100) ** 0.5
    ends = [8 / 3 * np.exp(-half), 8 / 3 * np.exp(half)]
    assert_allclose([positive.low, positive.high], ends, rtol=1e-12)
    assert negative.value == pytest.approx((10 / 50) / (70 / 100), abs=1e-15)
    assert (positive.n, positive.method) == (150, "Simel, log scale")


def test_it_is_the_risk_ratio_of_statsmodels():
    positive, negative = _ratios(70, 30, 10, 40)
    table = Table2x2(np.array([[40, 10], [30, 70]]))
    assert_allclose((positive.low, positive.high), table.riskratio_confint(), rtol=1e-12)
    table = Table2x2(np.array([[10, 40], [70, 30]]))
    assert_allclose((negative.low, negative.high), table.riskratio_confint(), rtol=1e-12)


def test_counts_of_0_have_an_interval_all_the_same():
    positive, negative = _ratios(40, 0, 0, 20)
    assert positive.value is None
    assert positive.note.startswith("infinite, no false alarm; at least ")
    assert (negative.value, negative.low, negative.method) == (0, 0, "MOVER-R")
    assert 0 < negative.high < 1
    positive, negative = _ratios(0, 40, 0, 20)  # every study is called
    assert positive.value == 1
    assert positive.low < 1 < positive.high
    assert (negative.value, negative.note) == (None, "every study is called positive")
    positive, negative = _ratios(0, 40, 5, 15)
    assert negative.note.startswith("infinite, no negative study passes; at least ")
    positive, _ = _ratios(40, 0, 20, 0)
    assert (positive.value, positive.note) == (None, "no study is called positive")


def test_a_class_that_is_absent():
    assert [e.note for e in _ratios(0, 0, 3, 4)] == ["no negative study among 7"] * 2
    assert [e.note for e in _ratios(3, 4, 0, 0)] == ["no positive study among 7"] * 2
