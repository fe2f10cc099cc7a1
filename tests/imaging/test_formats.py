"""A folder with a file of every kind and of every fault, from the source to decoded squares."""

import csv
import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import Prepared, open_prepared
from fracjax.datasets.request import Request
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.read import Rejection, read_image
from fracjax.imaging.resize import ImageFormat, decode, decode_each
from tests.datasets.dicoms import dicom, transcoded
from tests.datasets.test_audit import huge_png
from tests.datasets.trees import encode, picture, write


@cache
def good_files() -> dict[str, bytes]:
    deep = picture(1).astype(np.uint16) * 16
    colours = np.stack([picture(2), picture(3), picture(4)], axis=-1)
    return {
        "grey.jpg": encode(picture(0)),
        "grey.jpeg": encode(picture(10)),
        "deep.png": encode(deep, "PNG"),
        "deep.tif": encode(np.flipud(picture(20)).astype(np.uint16) * 16, "TIFF"),
        "colour.TIFF": encode(colours, "TIFF"),
        "grey.bmp": encode(picture(30), "BMP"),
        "deep.dcm": dicom(picture(40).astype(np.uint16) * 16, BitsStored=12),
        "dicom.jpg": dicom(picture(60)),  # the content says what a file is
        "png.dcm": encode(picture(70), "PNG"),
        "small.dicom": transcoded(dicom(picture(50)), "JPEGLosslessProcess14_1"),
    }


def bad_files() -> dict[str, tuple[bytes, str]]:
    return {
        "empty.dcm": (b"", "empty: zero bytes"),
        "bomb.png": (huge_png(), "decompression bomb: "),
        "bomb.dcm": (dicom(picture(0), Rows=60_000, Columns=60_000), "decompression bomb: "),
        "cut.jpg": (encode(picture(0))[:-700], "truncated: "),
        "cut.tif": (encode(picture(0), "TIFF")[:-700], "truncated: "),
        "cut.bmp": (encode(picture(0), "BMP")[:-700], "truncated: "),
        "cut.dcm": (dicom(picture(0))[:-700], "does not decode: The number of bytes of pixel data"),
        "frames.dcm": (dicom(picture(0), Rows=48, NumberOfFrames=2), "multi-frame: 2 frames"),
        "float.tif": (encode(picture(0).astype(np.float32), "TIFF"), "floating point: "),
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    root = tmp_path_factory.mktemp("formats")
    for name, data in good_files().items():
        write(root / "mine" / "broken" / name, data)
    for i in range(5):
        write(root / "mine" / "healthy" / f"{i}.jpg", encode(picture(100 + i)))
    for name, (data, _) in bad_files().items():
        write(root / "mine" / "broken" / name, data)
    prepare(Request("folder", source=root / "mine", data_dir=root, positive="broken"))
    return open_prepared("folder", root)


def rows(prepared: Prepared) -> dict[str, dict[str, str]]:
    with prepared.manifest_path.open(newline="") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


def test_the_run_goes_on_after_each_bad_file_and_names_it(prepared):
    found = rows(prepared)
    for name, (_, reason) in bad_files().items():
        assert found[name]["status"] == "refused"
        assert found[name]["reason"].startswith(reason), name
        assert found[name]["channels"] == "0"
    taken = {name for name, row in found.items() if row["status"] == "taken"}
    assert taken == {*good_files(), *(f"{i}.jpg" for i in range(5))}


def test_prediction_says_of_each_file_what_the_audit_says(prepared):
    found = rows(prepared)
    with capture_decoder_warnings():
        for name, data in {**good_files(), **{n: d for n, (d, _) in bad_files().items()}}.items():
            read = read_image(data, lambda data: decode_each(data, [ImageFormat(16)]), name)
            reason, note = (read.reason, "") if isinstance(read, Rejection) else ("", read[1])
            assert (reason, note) == (found[name]["reason"], found[name]["note"]), name


def test_every_kind_lies_in_the_records_byte_for_byte(prepared):
    files = {f"broken/{name}": data for name, data in good_files().items()}
    places = {str(study): i for i, study in enumerate(prepared.study)}
    for name, data in files.items():
        i = places[name]
        assert prepared.image_bytes(i) == data
        assert prepared.sha256[i] == hashlib.sha256(data).hexdigest()


def test_only_the_file_with_colour_has_three_channels(prepared):
    assert prepared.study[prepared.colour].tolist() == ["broken/colour.TIFF"]
    assert rows(prepared)["colour.TIFF"]["channels"] == "3"
    assert rows(prepared)["deep.dcm"]["channels"] == "1"


def test_deep_files_have_the_greys_that_were_exposed(prepared):
    """Twelve bits in sixteen, 16 times a picture of eight: 255 / 4095 of it, in every format."""
    places = {str(study): i for i, study in enumerate(prepared.study)}
    exposed = {"deep.png": picture(1), "deep.tif": np.flipud(picture(20)), "deep.dcm": picture(40)}
    for name, pixels in exposed.items():
        square = decode(prepared.image_bytes(places[f"broken/{name}"]), ImageFormat(96, "pad"))[
            ..., 0
        ]
        expected = np.rint(pixels.astype(float) * 16 * 255 / 4095)
        assert_array_equal(square[:, 8:88], expected)
        assert not square[:, :8].any()
        assert not square[:, 88:].any()
