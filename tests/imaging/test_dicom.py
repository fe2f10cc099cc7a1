"""Stored values to grey levels, by the formulas of DICOM PS3.3."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pydicom.pixels import apply_windowing

from fracjax.imaging.dicom import decode_dicom
from tests.datasets.dicoms import dataset, dicom, encoded, lut

BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)
TWELVE = np.random.default_rng(0).integers(0, 4096, (24, 20), dtype=np.uint16)
TWELVE[0, :2] = 0, 4095
SIGNED = np.array([[-2000, -1000, 0], [500, 1000, 1500]], np.int16)


def pixels_of(data: bytes) -> np.ndarray:
    return decode_dicom(data).pixels


def test_eight_bits_without_a_window_are_as_stored():
    assert_array_equal(pixels_of(dicom(BYTES)), BYTES)


def test_twelve_bits_fill_the_range():
    expected = np.rint(TWELVE * (255 / 4095))
    assert_array_equal(pixels_of(dicom(TWELVE, BitsStored=12)), expected)
    # Many files claim 16 bits for 12.
    assert_array_equal(pixels_of(dicom(TWELVE, BitsStored=16)), expected)


def test_signed_values_without_a_window_have_zero_in_the_middle():
    # 12 bits hold -2000 to 1500: black is -2048, white is 2047
    expected = np.rint((SIGNED + 2048.0) * (255 / 4095))
    assert_array_equal(pixels_of(dicom(SIGNED)), expected)
    assert_array_equal(pixels_of(dicom(SIGNED, BitsStored=12)), expected)


def test_monochrome1_is_the_inverse_of_monochrome2():
    for elements in ({}, {"WindowCenter": 1000, "WindowWidth": 700}):
        positive = pixels_of(dicom(TWELVE, **elements))
        negative = pixels_of(dicom(TWELVE, PhotometricInterpretation="MONOCHROME1", **elements))
        assert_array_equal(negative, 255 - positive)
        assert positive.std() > 50


def test_a_linear_window_by_hand():
    # C.11.2.1.2.1: centre 100, width 5 -> black up to 97.5, white above 101.5, in between
    # ((x - 99.5) / 4 + 0.5) * 255
    stored = np.array([[0, 97, 98, 99, 100, 101, 102, 65535]], np.uint16)
    expected = [[0, 0, 0.125 * 255, 0.375 * 255, 0.625 * 255, 0.875 * 255, 255, 255]]
    found = pixels_of(dicom(stored, WindowCenter=100, WindowWidth=5))
    assert_array_equal(found, np.rint(expected))


def test_a_window_of_width_one_is_a_step():
    stored = np.array([[98, 99, 100, 101]], np.uint16)
    found = pixels_of(dicom(stored, WindowCenter=100, WindowWidth=1))
    assert_array_equal(found, [[0, 0, 255, 255]])


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope, intercept", [(1, 0), (2, -1024), (0.5, 10)])
def test_windows_agree_with_pydicom(function, slope, intercept):
    file = dataset(
        TWELVE,
        BitsStored=12,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=900,
        WindowWidth=1300,
        VOILUTFunction=function,
    )
    theirs = apply_windowing(TWELVE * float(slope) + intercept, file)
    theirs = (theirs - intercept) / (4095 * slope) * 255  # its range is that of the modality
    # 0.5 of rounding, and what single precision adds to it
    assert_allclose(pixels_of(encoded(file)), theirs, atol=0.501)


def test_the_first_of_several_windows_is_shown():
    several = dicom(TWELVE, WindowCenter=[900, 2000], WindowWidth=[500, 4000])
    one = dicom(TWELVE, WindowCenter=900, WindowWidth=500)
    assert_array_equal(pixels_of(several), pixels_of(one))


@pytest.mark.parametrize("window", [{"WindowWidth": 0, "WindowCenter": 0}, {"WindowCenter": 9},
                                    {"WindowWidth": None, "WindowCenter": None}])  # fmt: skip
def test_a_window_without_a_meaning_is_none(window):
    assert_array_equal(pixels_of(dicom(TWELVE, **window)), pixels_of(dicom(TWELVE)))


def test_rescale_comes_before_the_window():
    # 2x - 1024; LINEAR_EXACT about 0, 2000 wide: black at -1000, white at 1000
    stored = np.array([[12, 262, 512, 762, 1012]], np.uint16)
    found = pixels_of(
        dicom(
            stored,
            RescaleSlope=2,
            RescaleIntercept=-1024,
            WindowCenter=0,
            WindowWidth=2000,
            VOILUTFunction="LINEAR_EXACT",
        )
    )
    assert_array_equal(found, np.rint([[0, 63.75, 127.5, 191.25, 255]]))


def test_rescale_without_a_window_changes_nothing_unless_it_turns_the_values_over():
    plain = pixels_of(dicom(TWELVE))
    scaled = pixels_of(dicom(TWELVE, RescaleSlope=3.5, RescaleIntercept=-7))
    assert_array_equal(scaled, plain)
    turned = pixels_of(dicom(TWELVE, RescaleSlope=-1, RescaleIntercept=0))
    assert_array_equal(turned, 255 - plain)


@pytest.mark.parametrize("bits", [8, 12])
def test_a_voi_lut_comes_before_a_window(bits):
    # 512 is the first value mapped; what is outside takes the entry at the end
    stored = np.array([[0, 512, 513, 514, 4000]], np.uint16)
    table = [0, 100, 2**bits - 1]
    found = pixels_of(
        dicom(stored, VOILUTSequence=[lut(table, 512, bits)], WindowCenter=5, WindowWidth=9)
    )
    middle = np.rint(100 * 255 / (2**bits - 1))
    assert_array_equal(found, [[0, 0, middle, 255, 255]])


def test_a_long_voi_lut_of_eight_bits():
    """More entries than its values could count."""
    table = (np.arange(4096) // 16).tolist()
    found = pixels_of(dicom(TWELVE, VOILUTSequence=[lut(table, 0, 8)]))
    assert_array_equal(found, TWELVE // 16)


def test_a_modality_lut_gives_the_range():
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    item = lut([0, 1023, 512, 256], 0, 10)
    item.ModalityLUTType = "US"
    found = pixels_of(dicom(stored, ModalityLUTSequence=[item]))
    assert_array_equal(found, np.rint([[0, 255, 512 * 255 / 1023, 256 * 255 / 1023]]))


def test_look_up_tables_as_bytes():
    item = lut([0, 1, 2], 0, 12)
    item.add_new("LUTData", "OW", np.array([0, 4095, 2048], "<u2").tobytes())
    found = pixels_of(dicom(np.array([[0, 1, 2]], np.uint16), VOILUTSequence=[item]))
    assert_array_equal(found, [[0, 255, 128]])


def test_padding_is_black_and_sets_no_contrast():
    stored = np.array([[0, 65535, 4095], [2000, 65534, 100]], np.uint16)
    found = pixels_of(dicom(stored, PixelPaddingValue=65534, PixelPaddingRangeLimit=65535))
    assert_array_equal(found, np.rint([[0, 0, 255], [2000 * 255 / 4095, 0, 100 * 255 / 4095]]))
    white = pixels_of(
        dicom(stored % 4096, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    )
    assert white[0, 0] == 0
    assert white[1, 2] == 255 - round(100 * 255 / 4095)


def test_nothing_but_padding_is_black():
    assert not pixels_of(dicom(np.full((3, 4), 7, np.uint16), PixelPaddingValue=7)).any()
