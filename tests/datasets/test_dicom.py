"""Stored values to grey levels, by the formulas of DICOM PS3.3."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from dicoms import compressed, dataset, dicom, encoded, lut, run_length, transcoded
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from pydicom.pixels import apply_windowing
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

import fracjax
from fracjax.datasets import pixels
from fracjax.datasets.codestream import Coded, coded_header
from fracjax.datasets.dicom import decode_dicom
from fracjax.datasets.picture import open_picture
from fracjax.datasets.pixels import Unreadable

BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)
TWELVE = np.random.default_rng(0).integers(0, 4096, (24, 20), dtype=np.uint16)
TWELVE[0, :2] = 0, 4095
SIGNED = np.array([[-2000, -1000, 0], [500, 1000, 1500]], np.int16)


def refusal(data: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        open_picture(data)
    return str(caught.value)


def test_eight_bits_without_a_window_are_as_stored():
    assert_array_equal(decode_dicom(dicom(BYTES)), BYTES)


def test_twelve_bits_fill_the_range():
    expected = np.rint(TWELVE * (255 / 4095))
    assert_array_equal(decode_dicom(dicom(TWELVE, BitsStored=12)), expected)
    # Many files claim 16 bits for 12.
    assert_array_equal(decode_dicom(dicom(TWELVE, BitsStored=16)), expected)


def test_signed_values_without_a_window_have_zero_in_the_middle():
    # 12 bits hold -2000 to 1500: black is -2048, white is 2047
    expected = np.rint((SIGNED + 2048.0) * (255 / 4095))
    assert_array_equal(decode_dicom(dicom(SIGNED)), expected)
    assert_array_equal(decode_dicom(dicom(SIGNED, BitsStored=12)), expected)


def test_monochrome1_is_the_inverse_of_monochrome2():
    for elements in ({}, {"WindowCenter": 1000, "WindowWidth": 700}):
        positive = decode_dicom(dicom(TWELVE, **elements))
        negative = decode_dicom(dicom(TWELVE, PhotometricInterpretation="MONOCHROME1", **elements))
        assert_array_equal(negative, 255 - positive)
        assert positive.std() > 50


def test_a_linear_window_by_hand():
    # C.11.2.1.2.1: centre 100, width 5 -> black up to 97.5, white above 101.5, in between
    # ((x - 99.5) / 4 + 0.5) * 255
    stored = np.array([[0, 97, 98, 99, 100, 101, 102, 65535]], np.uint16)
    expected = [[0, 0, 0.125 * 255, 0.375 * 255, 0.625 * 255, 0.875 * 255, 255, 255]]
    found = decode_dicom(dicom(stored, WindowCenter=100, WindowWidth=5))
    assert_array_equal(found, np.rint(expected))


def test_a_window_of_width_one_is_a_step():
    stored = np.array([[98, 99, 100, 101]], np.uint16)
    found = decode_dicom(dicom(stored, WindowCenter=100, WindowWidth=1))
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
    assert_allclose(decode_dicom(encoded(file)), theirs, atol=0.501)


def test_the_first_of_several_windows_is_shown():
    several = dicom(TWELVE, WindowCenter=[900, 2000], WindowWidth=[500, 4000])
    one = dicom(TWELVE, WindowCenter=900, WindowWidth=500)
    assert_array_equal(decode_dicom(several), decode_dicom(one))


@pytest.mark.parametrize("window", [{"WindowWidth": 0, "WindowCenter": 0}, {"WindowCenter": 9},
                                    {"WindowWidth": None, "WindowCenter": None}])  # fmt: skip
def test_a_window_without_a_meaning_is_none(window):
    assert_array_equal(decode_dicom(dicom(TWELVE, **window)), decode_dicom(dicom(TWELVE)))


def test_rescale_comes_before_the_window():
    # 2x - 1024; LINEAR_EXACT about 0, 2000 wide: black at -1000, white at 1000
    stored = np.array([[12, 262, 512, 762, 1012]], np.uint16)
    found = decode_dicom(
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
    plain = decode_dicom(dicom(TWELVE))
    scaled = decode_dicom(dicom(TWELVE, RescaleSlope=3.5, RescaleIntercept=-7))
    assert_array_equal(scaled, plain)
    turned = decode_dicom(dicom(TWELVE, RescaleSlope=-1, RescaleIntercept=0))
    assert_array_equal(turned, 255 - plain)


@pytest.mark.parametrize("bits", [8, 12])
def test_a_voi_lut_comes_before_a_window(bits):
    # 512 is the first value mapped; what is outside takes the entry at the end
    stored = np.array([[0, 512, 513, 514, 4000]], np.uint16)
    table = [0, 100, 2**bits - 1]
    found = decode_dicom(
        dicom(stored, VOILUTSequence=[lut(table, 512, bits)], WindowCenter=5, WindowWidth=9)
    )
    middle = np.rint(100 * 255 / (2**bits - 1))
    assert_array_equal(found, [[0, 0, middle, 255, 255]])


def test_a_long_voi_lut_of_eight_bits():
    """More entries than its values could count."""
    table = (np.arange(4096) // 16).tolist()
    found = decode_dicom(dicom(TWELVE, VOILUTSequence=[lut(table, 0, 8)]))
    assert_array_equal(found, TWELVE // 16)


def test_a_modality_lut_gives_the_range():
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    item = lut([0, 1023, 512, 256], 0, 10)
    item.ModalityLUTType = "US"
    found = decode_dicom(dicom(stored, ModalityLUTSequence=[item]))
    assert_array_equal(found, np.rint([[0, 255, 512 * 255 / 1023, 256 * 255 / 1023]]))


def test_look_up_tables_as_bytes():
    item = lut([0, 1, 2], 0, 12)
    item.add_new("LUTData", "OW", np.array([0, 4095, 2048], "<u2").tobytes())
    found = decode_dicom(dicom(np.array([[0, 1, 2]], np.uint16), VOILUTSequence=[item]))
    assert_array_equal(found, [[0, 255, 128]])


def test_padding_is_black_and_sets_no_contrast():
    stored = np.array([[0, 65535, 4095], [2000, 65534, 100]], np.uint16)
    found = decode_dicom(dicom(stored, PixelPaddingValue=65534, PixelPaddingRangeLimit=65535))
    assert_array_equal(found, np.rint([[0, 0, 255], [2000 * 255 / 4095, 0, 100 * 255 / 4095]]))
    white = decode_dicom(
        dicom(stored % 4096, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    )
    assert white[0, 0] == 0
    assert white[1, 2] == 255 - round(100 * 255 / 4095)


def test_nothing_but_padding_is_black():
    assert not decode_dicom(dicom(np.full((3, 4), 7, np.uint16), PixelPaddingValue=7)).any()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_layouts_of_the_same_file(syntax):
    file = dataset(TWELVE, WindowCenter=900, WindowWidth=500)
    file.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        file.PixelData = TWELVE.astype(">u2").tobytes()
    expected = decode_dicom(dicom(TWELVE, WindowCenter=900, WindowWidth=500))
    assert_array_equal(decode_dicom(encoded(file)), expected)


@pytest.mark.parametrize(
    "name", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless",
             "JPEG2000Lossless", "RLELossless"]
)  # fmt: skip
@pytest.mark.parametrize("stored", [TWELVE, BYTES])
def test_lossless_compression_loses_nothing(name, stored):
    plain = dicom(stored, BitsStored=12 if stored is TWELVE else 8)
    assert_array_equal(decode_dicom(transcoded(plain, name)), decode_dicom(plain))


def test_run_lengths_of_another_encoder():
    plain = dicom(TWELVE, BitsStored=12)
    assert_array_equal(decode_dicom(run_length(plain)), decode_dicom(plain))


def test_signed_values_survive_compression():
    stored = (TWELVE.astype(np.int16) - 2048).copy()
    plain = dicom(stored, BitsStored=12, WindowCenter=0, WindowWidth=1000)
    packed = transcoded(plain, "JPEGLosslessProcess14_1")
    assert_array_equal(decode_dicom(packed), decode_dicom(plain))


def _jpeg(image: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, **options)
    return out.getvalue()


def test_jpeg_baseline_is_what_the_jpeg_holds():
    code = _jpeg(Image.fromarray(BYTES))
    with Image.open(io.BytesIO(code)) as image:
        assert_array_equal(decode_dicom(compressed(code, JPEGBaseline8Bit, BYTES)), image)


COLOURS = np.stack(np.meshgrid([0, 90, 255], [30, 200]), axis=-1).astype(np.uint8)
COLOURS = np.concatenate([COLOURS, COLOURS[::-1, :, :1]], axis=-1)  # (2, 3, 3)


def test_colour_in_every_layout_becomes_rgb():
    assert_array_equal(decode_dicom(dicom(COLOURS)), COLOURS)
    planes = np.ascontiguousarray(COLOURS.transpose(2, 0, 1)).reshape(COLOURS.shape)
    assert_array_equal(decode_dicom(dicom(planes, PlanarConfiguration=1)), COLOURS)
    ybr = np.asarray(Image.fromarray(COLOURS).convert("YCbCr"))
    found = decode_dicom(dicom(ybr, PhotometricInterpretation="YBR_FULL"))
    assert_allclose(found, COLOURS.astype(int), atol=2)  # two roundings, there and back
    deep = COLOURS.astype(np.uint16) * 257
    assert_array_equal(decode_dicom(dicom(deep)), COLOURS)


def test_colour_of_a_jpeg():
    smooth = np.asarray(Image.fromarray(COLOURS).resize((32, 32)))
    code = _jpeg(Image.fromarray(smooth), subsampling=0)
    found = decode_dicom(
        compressed(code, JPEGBaseline8Bit, smooth, PhotometricInterpretation="YBR_FULL_422")
    )
    with Image.open(io.BytesIO(code)) as image:
        assert_allclose(found, np.asarray(image, int), atol=1)


def test_palette_colour():
    channels = {
        f"{name}PaletteColorLookupTable": np.array(values, "<u2")
        for name, values in {
            "Red": [0, 65535, 0], "Green": [0, 0, 65535], "Blue": [0, 257 * 100, 0]
        }.items()
    }  # fmt: skip
    file = dataset(np.array([[0, 1], [2, 1]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for name, values in channels.items():
        setattr(file, f"{name}Descriptor", [3, 0, 16])
        setattr(file, f"{name}Data", values.tobytes() + bytes(2 * (len(values) % 2)) * 0)
    found = decode_dicom(encoded(file))
    assert_array_equal(found, [[[0, 0, 0], [255, 0, 100]], [[0, 255, 0], [255, 0, 100]]])


def test_several_frames_are_refused_with_their_number():
    frames = np.zeros((32, 16), np.uint8)
    assert refusal(dicom(frames, Rows=16, NumberOfFrames=2)) == (
        "multi-frame: 2 frames, expected one; save each as its own file"
    )
    assert open_picture(dicom(BYTES, NumberOfFrames=1)).stored.size == (16, 16)


def test_what_is_no_picture_is_refused():
    report = dataset(BYTES)
    del report.PixelData
    assert refusal(encoded(report)).startswith("no pixel data: the DICOM file is cut off, or holds")
    sizeless = dataset(BYTES)
    del sizeless.Rows
    assert refusal(encoded(sizeless)) == "incomplete DICOM: no Rows"
    assert refusal(dicom(BYTES, PhotometricInterpretation="HSV")).startswith(
        "unusual DICOM: photometric interpretation HSV, expected one of MONOCHROME1, "
    )
    assert refusal(dicom(np.zeros((4, 4), np.uint32))).startswith(
        "unusual DICOM: 32 bits per value, expected 8 or 16"
    )
    assert refusal(dicom(TWELVE, WindowCenter=1, WindowWidth=9, VOILUTFunction="CUBIC")).startswith(
        "unusual DICOM: VOI LUT function CUBIC, expected LINEAR, "
    )


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    def decode(*_, **__):
        raise AssertionError

    monkeypatch.setattr("pydicom.pixels.pixel_array", decode)
    assert refusal(dicom(BYTES, Rows=60_000, Columns=60_000)) == (
        "decompression bomb: 60,000 x 60,000 pixels, more than the 89,478,485 allowed"
    )
    monkeypatch.setattr(pixels, "MAX_PIXELS", 255)
    assert refusal(dicom(BYTES)).startswith("decompression bomb: 16 x 16 pixels")


def test_a_deflated_file_is_refused_before_it_is_inflated():
    file = dataset(np.zeros((2000, 2000), np.uint8))
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert refusal(encoded(file)).startswith("deflated DICOM: may unpack to any size")


@pytest.mark.parametrize("name", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"])
def test_a_compressed_picture_of_another_size_is_refused(name):
    from pydicom import dcmread

    file = dcmread(io.BytesIO(transcoded(dicom(TWELVE, BitsStored=12), name)))
    file.Rows, file.Columns = 12, 10
    reason = refusal(encoded(file))
    assert reason.startswith("contradictory DICOM: Coded(width=10, height=12, channels=1, bits=16)")
    assert "Coded(width=20, height=24, channels=1, bits=" in reason


def test_headers_of_compressed_pictures():
    picture = Image.fromarray(np.zeros((30, 50), np.uint8))
    assert coded_header(_jpeg(picture)) == Coded(50, 30, 1, 8)
    assert coded_header(_jpeg(picture.convert("RGB"), progressive=True)) == Coded(50, 30, 3, 8)
    boxed = io.BytesIO()
    picture.convert("RGB").save(boxed, "JPEG2000")
    assert coded_header(boxed.getvalue()) == Coded(50, 30, 3, 8)
    assert coded_header(b"") is coded_header(bytes(64)) is None


def test_damaged_headers_of_compressed_pictures():
    code = _jpeg(Image.fromarray(BYTES))
    frame, tables = code.index(b"\xff\xc0"), code.index(b"\xff\xc4")
    for at, value in ((frame + 4, 241), (frame, 0), (tables + 1, 0), (tables + 1, 0xFE)):
        damaged = bytearray(code)
        damaged[at] = value
        if damaged[tables + 1] == 0xFE:  # as if every table were a comment
            damaged = damaged.replace(b"\xff\xc4", b"\xff\xfe")
        with pytest.raises(ValueError, match="damaged header of a compressed picture"):
            coded_header(bytes(damaged))
    with pytest.raises(ValueError, match="damaged header"):
        coded_header(code[: frame + 6])


def test_jpeg_2000_of_another_encoder():
    code = io.BytesIO()
    Image.fromarray(BYTES).save(code, "JPEG2000", no_jp2=True)
    assert_array_equal(decode_dicom(compressed(code.getvalue(), JPEG2000Lossless, BYTES)), BYTES)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_file_cut_off_is_refused(kept):
    plain = dicom(TWELVE, BitsStored=12)
    for data in (plain, *(transcoded(plain, name) for name in ("JPEGLSLossless", "RLELossless"))):
        reason = refusal(data[: int(kept * len(data))])
        assert reason.startswith(("no pixel data: ", "does not decode: ", "incomplete DICOM: "))
        assert "\n" not in reason


@pytest.mark.parametrize("name", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless",
                                  "RLELossless"])  # fmt: skip
def test_a_compressed_picture_cut_off_is_refused(name):
    from pydicom import dcmread
    from pydicom.encaps import generate_frames

    plain = dicom(TWELVE, BitsStored=12)
    file = dcmread(io.BytesIO(transcoded(plain, name)))
    code = next(generate_frames(file.PixelData, number_of_frames=1))
    syntax = file.file_meta.TransferSyntaxUID
    cut = compressed(code[: int(0.7 * len(code))], syntax, TWELVE, BitsStored=12)
    assert refusal(cut).startswith(("does not decode: ", "truncated: "))


def test_without_its_preamble_it_is_no_dicom_file():
    assert refusal(dicom(BYTES)[132:]) == (
        "not a picture: the content is neither JPEG, PNG, TIFF, BMP nor DICOM "
        "(which has DICM at byte 128)"
    )


def test_slightly_invalid_values_raise_no_warning():
    """Warnings are errors here; what is not needed is not looked at."""
    data = dicom(BYTES, StudyDate="yesterday", PatientName="x" * 100, StudyInstanceUID="1.02.x")
    assert_array_equal(decode_dicom(data), BYTES)


def test_threads_do_not_disturb_each_other():
    plain = [dicom(np.roll(TWELVE, i), BitsStored=12) for i in range(20)]
    names = ("JPEGLosslessProcess14_1", "JPEG2000Lossless", "RLELossless")
    files = [*plain, *(transcoded(data, name) for data in plain for name in names)]
    alone = [decode_dicom(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(decode_dicom, files), strict=True):
            assert_array_equal(one, other)


def test_only_one_file_knows_pydicom():
    house = Path(fracjax.__file__).parent
    found = [p.name for p in house.rglob("*.py") if "import pydicom" in (text := p.read_text())
             or "from pydicom" in text]  # fmt: skip
    assert found == ["dicom.py"]
