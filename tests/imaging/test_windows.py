"""Tables, windows, polarity and bits of DICOM files as vendors write them."""

import io

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.grey_levels import Unreadable
from fracjax.imaging.read import Rejection, open_image, read_image
from fracjax.imaging.resize import ImageFormat, decode_each
from tests.datasets.dicoms import dataset, dicom, encoded, lut, transcoded
from tests.datasets.trees import picture

LIMB = picture(0).astype(np.uint16) * 12
GREY = np.rint(LIMB * (255 / 4095))


def shown(data: bytes) -> tuple[np.ndarray, str]:
    file = open_image(data)
    return np.asarray(file.upright()), "; ".join(file.notes)


def raw_text(name: str, text: str, **elements) -> bytes:
    """A file whose element holds text that pydicom would not write."""
    file = dataset(LIMB, BitsStored=12, **{"WindowCenter": 2047.5, "WindowWidth": 4096} | elements)
    setattr(file, name, "11111111")
    return encoded(file).replace(b"11111111", text.ljust(8).encode())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("written_as", ["SS", "US"])
def test_the_first_value_of_a_table_is_signed_where_values_can_be_negative(syntax, written_as):
    item = Dataset()
    item.add_new("LUTDescriptor", written_as, [4096, -2048 % 2**16 if written_as == "US" else -2048,
                                               12])  # fmt: skip
    item.add_new("LUTData", "US", list(range(4096)))
    file = dataset(LIMB, BitsStored=12, RescaleIntercept=-2048, RescaleSlope=1,
                   VOILUTSequence=[item])  # fmt: skip
    file.file_meta.TransferSyntaxUID = syntax
    assert_array_equal(shown(encoded(file))[0], GREY)


def test_the_first_value_of_a_table_is_unsigned_where_values_cannot_be_negative():
    table = lut([0, 255], 40000, 8)
    found, _ = shown(dicom(np.array([[39999, 40001]], np.uint16), VOILUTSequence=[table]))
    assert found.tolist() == [[0, 255]]


@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("fills", [10, 12, 14])
def test_a_table_that_fills_fewer_bits_than_it_claims(name, fills):
    table = lut((np.arange(4096) * (2**fills - 1) // 4095).tolist(), 0, 16)
    table.ModalityLUTType = "US"
    found, note = shown(dicom(LIMB, BitsStored=12, **{name: [table]}))
    assert np.abs(found - GREY).max() <= 1
    assert f"its descriptor says 16 bits, its entries fill {fills} (up to {2**fills - 1})" in note


def test_a_dark_table_is_not_stretched():
    table = lut((np.arange(4096) * 3 // 4).tolist(), 0, 12)
    found, note = shown(dicom(LIMB, BitsStored=12, VOILUTSequence=[table]))
    assert np.abs(found - GREY * 0.75).max() <= 1
    assert note == ""


def test_two_entries_of_eight_bits_in_each_word():
    entries = np.arange(256, dtype=np.uint8)[::-1].copy()
    table = lut(entries.view("<u2").tolist(), 0, 8)
    table.LUTDescriptor = [256, 0, 8]
    assert_array_equal(shown(dicom(picture(0), VOILUTSequence=[table]))[0], 255 - picture(0))


def test_a_table_without_entries_is_none():
    empty = Dataset()
    empty.add_new("LUTDescriptor", "US", [4096, 0, 12])
    found, note = shown(dicom(LIMB, BitsStored=12, VOILUTSequence=[empty]))
    assert_array_equal(found, GREY)
    assert note == "VOILUT: a table without its descriptor or entries is none; left out"


def grouped(sequence: str, **elements) -> Dataset:
    inside, groups = Dataset(), Dataset()
    for name, value in elements.items():
        setattr(inside, name, value)
    setattr(groups, sequence, [inside])
    return groups


PER_FRAME, SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"


def test_windows_and_rescale_in_functional_groups():
    """Per frame comes before shared, and shared before the root."""

    def window(centre: int) -> dict[str, int]:
        return {"WindowCenter": centre, "WindowWidth": 1000}

    places = {}
    expected = {}
    for place, centre in (("", 900), (SHARED, 1000), (PER_FRAME, 1100)):
        expected[place], _ = shown(dicom(LIMB, BitsStored=12, **window(centre)))
        places |= {place: [grouped("FrameVOILUTSequence", **window(centre))]} if place else window(
            centre)  # fmt: skip
        assert_array_equal(shown(dicom(LIMB, BitsStored=12, **places))[0], expected[place])
    rescaled = grouped("PixelValueTransformationSequence", RescaleSlope=2, RescaleIntercept=-100)
    window_2 = {"WindowCenter": 1700, "WindowWidth": 1999}
    found, _ = shown(dicom(LIMB, BitsStored=12, **{SHARED: [rescaled]}, **window_2))
    own, _ = shown(dicom(LIMB, BitsStored=12, RescaleSlope=2, RescaleIntercept=-100, **window_2))
    assert_array_equal(found, own)
    assert len(np.unique(found)) > 50


BAD_WINDOWS = [("WindowWidth", "NaN"), ("WindowWidth", "0"), ("WindowWidth", "AUTO"),
               ("WindowWidth", "-5"), ("WindowWidth", "1e999"), ("WindowCenter", "2047,5"),
               ("WindowCenter", "inf"), ("WindowCenter", "\\2047"), ("WindowCenter", "1e300"),
               ("VOILUTFunction", "CUBIC")]  # fmt: skip


@pytest.mark.parametrize("name, text", BAD_WINDOWS)
def test_a_window_that_is_none_is_left_out_and_noted_in_preparation_and_prediction(name, text):
    data = raw_text(name, text)
    with capture_decoder_warnings():
        for decode in (lambda data: ((image := open_image(data)), np.asarray(image.upright())),
                       lambda data: ((read := decode_each(data, [ImageFormat(96, "pad")]))[0],
                                     read[1][0][:, 8:88, 0])):  # fmt: skip
            read = read_image(data, decode)
            assert not isinstance(read, Rejection)
            found, note = read
            assert_array_equal(found, GREY)
            assert "is no window; left out" in note
            assert text in note


def test_the_second_window_where_the_first_is_none():
    expected, _ = shown(dicom(LIMB, BitsStored=12, WindowCenter=900, WindowWidth=500))
    found, note = shown(dicom(LIMB, BitsStored=12, WindowCenter=[100, 900], WindowWidth=[0, 500]))
    assert_array_equal(found, expected)
    assert note == "window: the first is none; shown by number 2"


@pytest.mark.parametrize("name, text", [("RescaleSlope", "0"), ("RescaleSlope", "NaN"),
                                        ("RescaleIntercept", "none")])  # fmt: skip
def test_a_rescale_that_is_none_is_left_out_and_noted(name, text):
    data = raw_text(name, text, RescaleSlope=1, RescaleIntercept=0)
    with capture_decoder_warnings():
        read = read_image(data, lambda data: ((image := open_image(data)), image.stored))
    assert not isinstance(read, Rejection)
    found, note = read
    assert np.abs(found - GREY).max() <= 1
    assert "no rescale; left out" in note


def test_names_in_small_letters_are_those_names():
    data = dicom(LIMB, BitsStored=12, PhotometricInterpretation="monochrome1",
                 VOILUTFunction="linear", WindowCenter=2048, WindowWidth=4096)  # fmt: skip
    assert np.abs(shown(data)[0] - (255 - GREY)).max() <= 1


@pytest.mark.parametrize("monochrome, shape, turned, doubted", [
    ("MONOCHROME1", "INVERSE", True, False), ("MONOCHROME2", "IDENTITY", False, False),
    ("MONOCHROME1", "IDENTITY", True, True), ("MONOCHROME2", "INVERSE", True, True),
])  # fmt: skip
def test_polarity_is_turned_where_either_of_two_elements_says_so(
    monochrome, shape, turned, doubted
):
    found, note = shown(dicom(LIMB, BitsStored=12, PhotometricInterpretation=monochrome,
                              PresentationLUTShape=shape))  # fmt: skip
    assert_array_equal(found, 255 - GREY if turned else GREY)
    assert note.startswith("polarity: ") == doubted


def in_words(words: np.ndarray, **elements) -> bytes:
    file = dataset(words, BitsStored=12)
    for name, value in elements.items():
        setattr(file, name, value)
    return encoded(file)


@pytest.mark.parametrize("shift", [0, 2, 4])
def test_high_bit_is_obeyed(shift):
    found, note = shown(in_words(LIMB << shift, HighBit=11 + shift))
    assert_array_equal(found, GREY)
    assert note == ""
    signed = ((LIMB.astype(np.int16) - 2048) << shift).astype(np.int16)
    found, note = shown(in_words(signed, HighBit=11 + shift, PixelRepresentation=1))
    assert_array_equal(found, GREY)
    assert note == ""


def test_a_high_bit_that_the_values_contradict_is_noted():
    found, note = shown(in_words(LIMB + 1, HighBit=15))
    assert_array_equal(found, np.rint((LIMB + 1) * (255 / 4095)))
    assert note == "bits: HighBit is 15, but the lowest 12 are used"


def test_an_impossible_high_bit_is_refused():
    for elements in ({"HighBit": 7}, {"HighBit": 16}):
        with pytest.raises(Unreadable, match="contradictory DICOM: BitsAllocated 16, BitsStored 1"):
            open_image(in_words(LIMB, **elements))


def test_bits_above_those_stored_are_noted_unless_an_overlay_claims_them():
    above = LIMB | np.uint16(0x8000) * (LIMB > 1500)
    found, note = shown(in_words(above))
    assert_array_equal(found, GREY)
    assert note == (
        f"bits: {(LIMB > 1500).sum():,} of 7,680 values have bits set beside the 12 of BitsStored "
        "that no overlay claims; they are left out"
    )
    file = dataset(above, BitsStored=12)
    file.add_new(0x60000100, "US", 16)
    file.add_new(0x60000102, "US", 15)
    found, note = shown(encoded(file))
    assert_array_equal(found, GREY)
    assert note == ""


def test_padding_is_what_touches_the_border():
    values = np.full((9, 9), 1000, np.uint16)
    values[0, :], values[:, 0], values[4, 4] = 3000, 3000, 3000
    found, _ = shown(dicom(values, BitsStored=12, PixelPaddingValue=3000))
    assert not found[0].any()
    assert not found[:, 0].any()
    assert found[4, 4] == 187  # as exposed
    assert found[1, 1] == 62


@pytest.mark.parametrize("elements", [
    {"PresentationIntentType": "FOR PROCESSING", "PixelIntensityRelationship": "LIN"},
    {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1", "PixelIntensityRelationship": "LIN"},
])  # fmt: skip
def test_pictures_for_processing_are_noted(elements):
    note = shown(dicom(LIMB, BitsStored=12, **elements))[1]
    assert note.startswith("FOR PROCESSING: a detector's raw values, not what a radiologist is")
    assert note.endswith("X-ray intensity: LIN)")
    assert not shown(dicom(LIMB, BitsStored=12, PresentationIntentType="FOR PRESENTATION"))[1]


@pytest.mark.parametrize(
    "syntax", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"]
)
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 2048, "WindowWidth": 4096}])
def test_bits_above_the_value_are_left_out_and_noted_in_compressed_files_too(syntax, window):
    """Codecs drop them, or hand them over as a part of the value, which is white then."""
    from pydicom import dcmread

    high = LIMB.copy()
    high.flat[:800] |= 0x4000
    file = dcmread(io.BytesIO(transcoded(dicom(high, **window), syntax)))
    file.BitsStored, file.HighBit = 12, 11
    found, note = shown(encoded(file))
    assert_array_equal(found, shown(dicom(LIMB, BitsStored=12, **window))[0])
    assert note == (
        "bits: 800 of 7,680 values have bits set beside the 12 of BitsStored that no overlay "
        "claims; they are left out"
    )
    plain = transcoded(dicom(LIMB, BitsStored=12, **window), syntax)
    assert shown(plain)[1] == ""


def test_jpeg_extended_of_twelve_bits_is_refused_with_what_to_do():
    from pydicom import dcmread
    from pydicom.uid import JPEGExtended12Bit

    file = dcmread(io.BytesIO(transcoded(dicom(LIMB, BitsStored=12), "JPEGLosslessProcess14_1")))
    file.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    with pytest.raises(Unreadable, match=r"JPEG Extended of 12 bits is not read.*dcmdjpeg FILE"):
        open_image(encoded(file))
