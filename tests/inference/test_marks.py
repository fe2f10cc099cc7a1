"""Maps to marks and back: geometry by hand, through a real decode, and as COCO's files."""

import io

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from fracjax.evaluation.box_precision import box_iou
from fracjax.imaging.resize import ImageFormat, decode_each, letterbox_box
from fracjax.inference.marks import LEAST, find_marks

SIDE, CELLS = 96, 24
FORMS = (ImageFormat(SIDE), ImageFormat(SIDE, fit="pad"))
SIZES = ((300, 500), (500, 300), (64, 64), (96, 31))  # height and width


def _covered(box, size, form, cells=CELLS):
    """How much of each cell of the square a box of the picture covers."""
    top, left, height, width = letterbox_box(size[::-1], form)
    scale = np.tile([height, width], 2) / np.tile(size, 2)
    ends = (np.array(box) * scale + np.tile([top, left], 2)) * cells / form.side
    edges = np.arange(cells + 1)
    each = [
        (np.minimum(edges[1:], ends[2 + i]) - np.maximum(edges[:-1], ends[i])).clip(0)
        for i in (0, 1)
    ]
    return np.outer(*each).astype(np.float32)


def _cell(size, form, cells=CELLS):
    """Height and width of a cell, in pixels of the picture."""
    extent = letterbox_box(size[::-1], form)[2:]
    return form.side / cells * np.array(size) / extent


def _find(heat, size=(SIDE, SIDE), form=FORMS[0], stride=SIDE // CELLS):
    marks = find_marks(np.array(heat, np.float32)[None], np.array([size]), form, stride)
    return marks.boxes[0], marks.scores[0], marks.peaks[0], marks.outlines[0]


@pytest.mark.parametrize("form", FORMS, ids=["stretch", "pad"])
@pytest.mark.parametrize("size", SIZES)
def test_a_box_comes_back_within_a_part_of_a_cell(size, form):
    draw = np.random.default_rng(0)
    cell = np.tile(_cell(size, form), 2)
    for _ in range(20):
        least = 2.5 * cell[:2] / size
        start = draw.uniform(0, 1 - least)
        box = np.concatenate([start, draw.uniform(start + least, 1)]) * np.tile(size, 2)
        boxes, scores, peaks, outlines = _find(_covered(box, size, form), size, form)
        assert len(boxes) == 1
        # Edges are drawn to a fifth of a cell, and a map cannot say where in its last cell it ends.
        within = (box >= cell) & (box <= np.tile(size, 2) - cell)
        assert (np.abs(boxes[0] - box) <= np.where(within, 0.35, 0.55) * cell).all()
        assert scores[0] == pytest.approx(1, abs=1e-5)
        assert ((box[:2] <= peaks[0]) & (peaks[0] <= box[2:])).all()
        lines = outlines[0]
        assert_allclose([*lines.min(axis=0), *lines.max(axis=0)], boxes[0], atol=1e-9)


def test_a_box_smaller_than_a_cell_is_found_within_a_cell():
    for form in FORMS:
        for size in SIZES[:2]:
            cell = _cell(size, form)
            start = np.array(size) * 0.4
            box = np.concatenate([start, start + cell / 2])
            boxes, scores, peaks, _ = _find(_covered(box, size, form), size, form)
            assert len(boxes) == 1
            assert 0 < scores[0] <= 1
            assert (np.abs(boxes[0] - box) <= 1.01 * np.tile(cell, 2)).all()
            assert (np.abs(peaks[0] - (start + cell / 4)) <= 0.76 * cell).all()


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_marks_lie_on_the_picture_as_the_file_shows_it(fit, orientation):
    """A white rectangle, saved turned; its map is what the decoded square shows, cell by cell."""
    shown = np.zeros((240, 400), np.uint8)
    shown[60:120, 250:330] = 255
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    stored = Image.fromarray(np.rot90(shown, turns))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "JPEG", quality=95, exif=exif)
    form = ImageFormat(SIDE, fit=fit)
    opened, (square,) = decode_each(file.getvalue(), [form])
    assert (opened.height, opened.width) == (240, 400)
    step = SIDE // CELLS
    heat = square[..., 0].reshape(CELLS, step, CELLS, step).mean(axis=(1, 3)) / 255
    boxes, *_ = _find(heat, (opened.height, opened.width), form)
    assert box_iou(boxes[:1], np.array([[60, 250, 120, 330]]))[0, 0] > 0.85


def test_padding_is_no_picture():
    form, size = FORMS[1], (60, 120)  # the picture takes the middle half of the square
    heat = np.zeros((CELLS, CELLS))
    heat[2, 5] = 0.9  # in the padding
    heat[11, 5] = 0.6
    boxes, scores, *_ = _find(heat, size, form)
    assert_allclose(scores, [0.6], rtol=1e-6)
    everywhere, *_ = _find(np.ones((CELLS, CELLS)), size, form)
    assert_allclose(everywhere, [[0, 0, 60, 120]])
    assert (boxes[0] > 0).all()


def test_the_last_cells_may_reach_beyond_the_square():
    form, heat = ImageFormat(40), np.zeros((3, 3))  # of strides of 16
    heat[1:, 1] = 0.9
    boxes, scores, peaks, _ = _find(heat, (400, 400), form, 16)
    assert_allclose(scores, [0.9], rtol=1e-6)
    assert_allclose(boxes, [[160, 160, 400, 320]], atol=0.25 * 160)
    assert boxes[0, 2] == 400
    assert_allclose(peaks, [[240, 240]])
    # Of 33 pixels the third row of cells has one: its middle is no place of the picture.
    assert_allclose(_find(heat, (330, 330), ImageFormat(33), 16)[2], [[240, 240]])
    heat[1] = 0
    assert len(_find(heat, (330, 330), ImageFormat(33), 16)[0]) == 0


def _two(first, second, between):
    """Two peaks in a row, and the lowest point of the way from one to the other."""
    heat = np.zeros((CELLS, CELLS))
    heat[10, 4:17] = between
    heat[10, 5], heat[10, 15] = first, second
    return heat


def test_a_lower_peak_is_a_mark_of_its_own_where_the_way_to_it_falls_below_half_its_height():
    _, scores, peaks, _ = _find(_two(0.9, 0.6, 0.25))
    assert_allclose(scores, [0.9, 0.6], rtol=1e-6)
    assert_allclose(peaks, (np.array([[10, 5], [10, 15]]) + 0.5) * SIDE / CELLS)
    _, joined, *_ = _find(_two(0.9, 0.6, 0.35))
    assert_allclose(joined, [0.9], rtol=1e-6)


def test_a_mark_reaches_down_to_half_its_own_height_whatever_else_is_there():
    heat = np.zeros((CELLS, CELLS))
    heat[4:8, 4:8] = 0.9
    heat[15:18, 15:18] = 0.02
    boxes, scores, *_ = _find(heat)
    cell = SIDE / CELLS
    assert_allclose(scores, [0.9, 0.02], rtol=1e-6)
    assert_allclose(boxes, np.array([[4, 4, 8, 8], [15, 15, 18, 18]]) * cell, atol=0.25 * cell)
    marks = find_marks(heat[None].astype(np.float32), np.array([[SIDE, SIDE]]), FORMS[0], 4)
    assert_allclose(marks.reaching(0.5).boxes[0], boxes[:1])


@pytest.mark.parametrize("least", [0.3, 0.8, np.inf])
def test_marks_from_a_score_on_are_those_of_all_that_reach_it(least):
    heat = np.random.default_rng(0).beta(0.3, 2, (3, CELLS, CELLS)).astype(np.float32)
    where = (np.array([(90, 60)] * 3), FORMS[1], SIDE // CELLS)
    every, found = find_marks(heat, *where), find_marks(heat, *where, least=least)
    expected = every.reaching(least)
    assert sum(map(len, expected.scores)) < sum(map(len, every.scores))
    for name in ("boxes", "scores", "peaks"):
        for one, other in zip(getattr(found, name), getattr(expected, name), strict=True):
            assert_allclose(one, other)
    assert [len(lines) for lines in found.outlines] == [len(scores) for scores in found.scores]


def test_a_map_that_says_nothing_has_no_marks_and_a_flat_one_has_one():
    boxes, scores, peaks, outlines = _find(np.full((CELLS, CELLS), 0.9 * LEAST))
    assert (boxes.shape, scores.shape, peaks.shape, outlines) == ((0, 4), (0,), (0, 2), ())
    assert len(_find(np.full((CELLS, CELLS), 0.3))[0]) == 1


def test_a_hole_is_filled_and_the_outline_is_the_outer_one():
    heat = np.zeros((CELLS, CELLS))
    heat[4:12, 6:14] = 0.8
    heat[7:9, 9:11] = 0
    boxes, _, _, outlines = _find(heat)
    lines = outlines[0]
    assert_allclose([*lines.min(axis=0), *lines.max(axis=0)], boxes[0], atol=1e-9)
    y, x = lines.T
    area = abs(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1))) / 2
    assert area > 0.95 * 64 * (SIDE / CELLS) ** 2
    assert len(lines) < 40  # no point on a straight edge
