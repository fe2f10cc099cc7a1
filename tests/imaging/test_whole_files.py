"""What lost a part is refused, of every kind that lets it be seen; what is sound is taken."""

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageFile

from fracjax.imaging import jpeg_scans
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.read import Rejection, open_image, read_image
from tests.datasets.dicoms import compressed, dicom, run_length, transcoded
from tests.datasets.trees import encode, picture

GREY = picture(1, 240, 200)
DEEP = GREY.astype(np.uint16) * 16 + np.random.default_rng(0).integers(
    16, size=GREY.shape, dtype=np.uint16
)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def tiff(compression: str, pixels: np.ndarray = GREY, **options) -> bytes:
    return encode(pixels, "TIFF", compression=compression, **options)


SOUND = {
    "JPEG": encode(GREY),
    "JPEG, optimized": encode(GREY, optimize=True),
    "JPEG, colour": encode(COLOUR),
    "JPEG, dense": encode(COLOUR, quality=95),
    "JPEG, progressive": encode(GREY, progressive=True),
    "JPEG, restarts": encode(GREY, restart_marker_rows=1),
    "PNG": encode(GREY, "PNG"),
    "PNG, 16 bits": encode(DEEP, "PNG"),
    "TIFF, deflate": tiff("tiff_adobe_deflate"),
    "TIFF, deflate, 16 bits": tiff("tiff_adobe_deflate", DEEP),
    "TIFF, LZW": tiff("tiff_lzw"),
    "TIFF, PackBits": tiff("packbits"),
    "TIFF, PackBits, colour": tiff("packbits", COLOUR),
    "TIFF, JPEG": tiff("jpeg"),
    "TIFF, fax": tiff("group4", GREY > 110),
    "TIFF, older fax": tiff("group3", GREY > 110),
    "DICOM, JPEG": compressed(encode(GREY), "1.2.840.10008.1.2.4.50", GREY),
    "DICOM, run lengths": run_length(dicom(GREY)),
    "DICOM, run lengths, 12 bits": run_length(dicom(DEEP, BitsStored=12)),
    "DICOM, lossless": transcoded(dicom(GREY), "JPEGLosslessProcess14_1"),
    "DICOM, lossless, 12 bits": transcoded(dicom(DEEP, BitsStored=12), "JPEGLosslessProcess14"),
    "DICOM, lossless, colour": transcoded(dicom(COLOUR), "JPEGLosslessProcess14_1"),
    "DICOM, JPEG-LS": transcoded(dicom(DEEP, BitsStored=12), "JPEGLSLossless"),
    "DICOM, JPEG 2000": transcoded(dicom(DEEP, BitsStored=12), "JPEG2000Lossless"),
}


def read(data: bytes) -> tuple[np.ndarray, str] | Rejection:
    def decode(data: bytes):
        opened = open_image(data)
        return opened, np.asarray(opened.upright())

    with capture_decoder_warnings():
        return read_image(data, decode)


def taken(data: bytes) -> tuple[np.ndarray, str]:
    found = read(data)
    assert not isinstance(found, Rejection), found
    return found


def zeroed(data: bytes, size: int, at: float) -> bytes:
    start = int(at * len(data))
    return data[:start] + bytes(size) + data[start + size :]


def half_then(end: bytes, data: bytes) -> bytes:
    return data[: len(data) // 2] + end


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_file_is_taken_without_a_note(kind):
    assert taken(SOUND[kind])[1] == ""


@pytest.mark.parametrize("kind", SOUND)
def test_a_file_with_a_lost_part_is_refused(kind):
    data = SOUND[kind]
    half = len(data) // 2
    lost = {
        "half, closed": half_then(b"\xff\xd9", data),
        "half, then zeros": half_then(bytes(len(data) - half), data),
        "half, then zeros and its end": half_then(bytes(len(data) - half - 32) + data[-32:], data),
        "300 bytes lost": data[:half] + data[half + 300 :],
        "a third zero": zeroed(data, len(data) // 3, 0.4),
    }
    taken = [name for name, part in lost.items() if not isinstance(read(part), Rejection)]
    assert not taken


# Of JPEG 2000, whose codes take any bytes for pictures, only larger holes can be seen.
@pytest.mark.parametrize("kind", [kind for kind in SOUND if "2000" not in kind])
def test_a_tenth_of_the_pixels_is_hardly_ever_wrong(kind):
    """By chance a decoder finds its way back with as many pixels as there should be."""
    whole, wrong = taken(SOUND[kind])[0].astype(int), 0
    for at in np.linspace(0.4, 0.9, 20):
        found = read(zeroed(SOUND[kind], 64, at))
        if not isinstance(found, Rejection):
            wrong += bool((np.abs(found[0].astype(int) - whole) > 2).mean() > 0.1)
    assert wrong <= 1


def test_every_chunk_of_a_png_has_its_checksum():
    data = SOUND["PNG"]
    at = data.index(b"IEND") - 8  # the sum itself, which Pillow skips for pixels
    changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    found = read(changed)
    assert isinstance(found, Rejection)
    assert "a wrong checksum in the PNG (IDAT)" in found.reason


def test_a_progressive_jpeg_without_its_last_scans_is_refused():
    """Closed after a whole scan it is blurred, and no decoder complains."""
    data = SOUND["JPEG, progressive"]
    last = data.rindex(b"\xff\xda")
    found = read(data[: data.rindex(b"\xff\xc4", 0, last)] + b"\xff\xd9")
    assert isinstance(found, Rejection)
    assert found.reason.startswith("truncated: the JPEG lacks scans")


def test_what_follows_the_end_and_what_fills_gaps_in_the_header_is_no_damage():
    data = SOUND["JPEG"]
    assert not isinstance(read(data + b"trailing"), Rejection)
    assert not isinstance(read(data[:2] + b"\xff\xff" + data[2:]), Rejection)
    assert not isinstance(read(data + data), Rejection)


def test_a_cmyk_jpeg_is_taken():
    out = io.BytesIO()
    Image.fromarray(COLOUR).convert("CMYK").save(out, "JPEG")
    assert not isinstance(read(out.getvalue()), Rejection)


def in_tiff(code: bytes, height: int, width: int) -> bytes:
    """A grey TIFF whose one strip is a JPEG."""
    at = 8 + 2 + 12 * 9 + 4
    size = {256: width, 257: height, 278: height}
    tags = sorted({**size, 258: 8, 259: 7, 262: 1, 273: at, 277: 1, 279: len(code)}.items())
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + code


SCANS = {
    "JPEG": lambda code: code,
    "TIFF": lambda code: in_tiff(code, *GREY.shape),
    "DICOM, baseline": lambda code: compressed(code, "1.2.840.10008.1.2.4.50", GREY),
    "DICOM, extended": lambda code: compressed(code, "1.2.840.10008.1.2.4.51", GREY),
    "DICOM, progressive": lambda code: compressed(code, "1.2.840.10008.1.2.4.55", GREY),
    "DICOM, JPEG-LS": lambda code: compressed(code, "1.2.840.10008.1.2.4.80", GREY),
}


@pytest.mark.parametrize("kind", SCANS)
def test_a_jpeg_of_hundreds_of_scans_is_refused_before_it_is_decoded(kind, monkeypatch):
    data = SCANS[kind](encode(GREY, progressive=True))
    if kind in ("JPEG", "TIFF"):
        assert not isinstance(read(data), Rejection)
    monkeypatch.setattr(jpeg_scans, "MAX_SCANS", 5)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("it was decoded"))
    found = read(data)
    assert isinstance(found, Rejection)
    assert found.reason.startswith("decompression bomb: a JPEG of 6 scans, more than the 5")


PLAIN = {
    "BMP": lambda pixels: encode(pixels, "BMP"),
    "TIFF": lambda pixels: tiff("raw", pixels),
    "DICOM": dicom,
}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_band_of_zeros_in_a_file_without_checksums_is_noted(kind):
    whole = np.clip(GREY, 1, 255)
    band = whole.copy()
    band[100:130] = 0
    thin = whole.copy()
    thin[100:120] = 0
    assert taken(PLAIN[kind](whole))[1] == ""
    assert taken(PLAIN[kind](thin))[1] == ""
    assert taken(PLAIN[kind](band))[1].startswith("zeros: rows 101 to 130 of 240 are all zero")
    assert_array_equal(taken(PLAIN[kind](band))[0], band)


def test_zeros_that_are_white_are_noted_too():
    pixels = np.clip(GREY, 1, 254)
    data = tiff("raw", 255 - pixels, tiffinfo={262: 0})
    at = len(data) // 2
    assert "zeros: rows" in taken(data[:at] + bytes(10_000) + data[at + 10_000 :])[1]


def test_a_band_of_black_in_a_file_with_checksums_is_black():
    band = GREY.copy()
    band[100:140] = 0
    assert taken(encode(band, "PNG"))[1] == ""


def test_the_fill_order_of_fax_codes_is_known():
    data = tiff("group4", GREY > 110, tiffinfo={266: 2})
    assert not isinstance(read(data), Rejection)


def test_deflate_without_its_end_is_cut():
    data = SOUND["TIFF, deflate"]
    at = data.index(zlib.compress(GREY.tobytes())[:2], 8)
    assert isinstance(
        read(data[:at] + data[at : at + 200] + bytes(len(data) - at - 200)), Rejection
    )


def test_what_a_decoder_raises_is_the_reason_and_not_on_the_screen(caplog):
    """pydicom logs the traceback of each decoder that it tried."""
    whole = SOUND["DICOM, JPEG-LS"]
    found = read(zeroed(whole, 512, 0.6))
    assert isinstance(found, Rejection)
    assert "does not decode" in found.reason
    assert caplog.records == []
