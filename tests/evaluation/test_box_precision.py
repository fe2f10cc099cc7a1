"""COCO's average precision beside `pycocotools` on random pictures."""

import contextlib
import functools
import io
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fracjax.evaluation.box_precision import Matched, average_precisions, box_iou
from fracjax.evaluation.froc import Events
from fracjax.evaluation.marks import Marked
from tests.evaluation.helpers import run_float64
from tests.evaluation.pictures import boxes_of, findings_of, marks_of, random_pictures, take

_of_64 = functools.partial(average_precisions, most=64)


def _ours(marks, truth, times=None):
    """At each overlap; a picture counts so many `times`."""
    marked = Marked.checked(marks, truth)
    events = Events.of(marked)
    found = Matched.of(marked, events)
    assert found.most <= 64
    weights = np.ones(len(truth)) if times is None else times
    rows = (events.fracture, found.counts, found.true, weights[events.groups])
    more = 256 - events.score.size  # rows of weight 0: one program for all
    return run_float64(_of_64, *(np.pad(r, [(0, more), (0, 0)][: r.ndim]) for r in rows))


def _coco(marks, truth):
    """What `pycocotools` makes of them, at each overlap."""

    def box(ymin, xmin, ymax, xmax):
        return [xmin, ymin, xmax - xmin, ymax - ymin]

    boxes = [(i, box(*one)) for i, each in enumerate(truth.boxes) for one in each.tolist()]
    known: Any = COCO()
    known.dataset = {
        "images": [{"id": i} for i in range(len(truth))],
        "categories": [{"id": 1, "name": "fracture"}],
        "annotations": [
            {"id": k, "image_id": i, "category_id": 1, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
            for k, (i, b) in enumerate(boxes, 1)
        ],
    }
    found = [
        {"image_id": i, "category_id": 1, "bbox": box(*one), "score": score}
        for i in range(len(truth))
        for one, score in zip(marks.boxes[i].tolist(), marks.scores[i].tolist(), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, -1].mean(axis=1)


@pytest.mark.parametrize("levels", [0, 4])
def test_it_is_that_of_pycocotools_with_and_without_ties(levels):
    seen = []
    for seed in range(15):
        marks, truth = random_pictures(seed, n=12, levels=levels)
        expected = _coco(marks, truth)
        assert_allclose(_ours(marks, truth), expected, atol=1e-12)
        seen.append(expected)
    assert np.std(seen, axis=0)[[0, 5]].min() > 0.02  # the cases are no trivial ones


def test_a_hundred_marks_of_a_picture_count():
    rows = [(50, 50, 60, 60, 0.9 - i / 1000) for i in range(100)]
    crowded = marks_of([*rows, (0, 0, 9, 9, 0.1)])
    truth = findings_of([(0, 0, 9, 9)])
    assert_allclose(_ours(crowded, truth), _coco(crowded, truth), atol=1e-12)
    assert _ours(crowded, truth)[0] == 0
    assert _ours(marks_of([*rows[1:], (0, 0, 9, 9, 0.1)]), truth)[0] > 0


def test_a_picture_of_weight_two_is_two_pictures():
    marks, truth = random_pictures(5, n=12)
    times = np.random.default_rng(1).integers(0, 3, 12).astype(float)
    copies = take(marks, truth, np.repeat(np.arange(12), times.astype(int)))
    assert_allclose(_ours(marks, truth, times), _ours(*copies), atol=1e-12)
    assert_allclose(_ours(marks, truth, times), _coco(*copies), atol=1e-12)


def test_without_marks_it_is_0_and_without_fractures_undefined():
    truth = findings_of([(0, 0, 9, 9)])
    assert_allclose(_ours(marks_of([]), truth), 0)
    assert np.isnan(_ours(marks_of([(0, 0, 9, 9, 0.5)]), findings_of([]))).all()
    assert_allclose(_ours(marks_of([(0, 0, 9, 9, 0.5)]), truth), 1)


def test_intersection_over_union_by_hand():
    marks, truth = boxes_of((0, 0, 2, 2), (4, 4, 5, 5)), boxes_of((1, 1, 3, 3), (0, 0, 2, 2))
    assert_allclose(box_iou(marks, truth), [[1 / 7, 1], [0, 0]])
