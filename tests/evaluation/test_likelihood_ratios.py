# Estimates may be None; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false

import numpy as np
import pytest
from numpy.testing import assert_allclose
from statsmodels.stats.contingency_tables import Table2x2

from fracjax.evaluation import likelihood_ratios


def _of(tn, fp, fn, tp):
    return likelihood_ratios(np.array([[tn, fp], [fn, tp]]))


def test_by_hand():
    # LR+ = (40/50) / (30/100) = 2.667; variance of its log 1/40 - 1/50 + 1/30 - 1/100 = 0.028333
    positive, negative = _of(70, 30, 10, 40)
    assert positive.value == pytest.approx(8 / 3, abs=1e-15)
    half = 1.959963984540054 * (1 / 40 - 1 / 50 + 1 / 30 - 1 / 100) ** 0.5
    ends = [8 / 3 * np.exp(-half), 8 / 3 * np.exp(half)]
    assert_allclose([positive.low, positive.high], ends, rtol=1e-12)
    assert negative.value == pytest.approx((10 / 50) / (70 / 100), abs=1e-15)
    assert (positive.n, positive.method) == (150, "Simel, log scale")


def test_it_is_the_risk_ratio_of_statsmodels():
    positive, negative = _of(70, 30, 10, 40)
    table = Table2x2(np.array([[40, 10], [30, 70]]))
    assert_allclose((positive.low, positive.high), table.riskratio_confint(), rtol=1e-12)
    table = Table2x2(np.array([[10, 40], [70, 30]]))
    assert_allclose((negative.low, negative.high), table.riskratio_confint(), rtol=1e-12)


def test_counts_of_0_have_an_interval_all_the_same():
    positive, negative = _of(40, 0, 0, 20)
    assert positive.value is None
    assert positive.note.startswith("infinite, no false alarm; at least ")
    assert (negative.value, negative.low, negative.method) == (0, 0, "MOVER-R")
    assert 0 < negative.high < 1
    positive, negative = _of(0, 40, 0, 20)  # every study is called
    assert positive.value == 1
    assert positive.low < 1 < positive.high
    assert (negative.value, negative.note) == (None, "every study is called positive")
    positive, negative = _of(0, 40, 5, 15)
    assert negative.note.startswith("infinite, no normal study passes; at least ")
    positive, _ = _of(40, 0, 20, 0)
    assert (positive.value, positive.note) == (None, "no study is called positive")


def test_a_class_that_is_absent():
    assert [e.note for e in _of(0, 0, 3, 4)] == ["no normal study among 7"] * 2
    assert [e.note for e in _of(3, 4, 0, 0)] == ["no fracture among 7"] * 2
