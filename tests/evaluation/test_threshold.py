# Estimates may be None and scikit-learn's returns are loosely typed; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import json
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.errors import InputError
from fracjax.evaluation import OperatingPoint, choose_threshold, metrics, parse_rule
from fracjax.runtime.atomic_files import to_json
from tests.evaluation.helpers import draw_weights, run_float64

# high to low: 0.9+ 0.8+ 0.7- 0.6+ 0.5- 0.4-; J peaks at 0.8 (2/3 - 0) and at 0.6 (1 - 1/3)
Y = np.array([1, 1, 0, 1, 0, 0])
S = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])


def test_youden_by_hand_takes_the_highest_of_equals():
    point = choose_threshold("youden", Y, S)
    assert point.threshold == 0.8
    assert (point.n, point.n_positive) == (6, 3)
    assert (point.sensitivity.value, point.specificity.value) == (2 / 3, 1)
    assert (point.sensitivity.n, point.specificity.n) == (3, 3)
    assert point.sensitivity.low < 2 / 3 < point.sensitivity.high


def test_rounding_noise_does_not_decide():
    rng = np.random.default_rng(0)
    for _ in range(200):
        y = np.r_[0, 1, rng.integers(0, 2, 40)]
        scores = rng.integers(0, 30, 42) / 30
        thresholds = [np.inf, *np.unique(scores)[::-1].tolist()]
        called = [(y[scores >= t].sum(), (1 - y)[scores >= t].sum()) for t in thresholds]
        p, q = int(y.sum()), int((1 - y).sum())
        exact = [Fraction(int(tp), p) - Fraction(int(fp), q) for tp, fp in called]
        found = run_float64(metrics.youden_threshold, y, scores, np.ones(42))
        assert found == thresholds[exact.index(max(exact))]


def test_sensitivity_target_is_the_highest_threshold_that_reaches_it():
    for target, threshold in ((1 / 3, 0.9), (0.5, 0.8), (2 / 3, 0.8), (0.67, 0.6), (1.0, 0.6)):
        assert choose_threshold(f"sensitivity:{target!r}", Y, S).threshold == threshold


def test_a_target_that_is_met_exactly_is_met():
    # 19 of 20 is 0.95: no noise may ask for the twentieth.
    y = np.r_[np.ones(20, int), 0]
    point = choose_threshold("sensitivity:0.95", y, np.arange(21, 0, -1.0))
    assert point.sensitivity.value == 0.95
    assert point.threshold == 3.0


def test_fixed_is_itself():
    point = choose_threshold("fixed:0.65", Y, S)
    assert point.threshold == 0.65
    assert (point.sensitivity.value, point.specificity.value) == (2 / 3, 2 / 3)


def _searched(rule, y, s):
    """The first of all thresholds, from the highest, that is best or good enough."""
    candidates = [np.inf, *np.unique(s)[::-1]]
    sens = np.array([(s[y == 1] >= t).mean() for t in candidates])
    spec = np.array([(s[y == 0] < t).mean() for t in candidates])
    best = np.round(sens + spec, 12) if rule == "youden" else sens >= 0.9
    return candidates[int(np.argmax(best))]


def test_equals_a_search_over_every_threshold():
    rng = np.random.default_rng(0)
    for _ in range(10):
        y = np.r_[0, 1, rng.integers(0, 2, 60)]
        s = rng.integers(0, 12, 62) / 12 + 0.2 * y
        for rule in ("youden", "sensitivity:0.9"):
            assert choose_threshold(rule, y, s, resamples=9).threshold == _searched(rule, y, s)


def test_scores_that_know_nothing_call_no_study():
    for scores in (np.full(6, 0.3), -S):
        point = choose_threshold("youden", Y, scores)
        assert point.threshold == np.inf
        assert (point.sensitivity.value, point.specificity.value) == (0, 1)


def test_the_order_of_studies_and_a_monotone_scale_change_nothing():
    shuffle = np.random.default_rng(0).permutation(6)
    assert choose_threshold("youden", Y[shuffle], S[shuffle]) == choose_threshold("youden", Y, S)
    assert choose_threshold("youden", Y, 10 * S).threshold == 8.0


def test_the_interval_is_that_of_the_rule_in_every_resample():
    rng = np.random.default_rng(1)
    y = (np.arange(90) < 30).astype(int)
    s = np.round(rng.normal(0.4 + 0.2 * y, 0.15), 2)
    group = np.arange(90) // 3
    for rule in ("youden", "sensitivity:0.9"):
        point = choose_threshold(rule, y, s, group, seed=5, resamples=60)
        slow = []
        for weights in draw_weights(group, seed=5, resamples=60):
            i = np.repeat(np.arange(90), weights.astype(int))
            slow.append(_searched(rule, y[i], s[i]))
        low, high = np.quantile(slow, [0.025, 0.975], method="inverted_cdf")
        assert (point.low, point.high) == (low, high)
        assert low < point.threshold < high
        assert point.n_groups == 30


def test_few_studies_have_a_wide_interval_and_groups_count_once():
    rng = np.random.default_rng(2)
    y = (np.arange(250) % 4 == 0).astype(int)
    s = rng.normal(0.4 + 0.2 * y, 0.15)
    few, many = (choose_threshold("youden", y[:n], s[:n]) for n in (40, 250))
    assert many.high - many.low < few.high - few.low
    once = choose_threshold("youden", y[:80], s[:80], np.arange(80))
    thrice = choose_threshold(
        "youden", np.repeat(y[:80], 3), np.repeat(s[:80], 3), np.repeat(np.arange(80), 3)
    )
    assert (thrice.low, thrice.high) == (once.low, once.high)


def test_a_threshold_without_an_interval():
    fixed = choose_threshold("fixed:0.5", Y, S)
    assert (fixed.low, fixed.high, fixed.n_groups) == (None, None, 6)
    single = choose_threshold("youden", Y, S, np.zeros(6))  # one group: nothing to resample
    assert (single.threshold, single.low, single.high) == (0.8, None, None)
    # Two groups of one class each: half of the resamples lack one; and chance calls no study.
    pair = choose_threshold("youden", [0, 1], [0.1, 0.9])
    assert pair.low in (None, 0.9)
    assert choose_threshold("youden", Y, -S).high == np.inf


@pytest.mark.parametrize("rule", ["youden", "sensitivity:0.95", "fixed:0.11"])
def test_json_round_trip_is_exact(rule):
    for scores in (S / 3, np.full(6, 1 / 3)):
        point = choose_threshold(rule, Y, scores)
        text = json.dumps(to_json(point), allow_nan=False)  # strict JSON, also for +inf
        assert OperatingPoint.from_dict(json.loads(text)) == point


def test_a_damaged_operating_point_is_refused():
    data = to_json(choose_threshold("youden", Y, S))
    data["treshold"] = data.pop("threshold")
    with pytest.raises(ValueError) as error:
        OperatingPoint.from_dict(data)
    assert "missing field: threshold" in str(error.value)
    assert "unknown field: treshold" in str(error.value)


def test_it_says_what_it_is_worth():
    text = str(choose_threshold("youden", Y, S))
    assert text == (
        "threshold 0.8 [0.6, 0.9] (youden): sensitivity 0.667 [0.21, 0.94] n=3, "
        "specificity 1.000 [0.44, 1.00] n=3"
    )


@pytest.mark.parametrize(
    "rule, message",
    [
        ("yuden", "no threshold rule 'yuden'; expected youden, sensitivity:TARGET"),
        ("youden:1", "no threshold rule"),
        ("fixed", "no threshold rule"),
        ("fixed:nan", "no threshold rule"),
        ("fixed:0,11", "no threshold rule 'fixed:0,11'"),
        ("sensitivity:95", "not 95; type sensitivity:0.95 for 95 %"),
        ("sensitivity:0", "above 0 and up to 1, not 0"),
    ],
)
def test_rules_that_do_not_exist(rule, message):
    with pytest.raises(InputError) as error:
        choose_threshold(rule, Y, S)
    assert message in str(error.value)


def test_a_class_must_not_be_absent():
    with pytest.raises(ValueError, match="no positive study"):
        choose_threshold("fixed:0.5", np.zeros(3, int), S[:3])


def test_rules_are_parsed():
    assert parse_rule("fixed:0.11") == ("fixed", 0.11)
    assert parse_rule("sensitivity:1") == ("sensitivity", 1.0)
    assert_array_equal(parse_rule("youden")[1], np.nan)


@pytest.mark.parametrize("n", [49, 98, 103, 107])
def test_a_target_that_is_met_exactly_is_met_for_every_number_of_fractures(n):
    # By XLA's reciprocal, 49 · (1/49) is less than 1.
    labels, scores = np.tile([0, 1], n), np.linspace(0.1, 0.9, 2 * n)
    for hits in (n, n // 2):
        point = choose_threshold(f"sensitivity:{hits / n!r}", labels, scores, resamples=9)
        assert point.threshold == scores[labels == 1][n - hits]
        assert point.sensitivity.value == hits / n
