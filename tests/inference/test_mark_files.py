"""Marks as rows, as JSON and as COCO's files, which `pycocotools` opens and scores."""

import contextlib
import io
import json
from typing import Any

import numpy as np
from numpy.testing import assert_allclose
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fracjax.evaluation import Marks
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.mark_files import COLUMNS, coco_dataset, mark_dicts, mark_rows
from fracjax.inference.marks import find_marks


def _found() -> tuple[Marks, np.ndarray]:
    """Two marks on a wide picture, none on a high one."""
    maps = np.zeros((2, 12, 12), np.float32)
    maps[0, 2:5, 3:9] = 1 / 3
    maps[0, 8:10, 8:10] = 0.25
    sizes = np.array([[120, 240], [300, 200]])
    return find_marks(maps, sizes, ImageFormat(96), 8), sizes


def test_rows_have_number_score_box_and_peak():
    marks, _ = _found()
    first, second = mark_rows(marks, 0)
    assert tuple(first) == COLUMNS
    assert (first["number"], second["number"]) == (1, 2)
    assert first["score"] == np.float32(1 / 3)  # to the last bit
    assert_allclose([first[c] for c in COLUMNS[2:6]], [20, 60, 50, 180], atol=0.2)
    assert 20 < first["peak_y"] < 50
    assert mark_rows(marks, 1) == []


def test_json_has_the_outline_and_is_strict():
    marks, _ = _found()
    first, _ = json.loads(json.dumps(mark_dicts(marks, 0), allow_nan=False))
    assert_allclose(np.min(first["outline"], axis=0), first["box"][:2], atol=0.01)
    assert_allclose(np.max(first["outline"], axis=0), first["box"][2:], atol=0.01)
    assert mark_dicts(marks, 1) == []


def _loaded(dataset: dict) -> Any:
    loaded: Any = COCO()
    loaded.dataset = json.loads(json.dumps(dataset))
    loaded.createIndex()
    return loaded


def test_coco_opens_the_dataset_and_takes_its_annotations_as_results():
    marks, sizes = _found()
    each = [mark_dicts(marks, picture) for picture in range(2)]
    dataset = coco_dataset(each, ["a/wide.png", "high.dcm"], sizes, "fracture")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _loaded(dataset)
        results = truth.loadRes(json.loads(json.dumps(dataset["annotations"])))
        said = {}
        for kind in ("bbox", "segm"):
            evaluation = COCOeval(truth, results, kind)
            evaluation.evaluate()
            evaluation.accumulate()
            said[kind] = evaluation.eval["precision"][:, :, 0, 0, -1].mean()
    assert said == {"bbox": 1, "segm": 1}  # they are their own truth
    assert [image["file_name"] for image in truth.loadImgs([1, 2])] == ["a/wide.png", "high.dcm"]
    image = truth.loadImgs([1])[0]
    assert (image["height"], image["width"]) == (120, 240)
    one = truth.loadAnns([1])[0]
    assert_allclose(one["bbox"], [60, 20, 120, 30], atol=0.2)  # x, y, width, height
    drawn = truth.annToRLE(one)
    assert drawn["size"] == [120, 240]
    assert abs(int(mask.area(drawn)) - 120 * 30) < 400
