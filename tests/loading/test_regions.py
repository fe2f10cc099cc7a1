"""Boxes and outlines in the grid of the decoded picture."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from fracjax.datasets.prepared import ManifestRow, Prepared, write_manifest
from fracjax.imaging.resize import ImageFormat, decode
from fracjax.loading.regions import Regions, box_mask, outline_mask, regions


def _row(study: str, width: int, height: int) -> ManifestRow:
    return ManifestRow("p", "taken", "", study, "fracture", study, "0", width, height, 1, 1)


def _prepared(folder: Path, sizes: dict[str, tuple[int, int]], boxes, masks) -> Prepared:
    write_manifest(
        [
            *(_row(study, *size) for study, size in sizes.items()),
            ManifestRow("q", "refused", "truncated", "a", "fracture"),
        ],
        folder / "manifest.csv",
    )
    n = len(sizes)
    return Prepared(
        name="x",
        directory=folder,
        classes=("normal", "fracture"),
        study=np.array(list(sizes)),
        label=np.ones(n, np.int32),
        group=np.array(list(sizes)),
        sha256=np.array(["0"] * n),
        colour=np.zeros(n, bool),
        attributes={},
        boxes=[np.array(b, np.float32).reshape(-1, 4) for b in boxes],
        masks=[tuple(np.array(line, np.float32) for line in m) for m in masks],
    )


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize(("width", "height"), [(200, 100), (100, 200), (96, 96), (101, 67)])
def test_a_box_lies_where_decoding_puts_the_finding(fit, width, height, tmp_path):
    form = ImageFormat(40, fit)
    top, left, bottom, right = height // 4, width // 2, height // 2, width * 4 // 5
    pixels = np.zeros((height, width), np.uint8)
    pixels[top:bottom, left:right] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    seen = decode(file.getvalue(), form)[..., 0] > 127
    box = [top / height, left / width, bottom / height, right / width]
    line = [[box[0], box[1]], [box[0], box[3]], [box[2], box[3]], [box[2], box[1]]]
    prepared = _prepared(
        tmp_path,
        {"other": (9, 7), "a": (width, height)},
        [[], [box]],
        [[], [line]],
    )
    found = regions(prepared, np.array([1, 0]), form)
    assert found.boxed.tolist() == found.outlined.tolist() == [True, False]
    for masks in (found.box_masks(), found.outline_masks()):
        # Shrinking blurs an edge by a pixel where it does not lie between two.
        outer = np.argwhere(seen)
        inner = np.argwhere(masks[0])
        assert abs(inner.min(axis=0) - outer.min(axis=0)).max() <= 1
        assert abs(inner.max(axis=0) - outer.max(axis=0)).max() <= 1
        assert (masks[0] ^ seen).sum() <= 0.15 * seen.sum()
        assert not masks[1].any()


def test_a_padded_picture_by_hand(tmp_path):
    # 100 wide, 50 high: in a square of 40 it is 20 high, below 10 rows of black.
    prepared = _prepared(tmp_path, {"a": (100, 50)}, [[[0, 0.25, 0.5, 1]]], [[[[0.5, 0.5]]]])
    found = regions(prepared, np.array([0]), ImageFormat(40, "pad"))
    assert_allclose(found.boxes[0], [[10, 10, 20, 40]])
    assert_allclose(found.outlines[0][0], [[20, 20]])
    stretched = regions(prepared, np.array([0]), ImageFormat(40))
    assert_allclose(stretched.boxes[0], [[0, 10, 20, 40]])


def test_a_box_has_the_pixels_that_it_covers_by_half():
    mask = box_mask(np.array([[1, 1.25, 3, 4.75]]), 6)
    expected = np.zeros((6, 6), bool)
    expected[1:3, 1:5] = True
    assert_array_equal(mask, expected)
    expected[1:3, [1, 4]] = False
    assert_array_equal(box_mask(np.array([[1, 1.75, 3, 4.25]]), 6), expected)


def test_a_finding_smaller_than_a_pixel_has_one():
    assert_array_equal(np.argwhere(box_mask(np.array([[2.4, 3.1, 2.6, 3.3]]), 6)), [[2, 3]])
    assert_array_equal(np.argwhere(box_mask(np.array([[5.9, 5.9, 6, 6]]), 6)), [[5, 5]])


def test_several_boxes_are_one_region():
    mask = box_mask(np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6.0]]), 6)
    assert mask.sum() == 4 + 4 - 1 + 1


@pytest.mark.parametrize("radius", [3.0, 8.0, 20.0])
def test_an_outline_has_its_area(radius):
    turn = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    areas = []
    for shift in np.random.default_rng(0).random((20, 2)):
        points = 32 + shift + radius * np.stack([np.sin(turn), np.cos(turn)], axis=1)
        areas.append(outline_mask([points], 64).sum())
    assert np.mean(areas) == pytest.approx(np.pi * radius**2, rel=0.05)


def test_taking_studies_keeps_their_boxes_and_outlines():
    one, two = np.zeros((1, 4)), np.ones((2, 4))
    all_ = Regions(8, (one, two), ((), (np.ones((3, 2)),)))
    for index in (np.array([1]), np.array([False, True])):
        taken = all_.take(index)
        assert len(taken) == 1
        assert_array_equal(taken.boxes[0], two)
        assert taken.outlined.tolist() == [True]
    none = all_.take(np.zeros(2, bool))
    assert none.box_masks().shape == none.outline_masks().shape == (0, 8, 8)
