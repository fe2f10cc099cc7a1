# Estimates may be None; a None fails the test anyway.
# pyright: reportArgumentType=false, reportCallIssue=false
"""FROC by hand, beside the definition with whole copies, and the threshold of marks."""

import json
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.errors import InputError
from fracjax.evaluation.froc import CURVE, RATES, Events, froc_band, sensitivity_at
from fracjax.evaluation.marks import Marked
from fracjax.evaluation.marks_threshold import (
    MarksPoint,
    choose_marks_threshold,
    false_marks,
    marked_fraction,
    parse_marks_rule,
)
from fracjax.runtime.atomic_files import to_json
from tests.evaluation.helpers import run_float64
from tests.evaluation.pictures import findings_of, marks_of, random_pictures, take

# Four pictures; false marks at 0.9, 0.5 and 0.2, fractures found at 0.8 and 0.4, one never.
TRUTH = findings_of([(0, 0, 9, 9)], [(0, 0, 9, 9), (50, 50, 60, 60)], [], [])
MARKS = marks_of(
    [(1, 1, 3, 3, 0.8)],
    [(1, 1, 3, 3, 0.4), (80, 80, 90, 90, 0.5)],
    [(1, 1, 3, 3, 0.9), (5, 5, 7, 7, 0.2)],
    [],
)


def _curve(marked, rates, weights=None):
    events = Events.of(marked)
    more = 256 - events.score.size  # rows of weight 0: one program for all
    weights = np.ones(events.score.size) if weights is None else weights
    rows = (events.fracture, events.picture, events.score, weights)
    return run_float64(sensitivity_at, *(np.pad(one, (0, more)) for one in rows), np.array(rates))


def _by_definition(marked, rates):
    """At each rate the highest sensitivity of a threshold with at most so many false marks."""
    false, best = marked.score[marked.false], marked.best
    thresholds = [math.inf, *marked.score]
    each = [((false >= t).sum() / marked.n, (best >= t).mean()) for t in thresholds]
    return [max(y for x, y in each if x <= rate) for rate in rates]


def test_the_curve_by_hand():
    found = _curve(Marked.checked(MARKS, TRUTH), [0.2, 0.25, 0.5, 0.74, 8])
    assert_allclose(found, [0, 1 / 3, 2 / 3, 2 / 3, 2 / 3])


@pytest.mark.parametrize("levels", [0, 5])
def test_the_curve_is_its_definition_with_and_without_ties(levels):
    for seed in range(5):
        marked = Marked.checked(*random_pictures(seed, levels=levels))
        assert_allclose(_curve(marked, RATES), _by_definition(marked, RATES), atol=1e-12)


def test_a_picture_of_weight_two_is_two_pictures():
    marks, truth = random_pictures(7, n=12)
    times = np.random.default_rng(0).integers(0, 3, 12).astype(float)
    marked = Marked.checked(marks, truth)
    events = Events.of(marked)
    copies = Marked.checked(*take(marks, truth, np.repeat(np.arange(12), times.astype(int))))
    assert_allclose(_curve(marked, RATES, times[events.groups]), _curve(copies, RATES), atol=1e-12)


def test_the_band_holds_the_curve_and_goes_by_group():
    marks, truth = random_pictures(3, n=40)
    band = froc_band(Marked.checked(marks, truth), resamples=200)
    assert_array_equal(band.x, CURVE)
    assert set(RATES) < set(CURVE)
    assert (np.diff(band.y) >= 0).all()
    assert ((band.low <= band.y) & (band.y <= band.high)).all()
    assert band.n == sum(map(len, truth.boxes))
    # Four copies of each picture in a group of its own say no more, and without groups they would.
    index = np.repeat(np.arange(40), 4)
    copied = take(marks, truth, index)
    grouped = froc_band(Marked.checked(*copied, index), resamples=200)
    assert_allclose([grouped.low, grouped.high], [band.low, band.high], atol=1e-12)
    alone = froc_band(Marked.checked(*copied), resamples=200)
    assert (alone.high - alone.low).mean() < 0.7 * (band.high - band.low).mean()


def test_without_a_fracture_the_curve_is_undefined():
    marked = Marked.checked(MARKS, findings_of([], [], [], []))
    assert np.isnan(froc_band(marked, resamples=20).y).all()
    assert marked_fraction(marked, 0.1).value is None
    assert false_marks(marked, 0.1, np.ones((4, 1), bool), resamples=20)[0].value == 5 / 4


def test_perfect_marks_have_wilsons_interval():
    truth = findings_of(*[[(0, 0, 9, 9)]] * 10)
    marked = Marked.checked(marks_of(*[[(1, 1, 3, 3, 0.8)]] * 10), truth)
    band = froc_band(marked, resamples=50)
    assert_allclose(band.y, 1)
    assert_allclose(band.low, 0.7225, atol=1e-4)  # Wilson of 10 in 10
    (rate,) = false_marks(marked, 0.5, np.ones((10, 1), bool), resamples=50)
    assert rate.method == "Garwood"
    assert_allclose([rate.value, rate.low, rate.high], [0, 0, 0.3689], atol=1e-4)


def test_false_marks_of_some_of_the_pictures():
    marked = Marked.checked(MARKS, TRUTH)
    masks = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], bool).T
    every, some, none = false_marks(marked, 0.3, masks, resamples=100)
    assert (every.value, every.n) == (0.5, 4)
    assert (some.value, some.n) == (0.5, 2)
    assert (none.value, none.note) == (None, "no pictures")


def test_the_threshold_is_the_lowest_with_so_many_false_marks():
    point = choose_marks_threshold("false_marks:0.5", MARKS, TRUTH, resamples=100)
    assert point.threshold == 0.4  # one lower, at 0.2, would be a third in four pictures
    assert (point.sensitivity.value, point.false_marks.value) == (2 / 3, 0.5)
    assert (point.n, point.n_fractures, point.n_groups) == (4, 3, 4)
    assert choose_marks_threshold("false_marks:0.25", MARKS, TRUTH, resamples=9).threshold == 0.8
    assert choose_marks_threshold("false_marks:9", MARKS, TRUTH, resamples=9).threshold == 0.2
    # The very highest mark is a false one too many.
    assert (
        choose_marks_threshold("false_marks:0.2", MARKS, TRUTH, resamples=9).threshold == math.inf
    )


@pytest.mark.parametrize("levels", [0, 4])
def test_the_threshold_reaches_the_curve_and_one_lower_would_have_too_many(levels):
    for seed in range(5):
        marks, truth = random_pictures(seed, levels=levels)
        marked = Marked.checked(marks, truth)
        for rate in (0.25, 1.0):
            point = choose_marks_threshold(f"false_marks:{rate}", marks, truth, resamples=9)
            assert point.false_marks.value is not None
            assert point.false_marks.value <= rate
            assert point.sensitivity.value == pytest.approx(_curve(marked, [rate])[0])
            # Of the scores at which a row comes to count none below it fits.
            counts = np.concatenate([marked.score[marked.false], marked.best[marked.best >= 0]])
            lower = counts[counts < point.threshold]
            if lower.size:
                false = marked.score[marked.false]
                assert (false >= lower.max()).sum() / marked.n > rate


def test_the_interval_of_the_threshold_is_of_groups():
    marks, truth = random_pictures(1, n=60)
    point = choose_marks_threshold("false_marks:0.5", marks, truth, resamples=200)
    assert point.low is not None
    assert point.high is not None
    assert point.low <= point.threshold <= point.high
    one = choose_marks_threshold("false_marks:0.5", marks, truth, ["a"] * 60, resamples=20)
    assert one.low is one.high is None


def test_where_nothing_is_marked_nothing_is_shown():
    point = choose_marks_threshold(
        "false_marks:1", marks_of([], []), findings_of([], []), resamples=9
    )
    assert point.threshold == math.inf
    assert point.sensitivity.value is None
    assert point.false_marks.value == 0


def test_a_point_comes_back_from_json_exactly():
    for rate in ("0.5", "0.2"):  # and infinity with it
        point = choose_marks_threshold(f"false_marks:{rate}", MARKS, TRUTH, resamples=50)
        assert MarksPoint.from_dict(json.loads(json.dumps(to_json(point)))) == point
    with pytest.raises(InputError, match="missing field: threshold"):
        MarksPoint.from_dict({})
    assert "false_marks:0.2" in str(point)


@pytest.mark.parametrize("rule", ["youden", "false_marks", "false_marks:0", "false_marks:many"])
def test_other_rules_are_refused(rule):
    with pytest.raises(InputError, match="expected false_marks:X"):
        parse_marks_rule(rule)
