"""Masks of findings by study: drawn, blank, or unknown."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.config import Data
from fracjax.datasets.splits import Split
from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat
from fracjax.loading.batch import UNKNOWN
from fracjax.loading.dataset_view import Dataset
from fracjax.loading.outlines import outlines_of
from fracjax.loading.regions import box_mask
from tests.loading.test_regions import _prepared

SPLIT = Split({}, {}, 0, (0.7, 0.15, 0.15), {})
BOX = [0.25, 0.25, 0.75, 0.5]
TRIANGLE = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.5]]


def _dataset(folder, boxes, masks, label, classes=("normal", "fracture"), side=16):
    sizes = {f"s{i}": (40, 30) for i in range(len(label))}
    prepared = _prepared(folder, sizes, boxes, masks)
    prepared.label[:] = label
    return Dataset(Data(name="x", classes=classes, image_size=side), prepared, SPLIT)


@pytest.fixture
def mixed(tmp_path):
    """A normal study, a fracture with an outline, one with a box alone, one without either."""
    boxes, masks = [[], [BOX], [BOX], []], [[], [TRIANGLE], [], []]
    return _dataset(tmp_path, boxes, masks, [0, 1, 1, 1])


def test_of_each_study_what_is_known(mixed):
    found = outlines_of(mixed, np.arange(4), "outline")
    masks, known = found.of(np.arange(4))
    assert known.tolist() == [True, True, True, False]
    assert found.row[3] == UNKNOWN
    assert [set(np.unique(mask)) for mask in masks] == [{0}, {0, 255}, {0, 255}, {0}]
    box = 255 * box_mask(16 * np.array([BOX]), 16)
    assert_array_equal(masks[2], box)
    assert 0.4 < (masks[1] > 0).sum() / (box > 0).sum() < 0.65  # half of its box
    assert_array_equal(found.take(np.array([2, 0])).of(np.array([0, 1]))[0], masks[[2, 0]])


def test_boxes_alone(mixed):
    masks, _ = outlines_of(mixed, np.arange(4), "box").of(np.arange(4))
    assert_array_equal(masks[1], masks[2])


def test_records_come_in_any_order(mixed):
    straight, turned = (
        outlines_of(mixed, rows, "outline") for rows in (np.arange(4), np.array([3, 2, 1]))
    )
    assert_array_equal(turned.of(np.arange(3))[0], straight.of(np.array([3, 2, 1]))[0])


def test_of_more_than_two_classes_none_is_normal(tmp_path):
    dataset = _dataset(tmp_path, [[], [BOX]], [[], []], [0, 1])
    kinds = ("normal", "fracture", "other")
    three = Dataset(Data(name="x", classes=kinds, image_size=16), dataset.prepared, dataset.split)
    assert outlines_of(three, np.arange(2), "outline").row.tolist() == [UNKNOWN, 1]


def test_a_dataset_without_a_box_is_refused(tmp_path):
    dataset = _dataset(tmp_path, [[], []], [[], []], [0, 1])
    with pytest.raises(InputError, match=r"of 2 studies of x to train on none has a box .*boxes"):
        outlines_of(dataset, np.arange(2), "outline")
    assert dataset.form == ImageFormat(16)
