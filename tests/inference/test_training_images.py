"""What is measured of images, by hand, and which of them are unlike others."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fracjax.errors import InputError
from fracjax.inference import training_images
from fracjax.inference.training_images import measure, ranges_of, read


def test_figures_of_a_picture_of_two_halves():
    image = np.zeros((1, 4, 4, 1), np.uint8)
    image[:, :, 2:] = 248
    # One of three steps along a row is 248, none along a column; over a deviation of 124.
    assert_allclose(measure(image), [[124, 124, 0.5, 0.5, (248 / 3) / 2 / 124]], rtol=1e-6)


def test_colour_is_measured_as_grey():
    grey = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    assert_allclose(measure(np.repeat(grey, 3, axis=3)), measure(grey), rtol=1e-5)


def test_so_many_like_those_of_training_are_called_unlike_as_is_promised():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (4_000, 6, 6, 1), np.uint8)
    known = ranges_of(measure(images[:2_000]), "split")
    alarms = sum(bool(known.unlike(image)) for image in images[2_000:])
    assert alarms / 2_000 < 5 * 2 * (1 + 2_000 * training_images.OUTSIDE) / 2_001 + 0.005
    assert known.unlike(np.zeros((6, 6, 1), np.uint8)).startswith(
        "unlike the training images: darker (mean grey 0, there "
    )
    assert "brighter" in known.unlike(np.full((6, 6, 1), 255, np.uint8))


def test_what_is_of_another_split_is_not_used_and_what_is_damaged_is_refused(tmp_path):
    file = training_images.path(tmp_path)
    assert read(tmp_path, "a") is None
    record = {"low": [0] * 5, "high": [1] * 5, "n": 3, "split_hash": "a"}
    file.write_text(json.dumps(record))
    known = read(tmp_path, "a")
    assert known is not None
    assert known.n == 3
    assert read(tmp_path, "b") is None
    file.write_text(json.dumps(record | {"low": [0]}))
    with pytest.raises(InputError, match=r"damaged .*--split validation` again"):
        read(tmp_path, "a")
