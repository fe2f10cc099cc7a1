"""DICOM files in every layout and compression, and those that are refused."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

import fracjax
from fracjax.imaging import grey_levels
from fracjax.imaging.codestream import Coded, coded_header
from fracjax.imaging.dicom import decode_dicom
from fracjax.imaging.grey_levels import Unreadable
from fracjax.imaging.read import open_image
from tests.datasets.dicoms import compressed, dataset, dicom, encoded, run_length, transcoded

BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)
TWELVE = np.random.default_rng(0).integers(0, 4096, (24, 20), dtype=np.uint16)
TWELVE[0, :2] = 0, 4095


def pixels_of(data: bytes) -> np.ndarray:
    return decode_dicom(data).pixels


def refusal(data: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        open_image(data)
    return str(caught.value)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_layouts_of_the_same_file(syntax, bits):
    file = dataset(TWELVE, BitsStored=bits, WindowCenter=900, WindowWidth=500)
    file.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        file.PixelData = TWELVE.astype(">u2").tobytes()
    expected = pixels_of(dicom(TWELVE, WindowCenter=900, WindowWidth=500))
    assert_array_equal(pixels_of(encoded(file)), expected)


@pytest.mark.parametrize(
    "name", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless",
             "JPEG2000Lossless", "RLELossless"]
)  # fmt: skip
@pytest.mark.parametrize("stored", [TWELVE, BYTES])
def test_lossless_compression_loses_nothing(name, stored):
    plain = dicom(stored, BitsStored=12 if stored is TWELVE else 8)
    assert_array_equal(pixels_of(transcoded(plain, name)), pixels_of(plain))


def test_run_lengths_of_another_encoder():
    plain = dicom(TWELVE, BitsStored=12)
    assert_array_equal(pixels_of(run_length(plain)), pixels_of(plain))


def test_signed_values_survive_compression():
    stored = (TWELVE.astype(np.int16) - 2048).copy()
    plain = dicom(stored, BitsStored=12, WindowCenter=0, WindowWidth=1000)
    packed = transcoded(plain, "JPEGLosslessProcess14_1")
    assert_array_equal(pixels_of(packed), pixels_of(plain))


def _jpeg(image: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, **options)
    return out.getvalue()


def test_jpeg_baseline_is_what_the_jpeg_holds():
    code = _jpeg(Image.fromarray(BYTES))
    with Image.open(io.BytesIO(code)) as image:
        assert_array_equal(pixels_of(compressed(code, JPEGBaseline8Bit, BYTES)), image)


COLOURS = np.stack(np.meshgrid([0, 90, 255], [30, 200]), axis=-1).astype(np.uint8)
COLOURS = np.concatenate([COLOURS, COLOURS[::-1, :, :1]], axis=-1)  # (2, 3, 3)


def test_colour_in_every_layout_becomes_rgb():
    assert_array_equal(pixels_of(dicom(COLOURS)), COLOURS)
    planes = np.ascontiguousarray(COLOURS.transpose(2, 0, 1)).reshape(COLOURS.shape)
    assert_array_equal(pixels_of(dicom(planes, PlanarConfiguration=1)), COLOURS)
    ybr = np.asarray(Image.fromarray(COLOURS).convert("YCbCr"))
    found = pixels_of(dicom(ybr, PhotometricInterpretation="YBR_FULL"))
    assert_allclose(found, COLOURS.astype(int), atol=2)  # two roundings, there and back
    deep = COLOURS.astype(np.uint16) * 257
    assert_array_equal(pixels_of(dicom(deep)), COLOURS)


def test_colour_of_a_jpeg():
    smooth = np.asarray(Image.fromarray(COLOURS).resize((32, 32)))
    code = _jpeg(Image.fromarray(smooth), subsampling=0)
    found = pixels_of(
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
        setattr(file, f"{name}Data", values.tobytes())
    found = pixels_of(encoded(file))
    assert_array_equal(found, [[[0, 0, 0], [255, 0, 100]], [[0, 255, 0], [255, 0, 100]]])


def test_several_frames_are_refused_with_their_number():
    frames = np.zeros((32, 16), np.uint8)
    assert refusal(dicom(frames, Rows=16, NumberOfFrames=2)) == (
        "multi-frame: 2 frames, expected one; save each as its own file"
    )
    assert open_image(dicom(BYTES, NumberOfFrames=1)).stored.size == (16, 16)


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


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    def decode(*_, **__):
        raise AssertionError

    monkeypatch.setattr("pydicom.pixels.pixel_array", decode)
    assert refusal(dicom(BYTES, Rows=60_000, Columns=60_000)) == (
        "decompression bomb: 60,000 x 60,000 pixels, more than the 89,478,485 allowed"
    )
    monkeypatch.setattr(grey_levels, "MAX_PIXELS", 255)
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
        with pytest.raises(ValueError, match="damaged header of a compressed image"):
            coded_header(bytes(damaged))
    with pytest.raises(ValueError, match="damaged header"):
        coded_header(code[: frame + 6])


def test_jpeg_2000_of_another_encoder():
    code = io.BytesIO()
    Image.fromarray(BYTES).save(code, "JPEG2000", no_jp2=True)
    assert_array_equal(pixels_of(compressed(code.getvalue(), JPEG2000Lossless, BYTES)), BYTES)


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


@pytest.mark.parametrize("lost", [128, 132])
def test_without_its_preamble_it_is_read_and_noted(lost):
    file = open_image(dicom(TWELVE, BitsStored=12)[lost:])
    assert_array_equal(file.stored, np.rint(TWELVE * (255 / 4095)))
    assert file.notes == ("no DICOM preamble: read from its first element on",)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("whole", [True, False])
def test_without_its_transfer_syntax_it_is_read_as_it_parses(syntax, whole):
    file = dataset(TWELVE, BitsStored=12)
    file.file_meta.TransferSyntaxUID = syntax
    if is_big := syntax == ExplicitVRBigEndian:
        file.PixelData = TWELVE.astype(">u2").tobytes()
    data = encoded(file)
    # the SOP class: the first element behind group 2
    start = data.index(b"\0\x08\0\x16" if is_big else b"\x08\0\x16\0")
    bare = bytes(128) + b"DICM" + data[start:] if whole else data[start:]
    found = open_image(bare)
    assert_array_equal(found.stored, np.rint(TWELVE * (255 / 4095)))
    assert found.notes[-1] == f"no transfer syntax: read as {syntax.name}"
    assert len(found.notes) == 2 - whole


def test_text_and_damage_are_not_taken_for_a_file_without_preamble():
    for data in (b"\b\0", b"\b\0\x16\0abcd" + bytes(200), b"\2\0" + b"\xff" * 200, bytes(200)):
        assert refusal(data).startswith("not a picture: ")


def test_slightly_invalid_values_raise_no_warning():
    """Warnings are errors here; what is not needed is not looked at."""
    data = dicom(BYTES, StudyDate="yesterday", PatientName="x" * 100, StudyInstanceUID="1.02.x")
    assert_array_equal(pixels_of(data), BYTES)


def test_threads_do_not_disturb_each_other():
    plain = [dicom(np.roll(TWELVE, i), BitsStored=12) for i in range(20)]
    names = ("JPEGLosslessProcess14_1", "JPEG2000Lossless", "RLELossless")
    files = [*plain, *(transcoded(data, name) for data in plain for name in names)]
    alone = [pixels_of(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(pixels_of, files), strict=True):
            assert_array_equal(one, other)


def test_only_one_file_knows_pydicom():
    house = Path(fracjax.__file__).parent
    found = [p.name for p in house.rglob("*.py") if "import pydicom" in (text := p.read_text())
             or "from pydicom" in text]  # fmt: skip
    assert found == ["dicom.py"]
