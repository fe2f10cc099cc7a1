"""Encoded files to squares of one form."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from fracjax.imaging import resize as decode_module
from fracjax.imaging.read import open_image
from fracjax.imaging.resize import DRAFT_SIDE, ImageFormat, decode, decode_each, reduced_side

GREY = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)


def _encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_square_of_the_right_size_is_untouched():
    square = GREY[:, :40]
    assert_array_equal(decode(_encoded(Image.fromarray(square)), ImageFormat(40))[..., 0], square)


def test_shrinking_by_two_averages_the_pixels_it_merges():
    """A line one pixel wide fades, and does not vanish, wherever it lies."""
    for column in range(20, 24):
        image = np.zeros((64, 64), np.uint8)
        image[:, column] = 255
        row = decode(_encoded(Image.fromarray(image)), ImageFormat(32))[16, :, 0].astype(int)
        assert_allclose(row.sum(), 255 / 2, atol=2)


def test_the_aspect_is_stretched():
    assert decode(_encoded(Image.fromarray(GREY)), ImageFormat(24)).shape == (24, 24, 1)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    turned = decode(_encoded(Image.fromarray(GREY[:, :40]), exif=exif), ImageFormat(40))[..., 0]
    assert_array_equal(turned, np.rot90(GREY[:, :40], -1))


def test_sixteen_bits_are_scaled_not_clipped():
    wide = (GREY[:, :40].astype(np.uint16)) * 257
    assert_array_equal(
        decode(_encoded(Image.fromarray(wide)), ImageFormat(40))[..., 0], GREY[:, :40]
    )


def test_colour_becomes_luminance():
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    assert_array_equal(decode(_encoded(red), ImageFormat(8))[..., 0], 76)  # 0.299 of 255, ITU-R 601


def test_three_channels_keep_colour_and_repeat_grey():
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    form = ImageFormat(8, channels=3)
    assert_array_equal(decode(_encoded(Image.fromarray(colours)), form), colours)
    square = Image.fromarray(GREY[:8, :8])
    for data in (_encoded(square), _encoded(square, "TIFF")):
        assert_array_equal(decode(data, form), np.repeat(GREY[:8, :8, None], 3, axis=2))


@pytest.mark.parametrize(
    "height, width, rows, columns",
    [
        (40, 60, slice(2, 10), slice(0, 12)),  # 12 x 8 in the middle of 12 x 12
        (60, 40, slice(0, 12), slice(2, 10)),
        (12, 12, slice(0, 12), slice(0, 12)),
        (50, 60, slice(1, 11), slice(0, 12)),
        (42, 60, slice(2, 10), slice(0, 12)),  # 8.4 rows: 8, and two black ones on each side
        (1, 600, slice(5, 6), slice(0, 12)),  # never less than one row
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_padding_keeps_the_aspect_and_is_black(height, width, rows, columns, channels):
    white = Image.new("L", (width, height), 255)
    expected = np.zeros((12, 12, channels), np.uint8)
    expected[rows, columns] = 255
    assert_array_equal(decode(_encoded(white), ImageFormat(12, "pad", channels)), expected)
    assert (decode(_encoded(white), ImageFormat(12, "stretch", channels)) == 255).all()


def test_padding_goes_by_the_picture_as_displayed():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = _encoded(Image.new("L", (60, 40), 255), exif=exif)  # 40 wide, 60 high as displayed
    square = decode(data, ImageFormat(12, "pad"))[..., 0]
    assert_array_equal(square.max(axis=0) == 255, [False] * 2 + [True] * 8 + [False] * 2)


SIDE = DRAFT_SIDE  # smaller sides are reduced no further


def _worst_pictures(size: int) -> dict[str, np.ndarray]:
    y, x = np.mgrid[:size, : size + 3]
    rng = np.random.default_rng(size)
    noise = {
        "noise": rng.integers(0, 256, x.shape),
        "black and white noise": rng.integers(0, 2, x.shape) * 255,
    }
    boards = {f"squares of {n}": (y // n + x // n) % 2 * 255 for n in range(1, 25)}
    return {name: pixels.astype(np.uint8) for name, pixels in {**noise, **boards}.items()}


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("extra", [0, 1, 5])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_reduced_decode_stays_within_its_bound(scale, extra, orientation):
    """On what is worst for it; radiographs are far from that (tests/datasets/test_real_data.py)."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, pixels in _worst_pictures(reduced_side(SIDE) * scale + extra).items():
        data = _encoded(Image.fromarray(pixels), "JPEG", quality=92, exif=exif)
        assert open_image(data, at_least=reduced_side(SIDE)).scale == scale
        exact = np.asarray(open_image(data).resized(SIDE, SIDE)).astype(int)
        error = np.abs(decode(data, ImageFormat(SIDE))[..., 0] - exact)
        assert error.max() <= 32, name
        assert error.mean() <= 2.5, name


def test_a_picture_below_the_margin_is_decoded_in_full():
    pixels = _worst_pictures(reduced_side(SIDE) * 2 - 1)["noise"]
    data = _encoded(Image.fromarray(pixels), "JPEG")
    exact = np.asarray(open_image(data).resized(SIDE, SIDE))
    assert_array_equal(decode(data, ImageFormat(SIDE))[..., 0], exact)


def test_a_reduced_decode_keeps_colour():
    y, x = np.mgrid[:736, :736] * 255 // 735
    pixels = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    data = _encoded(Image.fromarray(pixels), "JPEG", quality=95)
    form = ImageFormat(SIDE, channels=3)
    assert open_image(data, at_least=reduced_side(SIDE)).scale == 4
    exact = np.asarray(open_image(data).resized(SIDE, SIDE)).astype(int)
    assert_allclose(decode(data, form), exact, atol=4)


def test_the_luma_of_a_jpeg_is_its_luminance():
    pixels = np.random.default_rng(0).integers(60, 200, (8, 8, 3), dtype=np.uint8)
    smooth = Image.fromarray(pixels).resize((64, 64))
    data = _encoded(smooth, "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        luminance = np.asarray(image.convert("RGB").convert("L"), int)
    assert_allclose(
        decode(data, ImageFormat(64))[..., 0], luminance, atol=2
    )  # roundings of conversion


def test_threads_do_not_disturb_each_other():
    files = [
        _encoded(Image.fromarray(np.roll(GREY, i)), kind)
        for i in range(30)
        for kind in ("JPEG", "PNG", "TIFF")
    ]
    alone = [decode(data, ImageFormat(20)) for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: decode(data, ImageFormat(20)), files))
    for one, other in zip(alone, together, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(("kind", "decodings"), [("PNG", 1), ("JPEG", 4)])
def test_several_forms_share_what_they_can_and_are_those_of_one_to_the_bit(
    kind, decodings, monkeypatch
):
    pixels = np.random.default_rng(1).integers(0, 256, (500, 300, 3), dtype=np.uint8)
    data = _encoded(Image.fromarray(pixels), kind)
    forms = [
        ImageFormat(24),
        ImageFormat(24, channels=3),
        ImageFormat(50, "pad"),
        ImageFormat(120),
        ImageFormat(24),
    ]
    alone = [decode(data, form) for form in forms]
    opened = []
    monkeypatch.setattr(
        decode_module, "open_image", lambda *a, **k: opened.append(1) or open_image(*a, **k)
    )
    found, squares = decode_each(data, forms)
    assert (found.kind, len(opened)) == (kind, decodings)
    for square, expected in zip(squares, alone, strict=True):
        assert_array_equal(square, expected)
