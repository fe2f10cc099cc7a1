"""One file to squares, or the reason why not."""

import os
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.imaging.resize import ImageFormat, decode
from fracjax.inference import input_files
from fracjax.inference.input_files import read, read_ahead
from tests.datasets.dicoms import dataset, dicom, encoded
from tests.datasets.trees import encode, picture, write

FORMS = [ImageFormat(16), ImageFormat(24, "pad", 3)]
GREY = picture(0)


@pytest.mark.parametrize(
    "data",
    [
        encode(GREY),
        encode(GREY, "PNG"),
        encode(GREY.astype(np.uint16) * 257, "PNG"),
        encode(GREY, "TIFF"),
        encode(GREY, "BMP"),
        dicom(GREY),
        dicom(GREY.astype(np.uint16) * 16, BitsStored=12, PhotometricInterpretation="MONOCHROME1"),
    ],
    ids=["JPEG", "PNG", "PNG16", "TIFF", "BMP", "DICOM", "MONOCHROME1"],
)
def test_every_kind_is_decoded_in_each_form_whatever_its_name(tmp_path, data):
    done = read(write(tmp_path / "no_suffix", data), FORMS)
    assert done.reason == ""
    for found, form in zip(done.images, FORMS, strict=True):
        assert_array_equal(found, decode(data, form))


def test_monochrome1_is_turned_over(tmp_path):
    plain, turned = (
        read(write(tmp_path / kind, dicom(GREY, PhotometricInterpretation=kind)), FORMS[:1])
        for kind in ("MONOCHROME2", "MONOCHROME1")
    )
    assert np.abs(plain.images[0] + turned.images[0].astype(int) - 255).max() <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: zero bytes"),
        (b"Dear colleague,", "not a picture: the content is neither JPEG"),
        (encode(GREY)[:-400], "truncated: "),
        (encode(GREY, "PNG")[:-400], "truncated: "),
        (dicom(np.stack([GREY] * 2), Rows=96, Columns=80, NumberOfFrames=2,
               SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2"),
         "multi-frame: 2 frames, expected one"),
        (dicom(GREY)[:300], "no pixel data: "),
    ],
    ids=["empty", "text", "JPEG", "PNG", "frames", "DICOM"],
)  # fmt: skip
def test_what_is_not_read_has_its_reason(tmp_path, data, reason):
    done = read(write(tmp_path / "file.png", data), FORMS)
    assert done.reason.startswith(reason)
    assert done.images == ()


def test_what_cannot_be_opened_has_its_reason(tmp_path, monkeypatch):
    gone = tmp_path / "gone.png"
    gone.symlink_to(tmp_path / "nowhere.png")
    assert read(gone, FORMS).reason.startswith("unreadable: not a file (a broken link")
    os.mkfifo(tmp_path / "pipe.png")
    assert read(tmp_path / "pipe.png", FORMS).reason.startswith("unreadable: not a file")
    monkeypatch.setattr("fracjax.imaging.read.MAX_FILE_BYTES", 10)
    large = write(tmp_path / "large.png", encode(GREY, "PNG"))
    assert "more than the 10 allowed" in read(large, FORMS).reason
    monkeypatch.setattr(Path, "stat", lambda *_, **__: (_ for _ in ()).throw(OSError(13, "No")))
    assert read(large, FORMS).reason == "unreadable: No"


def _with_complaint(kind: str) -> bytes:
    """A picture that its decoder complains of, and goes on."""
    if kind == "JPEG":  # its EXIF ends in the middle of the first entry
        return encode(GREY, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12")
    file = dataset(GREY)
    file.PixelData += bytes(64)  # more than the picture needs
    return encoded(file)


def test_a_complaint_is_a_note_and_a_reason_where_an_orientation_is_lost(tmp_path, caplog):
    """As in the audit: no network was trained on such a JPEG."""
    files = [write(tmp_path / kind, _with_complaint(kind)) for kind in ("DICOM", "JPEG")]
    with warnings.catch_warnings(record=True) as printed:
        warnings.simplefilter("always")
        lenient, strict = read_ahead(files, FORMS, ahead=2)
    assert printed == []
    assert caplog.records == []
    assert (lenient.reason, len(lenient.images)) == ("", 2)
    assert lenient.note.startswith("The pixel data is 7744 bytes long")
    assert strict.reason.startswith("does not decode: Corrupt EXIF data")


def test_warnings_of_others_go_where_they_went(tmp_path):
    reads = read_ahead([write(tmp_path / "a.png", encode(GREY, "PNG"))] * 2, FORMS, ahead=1)
    next(reads)
    with pytest.warns(UserWarning, match="of somebody else"):
        warnings.warn("of somebody else", stacklevel=1)
    reads.close()


def test_files_keep_their_order_though_some_take_long(tmp_path, monkeypatch):
    original = input_files.read

    def slow(path, forms):
        time.sleep(0.05 if path.stem == "0" else 0)
        return original(path, forms)

    monkeypatch.setattr(input_files, "read", slow)
    files = [write(tmp_path / f"{i}.png", encode(picture(i), "PNG")) for i in range(6)]
    done = list(read_ahead(files, FORMS, ahead=4, threads=3))
    assert [one.path for one in done] == files
    for one in done:
        assert_array_equal(one.images[0], decode(one.path.read_bytes(), FORMS[0]))
