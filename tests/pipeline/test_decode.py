"""Encoded files to grey squares."""

import io

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from fracjax.pipeline.decode import Form, decode

GREY = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)


def _encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_square_of_the_right_size_is_untouched():
    square = GREY[:, :40]
    assert_array_equal(decode(_encoded(Image.fromarray(square)), Form(40))[..., 0], square)


def test_shrinking_by_two_averages_the_pixels_it_merges():
    """A line one pixel wide fades, and does not vanish, wherever it lies."""
    for column in range(20, 24):
        image = np.zeros((64, 64), np.uint8)
        image[:, column] = 255
        row = decode(_encoded(Image.fromarray(image)), Form(32))[16, :, 0].astype(int)
        assert_allclose(row.sum(), 255 / 2, atol=2)


def test_the_aspect_is_stretched():
    assert decode(_encoded(Image.fromarray(GREY)), Form(24)).shape == (24, 24, 1)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    turned = decode(_encoded(Image.fromarray(GREY[:, :40]), exif=exif), Form(40))[..., 0]
    assert_array_equal(turned, np.rot90(GREY[:, :40], -1))


def test_sixteen_bits_are_scaled_not_clipped():
    wide = (GREY[:, :40].astype(np.uint16)) * 257
    assert_array_equal(decode(_encoded(Image.fromarray(wide)), Form(40))[..., 0], GREY[:, :40])


def test_colour_becomes_luminance():
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    assert_array_equal(decode(_encoded(red), Form(8))[..., 0], 76)  # 0.299 of 255, ITU-R 601
