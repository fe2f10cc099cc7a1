"""Which stored value is black and which is white, where no window says so; and what is doubted."""

import io
import zlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, TiffImagePlugin

from fracjax.datasets.audit import examine
from fracjax.datasets.sources.archive import Study
from fracjax.imaging.grey_levels import Declared, Unreadable, grey_range
from fracjax.imaging.read import open_image
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.input_files import read_ahead
from tests.datasets.dicoms import dicom
from tests.datasets.trees import encode, picture, write

# 12 bits, up to some 3000 of 4095, as an exposure is.
LIMB = picture(0).astype(np.uint16) * 12
GREY = np.rint(LIMB * (255 / 4095))


def shown(data: bytes) -> tuple[np.ndarray, str]:
    file = open_image(data)
    return np.asarray(file.upright()), "; ".join(file.notes)


def with_some(values: np.ndarray, value: int, count: int) -> np.ndarray:
    changed = values.copy()
    changed.flat[:count] = value
    return changed


def png(values: np.ndarray, sbit: int | None = None) -> bytes:
    data = encode(values, "PNG")
    if sbit is None:
        return data
    chunk = b"sBIT" + bytes([sbit])
    chunk = b"\0\0\0\1" + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return data[:33] + chunk + data[33:]  # behind IHDR


def tiff(values: np.ndarray, most: float, tag: int = 281, *, signed: bool = False) -> bytes:
    """With MaxSampleValue, or SMaxSampleValue (341), which Pillow writes as a float."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[tag] = most
    if signed:  # Pillow reads it, and does not write it
        tags[339] = 2
        values = values.astype(np.int16).view(np.uint16)
    return encode(values, "TIFF", tiffinfo=tags)


WRITERS = [
    png,
    lambda values: encode(values, "TIFF"),
    lambda values: dicom(values, BitsStored=16),
    lambda values: dicom(values.astype(np.int32).clip(0, 32767).astype(np.int16)),
]


@pytest.mark.parametrize("writer", WRITERS, ids=["PNG", "TIFF", "DICOM", "signed"])
@pytest.mark.parametrize("value, count", [(4096, 1), (65535, 1), (65535, 60)])
def test_a_dead_pixel_or_a_marker_sets_no_contrast(writer, value, count):
    found, note = shown(writer(with_some(LIMB, value, count)))
    assert_array_equal(found.flat[count:], GREY.flat[count:])
    assert set(found.flat[:count]) == {255}
    assert f"depth: {count} of 7,680 values lie outside 0 to 4095" in note


MARKERS = {
    "of one value": np.full(150, 65535),
    "of one value close by": np.full(150, 4400),
    "of several": np.linspace(50_000, 65_000, 150),
}


@pytest.mark.parametrize("marker", MARKERS.values(), ids=MARKERS)
@pytest.mark.parametrize("writer", WRITERS[:3], ids=["PNG", "TIFF", "DICOM"])
def test_a_marker_large_enough_to_set_the_depth_is_noted(writer, marker):
    values = LIMB.copy()
    values.flat[:150] = marker
    bits = 14 if marker[0] < 2**14 else 16
    assert (
        f"depth: 2.0% of the values are far above the others, which fit into 12 bits (a marker or "
        f"a background?); read as {bits}, and dark"
    ) in shown(writer(values))[1]


def test_a_marker_within_a_declared_depth_is_noted_too():
    noted = shown(dicom(with_some(LIMB, 16383, 150), BitsStored=14))[1]
    assert noted.startswith("depth: 2.0% of the values are far above the others, which fit into 12")
    assert shown(dicom(with_some(LIMB, 4095, 150), BitsStored=12))[1] == ""


def test_the_bright_end_of_an_exposure_is_no_marker():
    for spread in (np.linspace(0, 17_000, 7_680), np.linspace(0, 10, 7_680) ** 4 * 6.5):
        assert shown(png(spread.astype(np.uint16).reshape(96, 80)))[1] == ""


@pytest.mark.parametrize("least, noted", [(-1, True), (-2000, True), (-500, False)])
@pytest.mark.parametrize("stored", [12, 16])
def test_negative_values_that_are_padding_or_next_to_nothing_are_noted(least, noted, stored):
    values = (LIMB // 2).astype(np.int16)
    values.flat[:150] = least
    if not noted:  # of several values: of the picture
        values.flat[:75] = least // 2
    note = shown(dicom(values, BitsStored=stored))[1]
    assert noted == (f"depth: 2.0% of the values are negative, from {least} on (padding?)" in note)


@pytest.mark.parametrize("count", [1, 60])
def test_a_few_negative_values_leave_zero_black(count):
    found, note = shown(dicom(with_some(LIMB.astype(np.int16), -1, count)))
    assert_array_equal(found.flat[count:], GREY.flat[count:])
    assert not found.flat[:count].any()
    assert f"{count} of 7,680 values lie outside 0 to 4095 (-1 to 3060) and are clipped" in note


def test_manifest_and_predictions_say_the_same_of_a_doubtful_file(tmp_path):
    data = png(with_some(LIMB, 65535, 1))
    path = write(tmp_path / "a.png", data)
    (row,) = examine([Study("a", "a.png", "x", lambda: data)], None)
    (file,) = read_ahead([path], [ImageFormat(16), ImageFormat(32, channels=3)], ahead=1)
    assert row.status == "taken"
    assert (
        row.note
        == file.note
        == ("depth: 1 of 7,680 values lie outside 0 to 4095 (0 to 65535) and are clipped")
    )


def test_two_exposures_of_one_limb_come_out_in_one_scale():
    limb = picture(1).astype(float) / 255
    for writer in (*WRITERS[:3], lambda values: dicom(values, BitsStored=12)):
        greys = [shown(writer((limb * most).astype(np.uint16)))[0].mean() for most in (1000, 1100)]
        assert greys[1] / greys[0] == pytest.approx(1.1, abs=0.01)


def test_a_declared_depth_is_kept_though_the_values_are_fewer():
    dark = LIMB // 3  # 1020 of 4095
    found, note = shown(dicom(dark, BitsStored=12))
    assert_array_equal(found, np.rint(dark * (255 / 4095)))
    assert note == ""
    found, note = shown(dicom(LIMB, BitsStored=14))
    assert_array_equal(found, np.rint(LIMB * (255 / 16383)))
    assert note == (
        "depth: BitsStored declares 14 bits, but 99 % of the values fit into 12 bits; read as "
        "declared, and dark"
    )


def test_a_container_declares_nothing_and_its_claim_is_noted():
    found, note = shown(dicom(LIMB, BitsStored=16))
    assert_array_equal(found, GREY)
    assert note == ("depth: BitsStored is 16, 99 % of the values are of fewer; read from 0 to 4095")


def test_significant_bits_of_a_png():
    dark = LIMB // 16
    assert_array_equal(shown(png(dark, 12))[0], np.rint(dark * (255 / 4095)))  # else 8 bits
    assert_array_equal(shown(png(LIMB * 16, 12))[0], np.rint(LIMB * (255 / 4095.9375)))  # shifted
    assert_array_equal(shown(png(dark * 16, 10))[0], np.rint(dark * 16 * (255 / 65535)))


@pytest.mark.parametrize("tag, name", [(281, "MaxSampleValue"), (341, "SMaxSampleValue")])
def test_a_maximum_in_a_tiff_is_a_lower_bound_of_its_depth(tag, name):
    dark = LIMB // 16
    found, note = shown(tiff(dark, 4095, tag))
    assert_array_equal(found, np.rint(dark * (255 / 4095)))  # else 8 bits
    assert note == (
        f"depth: {name} declares 12 bits, but 99 % of the values fit into 8 bits; read as "
        "declared, and dark"
    )
    ten = LIMB // 4  # as BitsStored 10 is read
    assert_array_equal(shown(tiff(ten, 1023, tag))[0], np.rint(ten * (255 / 1023)))
    assert_array_equal(shown(tiff(dark, 4000, tag))[0], np.rint(dark * (255 / 4095)))
    found, note = shown(tiff(LIMB, 255, tag))
    assert_array_equal(found, GREY)
    assert note == f"depth: {name} declares 8 bits, but 99 % of the values need 12 bits; read as 12"


@pytest.mark.parametrize("most", [65535, float("nan"), 0.5, -1.0])
def test_a_maximum_in_a_tiff_that_is_the_container_s_or_none_says_nothing(most):
    data = tiff(LIMB, most, 281 if most == 65535 else 341)
    assert_array_equal(shown(data)[0], GREY)
    assert open_image(data).undeclared_bits == 12


@pytest.mark.parametrize("most", [4400, 9000])
def test_a_picture_s_own_maximum_in_a_tiff_is_no_depth(most):
    """Many writers put it there: one dead pixel, or an exposure, would set the contrast."""
    found, note = shown(tiff(with_some(LIMB, most, 1), most))
    assert_array_equal(found.flat[1:], GREY.flat[1:])
    assert "1 of 7,680 values lie outside 0 to 4095" in note


def test_a_signed_tiff_declares_by_its_maximum():
    middle = LIMB.astype(np.int16) - 1000
    found, note = shown(tiff(middle, 4095, 341, signed=True))
    assert_array_equal(found, np.rint((middle.astype(np.float32) + 4096) * (255 / 8191)))
    assert note.startswith("depth: SMaxSampleValue declares 13 bits, but 99 % of the values fit")
    # 1000 needs 11 bits with its sign, of which the usual depth is 12
    low = (LIMB // 16).astype(np.int16) - 100
    found, _ = shown(tiff(low, 1000, 341, signed=True))
    assert_array_equal(found, np.rint((low.astype(np.float32) + 2048) * (255 / 4095)))


def test_twelve_bits_packed_in_a_tiff():
    values = (np.arange(64, dtype=np.uint16) * 4).reshape(8, 8)
    packed = bytearray()
    for low, high in values.reshape(-1, 2).astype(int):
        packed += bytes([low >> 4, (low & 15) << 4 | high >> 8, high & 255])
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    data = io.BytesIO()
    Image.fromarray(values).save(data, "TIFF", tiffinfo=tags)
    written = bytearray(data.getvalue())
    at = written.index(values.tobytes())
    written[at : at + 128] = bytes(packed) + bytes(32)
    for tag, old, new in ((258, 16, 12), (279, 128, 96)):
        entry = written.index(tag.to_bytes(2, "little"))
        place = entry + 8
        assert written[place] == old
        written[place] = new
    assert_array_equal(shown(bytes(written))[0], np.rint(values * (255 / 4095)))


def test_ranges_of_what_is_declared():
    def of(low: int, high: int, declared: Declared) -> tuple[float, float, int]:
        found = grey_range(np.array([low, high]), declared)
        return found.low, found.high, len(found.notes)

    signed = Declared("BitsStored", 12, signed=True)
    assert of(-2000, 1500, signed) == (-2048, 2047, 0)
    assert of(0, 2000, signed) == (0, 2047, 0)  # one bit is of the sign
    assert of(0, 900, Declared("BitsStored", 10)) == (0, 1023, 0)
    assert of(0, 5000, Declared("BitsStored", 12)) == (0, 16383, 1)
    assert of(0, 5000, Declared("sBIT", 12, beyond=16)) == (0, 65535, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_one_single_grey_is_noted(kind):
    assert shown(encode(np.full((16, 16), 7, np.uint8), kind))[1].startswith("one single grey: ")
    assert shown(encode(picture(0), kind))[1] == ""
    assert "one single grey" in shown(dicom(LIMB, WindowCenter=60000, WindowWidth=10))[1]


def test_colour_of_sixteen_bits_in_separate_planes_is_refused():
    """Pillow would take each half of a value for one."""
    data = bytearray(b"II*\0\x08\0\0\0")
    entries = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2),
               (273, 4, 3, 208), (277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 3, 220),
               (284, 3, 1, 2)]  # fmt: skip
    data += len(entries).to_bytes(2, "little")
    for tag, kind, count, value in entries:
        data += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
        data += count.to_bytes(4, "little") + value.to_bytes(4, "little")
    data += bytes(200 - len(data)) + np.array([16, 16, 16, 0], "<u2").tobytes()
    data += np.array([240, 272, 304, 32, 32, 32], "<u4").tobytes()
    data += bytes(240 - len(data)) + (np.arange(48, dtype="<u2") * 999).tobytes()
    with pytest.raises(Unreadable, match="16-bit colour in separate planes; save it as 8-bit"):
        open_image(bytes(data))
