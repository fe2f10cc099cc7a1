# Estimates may be None; a None fails the test anyway.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOptionalOperand=false
"""Every figure of marks by hand, and what is undefined."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fracjax.errors import InputError
from fracjax.evaluation import choose_marks_threshold, marks_report
from fracjax.evaluation.froc import RATES
from fracjax.evaluation.marks_report import LARGE, SMALL
from fracjax.runtime.atomic_files import to_json
from tests.evaluation.pictures import findings_of, marks_of, random_pictures, take

TRUTH = findings_of([(0, 0, 9, 9)], [(0, 0, 9, 9), (48, 48, 60, 60)], [], [])
MARKS = marks_of(
    [(0, 0, 9, 9, 0.8)],
    [(0, 0, 9, 7, 0.4), (80, 80, 90, 90, 0.5)],
    [(1, 1, 3, 3, 0.9), (5, 5, 7, 7, 0.2)],
    [],
)


def _report(marks, truth, rule="false_marks:0.5", resamples=60, **how: Any):
    point = choose_marks_threshold(rule, marks, truth, resamples=9)
    return marks_report(marks, truth, point, resamples=resamples, **how)


def test_a_report_by_hand():
    report = _report(MARKS, TRUTH)
    assert (report.n, report.n_fractured, report.n_fractures, report.n_groups) == (4, 2, 3, 4)
    assert [rate for rate, _ in report.sensitivity_at] == [*RATES]
    assert_allclose([e.value for _, e in report.sensitivity_at], np.array([0, 1, *[2] * 5]) / 3)
    assert report.cpm.value == pytest.approx(11 / 21)
    assert report.cpm.n == 3
    at = report.at
    assert (at.threshold, at.rule) == (0.4, "false_marks:0.5")
    assert (at.sensitivity.value, at.sensitivity.n) == (2 / 3, 3)
    assert (at.false_marks.value, at.false_marks.n) == (0.5, 4)
    assert (at.every_fracture.value, at.every_fracture.n) == (0.5, 2)
    assert (at.unmarked.value, at.unmarked.n) == (0.5, 2)
    game = report.pointing_game
    assert (game.marks.value, game.middle.value, game.marks.n) == (0.5, 0.5, 2)
    assert game.chance.value == pytest.approx((0.0081 + 0.0081 + 0.0144) / 2)
    # Boxes: right at 0.8 and, by 63 in 81 pixels, at 0.4, after false ones at 0.9 and 0.5. Of 101
    # recalls 34 are reached with a precision of 1/2, and 33 more with as much.
    assert report.average_precision_50.value == pytest.approx(67 / 101 / 2)
    # Up to an overlap of 0.75; from 0.8 on only the first is found.
    assert report.mean_average_precision.value == pytest.approx((6 * 67 + 4 * 34) / 2020)


def test_every_figure_has_n_and_an_interval_by_group():
    marks, truth = random_pictures(2, n=60)
    alone = _report(marks, truth, resamples=100)
    index = np.repeat(np.arange(60), 3)
    copied = _report(*take(marks, truth, index), groups=index, resamples=100)
    figures = lambda r: [r.cpm, r.average_precision_50, r.mean_average_precision]  # noqa: E731
    more = lambda r: [r.pointing_game.marks, r.pointing_game.chance, r.at.sensitivity]  # noqa: E731
    rates = lambda r: [r.at.false_marks, r.at.every_fracture, r.at.unmarked]  # noqa: E731
    for of in (figures, more, rates):
        for one, three in zip(of(alone), of(copied), strict=True):
            assert one.low < one.value < one.high
            assert three.n == 3 * one.n
            # Three copies in a group say no more: nothing is narrower by more than Wilson's shift.
            assert_allclose([three.value, three.low, three.high], [one.value, one.low, one.high],
                            atol=0.02)  # fmt: skip


def test_fractures_by_size_and_pictures_by_subgroup():
    side = np.array([0.03, 0.05, 0.07, 0.1])  # of the picture: 0.0009, 0.0025, 0.0049, 0.01
    assert side[1] ** 2 < SMALL < side[2] ** 2 < LARGE < side[3] ** 2
    ends = 1000 * side
    truth = findings_of(*[[(0, 0, e, e)] for e in ends for _ in range(6)], size=(1000, 1000))
    marks = marks_of(*[[(0, 0, e, e, 0.9)] if e > 40 else [(800, 800, 810, 810, 0.9)]
                       for e in ends for _ in range(6)])  # fmt: skip
    odd = np.arange(24) % 2 == 1
    masks = {"region": {"hand": odd, "hip": ~odd, "none": np.zeros(24, bool)}}
    report = _report(marks, truth, "false_marks:1", masks=masks)
    small, medium, large = report.sizes
    assert (small.n_fractures, small.n, small.sensitivity.value) == (12, 12, 0.5)
    assert medium.sensitivity.value is large.sensitivity.value is None
    assert medium.sensitivity.note == "6 fractures; a figure needs 10"
    assert small.false_marks is None
    hand, hip, none = report.subgroups
    assert (hand.attribute, hand.value, hand.n, hand.n_fractures) == ("region", "hand", 12, 12)
    assert hand.sensitivity.value == hip.sensitivity.value == 0.75
    assert hand.false_marks is not None
    assert (hand.false_marks.value, hand.false_marks.n) == (0.25, 12)
    assert none.false_marks is not None
    assert none.false_marks.value is none.sensitivity.value is None


def test_without_fractures_what_needs_one_is_undefined_and_false_marks_are_counted():
    report = _report(MARKS, findings_of([], [], [], []))
    game = report.pointing_game
    for figure in (report.cpm, report.average_precision_50, report.mean_average_precision,
                   game.marks, game.middle, game.chance, report.at.sensitivity,
                   report.at.every_fracture, *(e for _, e in report.sensitivity_at)):  # fmt: skip
        assert figure.value is None
        assert "fracture" in figure.note
    assert report.at.false_marks.value == 0.5
    assert report.at.unmarked.value == 0.5
    assert json.loads(json.dumps(to_json(report)))["cpm"]["value"] is None


def test_without_normal_pictures_and_without_marks():
    report = _report(marks_of([], []), findings_of([(0, 0, 9, 9)], [(5, 5, 9, 9)]))
    assert report.at.unmarked.value is None
    assert report.cpm.value == report.average_precision_50.value == 0
    assert report.pointing_game.marks.value == 0  # no mark points nowhere
    assert report.at.false_marks.value == 0


def test_masks_of_other_pictures_are_refused():
    with pytest.raises(InputError, match=r"hand is bool\(3,\); expected bool\(4,\)"):
        _report(MARKS, TRUTH, masks={"region": {"hand": np.ones(3, bool)}})
