"""A map over an image."""

import io

import matplotlib as mpl
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from fracjax.report.overlay import COLOURS, MARK, STRONGEST, overlay_png


def _opened(*args) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(overlay_png(*args))))


def test_where_the_map_is_zero_the_picture_is_as_it_was():
    image = np.random.default_rng(0).integers(0, 256, (400, 400, 1), dtype=np.uint8)
    shown = _opened(image, np.zeros((400, 400)))
    assert_array_equal(shown, np.repeat(image, 3, axis=-1))


def test_the_colour_where_the_map_is_one():
    shown = _opened(np.full((400, 400, 1), 100, np.uint8), np.ones((400, 400)))
    top = 255 * np.array(mpl.colormaps[COLOURS](1.0)[:3])
    assert_allclose(shown[5, 5], (1 - STRONGEST) * 100 + STRONGEST * top, atol=1)
    assert (shown == shown[0, 0]).all()


def test_more_of_the_map_covers_more_of_the_picture():
    """Of black and white under the same map, less of the difference is left."""
    ramp = np.tile(np.linspace(0, 1, 400), (400, 1))
    black, white = (
        _opened(np.full((400, 400, 1), v, np.uint8), ramp).astype(int) for v in (0, 255)
    )
    left = (white - black)[0, :, 0]
    assert left[0] == 255
    assert abs(left[-1] - 255 * (1 - STRONGEST)) <= 1
    assert (np.diff(left) <= 1).all()


def test_small_pictures_are_enlarged_and_colour_becomes_grey():
    image = np.zeros((100, 100, 3), np.uint8)
    image[..., 0] = 150
    shown = _opened(image, np.zeros((100, 100)))
    assert shown.shape == (400, 400, 3)
    assert (shown == 50).all()


def test_a_box_is_drawn_around_its_pixels():
    image = np.full((400, 400, 1), 90, np.uint8)
    shown = _opened(image, np.zeros((400, 400)), np.array([[100.0, 50, 200, 300]]))[..., 0]
    # Outside in: black, two of white of which the second is the first pixel inside, black.
    assert shown[150, 47:53].tolist() == [90, 0, 255, 255, 0, 90]
    assert shown[150, 297:303].tolist() == [90, 0, 255, 255, 0, 90]
    assert shown[97:103, 150].tolist() == [90, 0, 255, 255, 0, 90]
    assert shown[197:203, 150].tolist() == [90, 0, 255, 255, 0, 90]
    twice = _opened(image[:200, :200], np.zeros((200, 200)), np.array([[100.0, 50, 150, 100]]))
    assert twice[..., 0][250, 97:103].tolist() == [90, 0, 255, 255, 0, 90]


def test_a_mark_has_its_colour_and_its_score_beside_it():
    image = np.full((400, 400, 1), 90, np.uint8)
    blue = [int(MARK[i : i + 2], 16) for i in (1, 3, 5)]
    marks = np.array([[100.0, 50, 200, 300], [2, 350, 60, 398]])
    bare = _opened(image, np.zeros((400, 400)), None, marks)
    assert bare[150, 49].tolist() == blue
    assert bare[150, 47:53, 0].tolist() == [90, 0, blue[0], blue[0], 0, 90]
    scored = _opened(image, np.zeros((400, 400)), None, marks, np.array([0.87, 0.5]))
    changed = np.argwhere((scored != bare).any(axis=-1))
    above = changed[changed[:, 0] < 100]
    first = above[above[:, 1] < 200]  # above its box
    assert len(first)
    assert first[:, 0].min() > 75
    # No room above the second: below its box, and within the image.
    second = changed[changed[:, 1] > 300]
    assert second[:, 0].min() >= 60
    assert len(first) + len(second) == len(changed)
