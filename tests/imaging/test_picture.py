"""Files of every kind that Pillow reads, to upright pictures of 8 bits."""

import io
import random
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, TiffImagePlugin

from fracjax.imaging import grey_levels
from fracjax.imaging.grey_levels import Unreadable, eight_bits, grey_range, has_colour
from fracjax.imaging.read import open_image
from tests.datasets.dicoms import dicom, transcoded
from tests.datasets.trees import encode, picture

GREY = np.random.default_rng(0).integers(0, 256, (12, 10), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (12, 10, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opened(data: bytes) -> np.ndarray:
    return np.asarray(open_image(data).upright())


def refusal(data: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        open_image(data)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("stored", [GREY, RGB])
def test_lossless_files_hold_their_pixels(kind, stored):
    data = encode(stored, kind)
    assert open_image(data).kind == kind
    assert_array_equal(opened(data), stored)


@pytest.mark.parametrize("stored", [GREY, RGB])
def test_a_jpeg_is_what_pillow_makes_of_it(stored):
    data = encode(stored, quality=95)
    with Image.open(io.BytesIO(data)) as image:
        assert_array_equal(opened(data), image)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(compression):
    assert_array_equal(opened(encode(GREY, "TIFF", compression=compression)), GREY)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 12, 14, 16])
def test_sixteen_bits_are_scaled_by_the_smallest_depth_that_holds_them(kind, bits):
    highest = 2**bits - 1
    deep = np.random.default_rng(bits).integers(0, highest, (9, 7)).astype(np.uint16)
    deep[0, 0] = highest
    assert_array_equal(opened(encode(deep, kind)), np.rint(deep * (255 / highest)))
    deep[deep > highest // 2 + 1] = highest // 2 + 1  # the least that needs so many bits
    assert_array_equal(opened(encode(deep, kind)), np.rint(deep * (255 / highest)))


def test_ranges_by_hand():
    def of(*values: int) -> tuple[float, float]:
        found = grey_range(np.array(values))
        assert found.notes == ()
        return found.low, found.high

    assert of(0, 255) == (0, 255)
    assert of(0, 256) == (0, 4095)  # 10 bits are not guessed: exposures differ by as much
    assert of(0, 70_000) == (0, 2**17 - 1)  # no detector, but no reason to clip
    assert of(-1, 100) == (-128, 127)
    assert of(-1000, 2047) == (-2048, 2047)
    assert of(-1000, 2048) == (-8192, 8191)


def test_eight_bits_by_hand():
    values = np.array([-5, 0, 50, 100, 250])
    assert eight_bits(values, 0.0, 100.0).tolist() == [0, 0, 128, 255, 255]  # 127.5 to the even


def test_a_big_endian_tiff():
    deep = GREY.astype(np.uint16) * 257
    image = Image.frombytes("I;16B", (10, 12), deep.astype(">u2").tobytes())
    data = saved(image, "TIFF")
    assert data[:2] == b"MM"
    assert_array_equal(opened(data), GREY)


def test_a_tiff_whose_zero_is_white_is_turned_over():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0  # PhotometricInterpretation: WhiteIsZero
    shown = np.array([[0, 85, 255]], np.uint8)
    data = encode(shown, "TIFF", tiffinfo=tags)
    assert bytes([255, 170, 0]) in data  # Pillow turns 8 bits over as it writes
    assert_array_equal(opened(data), shown)
    deep = np.array([[4095, 2730, 0]], np.uint16)
    data = encode(deep, "TIFF", tiffinfo=tags)
    assert deep.tobytes() in data  # and not 16
    assert_array_equal(opened(data), shown)


def test_a_palette_gives_its_colours():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 10, 20, 30])
    expected = [[[0, 0, 0], [255, 0, 0]], [[10, 20, 30], [255, 0, 0]]]
    for kind in ("PNG", "TIFF", "BMP"):
        assert_array_equal(opened(saved(image, kind)), expected)
    assert_array_equal(opened(saved(image, "PNG", transparency=1)), expected)
    assert_array_equal(opened(saved(image, "PNG", transparency=b"\xff\x80\x00")), expected)
    # A scrambled palette of greys: its indices are no grey values.
    image.putpalette([200, 200, 200, 100, 100, 100, 0, 0, 0])
    assert_array_equal(opened(saved(image, "PNG"))[..., 0], [[200, 100], [0, 100]])


def test_one_bit_and_four():
    bits = GREY > 128
    assert_array_equal(opened(saved(Image.fromarray(bits), "PNG")), bits * 255)
    assert_array_equal(opened(saved(Image.fromarray(bits), "TIFF")), bits * 255)


def test_cmyk_as_printers_and_photoshop_write_it():
    """A JPEG with Adobe's marker holds inverted ink; a TIFF does not."""
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red: no cyan
    data = saved(image, "JPEG", quality=100)
    assert b"Adobe" in data
    assert_allclose(opened(data)[4, 4].astype(int), [255, 0, 0], atol=2)
    assert_array_equal(opened(saved(image, "TIFF"))[4, 4], [255, 0, 0])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_ignored(mode):
    whole = Image.fromarray(GREY if mode == "LA" else RGB)
    hidden = whole.copy()
    hidden.putalpha(0)
    assert hidden.mode == mode
    assert_array_equal(opened(saved(hidden, "PNG")), whole)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(kind, orientation):
    """By hand: where the first row and the first column of the stored pixels go."""
    stored = np.zeros((16, 24), np.uint8)
    stored[:8, :8], stored[:8, 16:] = 255, 128  # a light corner, a grey one at the row's end
    corners = {
        1: [[255, 128], [0, 0]],
        2: [[128, 255], [0, 0]],
        3: [[0, 0], [128, 255]],
        4: [[0, 0], [255, 128]],
        5: [[255, 0], [128, 0]],
        6: [[0, 255], [0, 128]],
        7: [[0, 128], [0, 255]],
        8: [[128, 0], [255, 0]],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(stored), kind, exif=exif)
    file = open_image(data)
    shown = np.asarray(file.upright())
    assert file.orientation == orientation
    assert (file.height, file.width) == shown.shape == ((16, 24), (24, 16))[orientation > 4]
    assert_allclose(shown[[0, 0, -1, -1], [0, -1, 0, -1]].reshape(2, 2), corners[orientation],
                    atol=3)  # fmt: skip
    small = np.asarray(file.resized(shown.shape[1] // 8, shown.shape[0] // 8))
    assert small.shape == (shown.shape[0] // 8, shown.shape[1] // 8)
    far = np.array([small[0, 0], small[0, -1], small[-1, 0], small[-1, -1]]).reshape(2, 2)
    assert far.argmax() == np.argmax(corners[orientation])


def test_an_orientation_that_does_not_exist_is_none():
    exif = Image.Exif()
    exif[0x0112] = 9
    file = open_image(saved(Image.fromarray(GREY), "JPEG", exif=exif))
    assert (file.orientation, file.width, file.height) == (1, 10, 12)


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_several_pictures_are_refused_with_their_number(kind):
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY), Image.fromarray(GREY)]
    data = saved(pages[0], kind, save_all=True, append_images=pages[1:])
    assert refusal(data) == (
        f"multi-frame: 3 images in one {kind}, expected one; save each as its own file"
    )


def test_a_jpeg_with_a_preview_is_its_first_picture():
    first, second = Image.fromarray(picture(0)), Image.fromarray(picture(1))
    data = saved(first, "MPO", save_all=True, append_images=[second])
    file = open_image(data)
    assert file.kind == "JPEG"
    assert_allclose(np.asarray(file.upright(), float), picture(0), atol=40)  # quality 75


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch, kind):
    monkeypatch.setattr(grey_levels, "MAX_PIXELS", 119)
    cut = encode(GREY, kind)[:-20]  # were it decoded, it would be called truncated
    assert refusal(cut) == "decompression bomb: 10 x 12 pixels, more than the 119 allowed"


def test_floating_point_is_refused():
    data = encode(GREY.astype(np.float32), "TIFF")
    assert refusal(data) == ("floating point: expected whole numbers; save it as 16-bit grey")


def sixteen_bit_colour(rgb: np.ndarray) -> bytes:
    """A PNG of 16-bit RGB, which Pillow reads and does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + crc

    height, width, _ = rgb.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))  # fmt: skip


def test_deep_colour_is_its_upper_half_and_refused_where_that_is_black():
    assert_array_equal(opened(sixteen_bit_colour(RGB.astype(np.uint16) * 257)), RGB)
    twelve = RGB.astype(np.uint16) * 16
    assert refusal(sixteen_bit_colour(twelve)).startswith("16-bit colour of fewer bits: only the")


def test_a_dead_pixel_makes_no_deep_colour_bright():
    twelve = RGB.astype(np.uint16) * 16
    twelve[0, 0, 0] = 65535
    assert refusal(sixteen_bit_colour(twelve)).startswith("16-bit colour of fewer bits: only the")


@pytest.mark.parametrize("start, kind", [(b"\x89PNG\r\n\x1a\n", "PNG"), (b"II*\0", "TIFF"),
                                         (b"\xff\xd8\xff", "JPEG"), (b"BM", "BMP")])  # fmt: skip
def test_a_damaged_header_is_told_from_another_kind_of_file(start, kind):
    assert refusal(start + bytes(40)).startswith((f"does not decode: begins as {kind}", "does not"))
    assert refusal(b"%PDF-1.7" + bytes(200)).startswith("not a picture: the content is neither")


def test_grey_stored_as_colour_has_none():
    three = np.stack([picture(0)] * 3, axis=-1)
    assert not has_colour(Image.fromarray(three))
    # JPEG's own chroma noise, at a quality worse than any published one
    with Image.open(io.BytesIO(encode(three, quality=20))) as image:
        assert not has_colour(image)


@pytest.mark.parametrize(
    "difference, count, expected", [(21, 11, True), (20, 11, False), (21, 10, False)]
)
def test_colour_begins_above_20_levels_in_one_pixel_of_1000(difference, count, expected):
    image = np.full((100, 100, 3), 100, np.uint8)
    image.reshape(-1, 3)[:count, 1] += difference
    assert has_colour(Image.fromarray(image)) == expected
    assert not has_colour(Image.fromarray(image[..., 0]))


def test_whatever_is_damaged_it_opens_or_is_refused():
    """400 files with a few bytes changed or lost; nothing but `Unreadable` may come out."""
    deep = picture(0, 24, 20).astype(np.uint16) * 16
    files = [
        encode(picture(0, 24, 20)),
        encode(deep, "PNG"),
        encode(deep, "TIFF"),
        encode(picture(0, 24, 20), "TIFF", compression="tiff_lzw"),
        encode(picture(0, 24, 20), "BMP"),
        dicom(deep, BitsStored=12, WindowCenter=900, WindowWidth=500),
        transcoded(dicom(deep, BitsStored=12), "RLELossless"),
        transcoded(dicom(deep, BitsStored=12), "JPEGLosslessProcess14_1"),
    ]
    chance = random.Random(0)
    reasons = []
    for data in files:
        for _ in range(50):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            if chance.random() < 0.3:
                del damaged[chance.randrange(len(damaged)) :]
            try:
                open_image(bytes(damaged))
            except Unreadable as error:
                reasons.append(str(error))
    assert 100 < len(reasons) < 350
    assert all(": " in reason and "\n" not in reason for reason in reasons)
