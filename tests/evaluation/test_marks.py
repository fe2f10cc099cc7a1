"""Which mark hits which fracture, and what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.errors import InputError
from fracjax.evaluation.marks import Findings, Marked, Marks, worst_alarms, worst_misses
from tests.evaluation.pictures import boxes_of, findings_of, marks_of

# Two fractures; three marks on the first, of which one lies beside it, and none on the second.
TRUTH = findings_of([(10, 10, 20, 20), (50, 50, 60, 60)], [])
MARKS = marks_of(
    [(8, 8, 22, 22, 0.6), (12, 12, 14, 14, 0.9), (70, 70, 80, 80, 0.8)], [(0, 0, 9, 9, 0.3)]
)


def test_further_marks_in_a_box_are_neither_hits_nor_false_marks():
    marked = Marked.checked(MARKS, TRUTH)
    assert_array_equal(marked.best, [0.9, -1])
    assert_array_equal(marked.false, [False, False, True, True])
    assert_array_equal(marked.picture, [0, 0])
    assert_array_equal(marked.owner, [0, 0, 0, 1])
    assert_array_equal(marked.fractured, [True, False])


def test_a_mark_hits_by_its_peak_and_not_by_its_box():
    marks = Marks((boxes_of((10, 10, 20, 20)),), (np.array([0.5]),), (np.array([[20.0, 21.0]]),))
    truth = findings_of([(10, 10, 20, 20)])
    assert Marked.checked(marks, truth).false[0]
    on_the_edge = Marks(marks.boxes, marks.scores, (np.array([[20.0, 20.0]]),))
    assert Marked.checked(on_the_edge, truth).best[0] == 0.5


def test_a_mark_in_two_boxes_hits_both():
    truth = findings_of([(0, 0, 30, 30), (10, 10, 40, 40)])
    marked = Marked.checked(marks_of([(14, 14, 16, 16, 0.7)]), truth)
    assert_array_equal(marked.best, [0.7, 0.7])


def test_the_highest_mark_points_and_the_middle_of_a_picture_does():
    truth = findings_of([(10, 10, 20, 20)], [(40, 40, 60, 60)], [(0, 0, 9, 9)], size=(100, 100))
    marks = marks_of([(12, 12, 14, 14, 0.9), (70, 70, 80, 80, 0.8)], [(0, 0, 2, 2, 0.4)], [])
    marked = Marked.checked(marks, truth)
    assert_array_equal(marked.points_right, [True, False, False])
    assert_array_equal(marked.middle_is_right, [False, True, False])


def test_what_overlapping_boxes_cover_counts_once():
    truth = findings_of([(0, 0, 10, 10), (5, 5, 15, 15)], [], size=(20, 50))
    marked = Marked.checked(marks_of([], []), truth)
    assert_allclose(marked.covered, [175 / 1000, 0])
    assert_allclose(marked.area, [0.1, 0.1])


def test_marks_from_a_threshold_on():
    lines = ((np.zeros((3, 2)), np.ones((3, 2)), np.full((3, 2), 2.0)), (np.zeros((3, 2)),))
    kept = Marks(MARKS.boxes, MARKS.scores, MARKS.peaks, lines).reaching(0.8)
    assert [len(boxes) for boxes in kept.boxes] == [2, 0]
    assert_array_equal(kept.scores[0], [0.9, 0.8])
    assert_array_equal(kept.peaks[0], [[13, 13], [75, 75]])
    assert [points[0, 0] for points in kept.outlines[0]] == [1, 2]
    assert MARKS.reaching(0.8).outlines == ()


def test_the_worst_come_first():
    truth = findings_of([(0, 0, 9, 9)], [(0, 0, 9, 9), (50, 50, 60, 60)], [], [(0, 0, 9, 9)])
    marks = marks_of(
        [(1, 1, 3, 3, 0.3)],
        [(1, 1, 3, 3, 0.9), (80, 80, 90, 90, 0.6)],
        [(1, 1, 3, 3, 0.8), (5, 5, 7, 7, 0.2)],
        [(1, 1, 3, 3, 0.5)],
    )
    marked = Marked.checked(marks, truth)
    assert worst_misses(marked, 0.4).tolist() == [1, 0]  # one of its two is not hit at all
    assert worst_misses(marked, np.inf).tolist() == [1, 0, 3]
    assert worst_alarms(marked, 0.6).tolist() == [2, 1]
    assert worst_alarms(marked, 0.7).tolist() == [2]
    assert worst_alarms(marked, 0.0).tolist() == [2, 1]


def test_every_problem_is_named_at_once():
    marks = Marks(
        (boxes_of((5, 5, 5, 9)), boxes_of((0, 0, 1, 1))),
        (np.array([1.5]), np.array([0.1, 0.2])),
        (np.array([[5.0, 5.0]]), np.array([[0.5, 0.5]])),
    )
    findings = Findings((boxes_of(), boxes_of((4, 4, 2, 8))), np.array([[0, 9], [9, 9]]))
    with pytest.raises(InputError) as caught:
        Marked.checked(marks, findings)
    assert str(caught.value).splitlines() == [
        "5 problems with marks and fractures:",
        "- boxes, scores and peaks differ in number in pictures 1",
        "- 1 of 3 scores are not within 0 .. 1: 1.5",
        "- pictures of no size: 0",
        "- boxes of marks of no size in pictures 0; expected (ymin, xmin, ymax, xmax), each end "
        "after its start",
        "- boxes of fractures of no size in pictures 1; expected (ymin, xmin, ymax, xmax), each "
        "end after its start",
    ]


def test_other_pictures_and_none_are_refused():
    with pytest.raises(InputError, match=r"2 boxes of marks, 2 scores, 2 peaks for 1 pictures"):
        Marked.checked(marks_of([], []), findings_of([]))
    with pytest.raises(InputError, match="no pictures"):
        Marked.checked(Marks((), (), ()), Findings((), np.empty((0, 2))))
    with pytest.raises(InputError, match="groups have shape"):
        Marked.checked(MARKS, TRUTH, ["a"])
