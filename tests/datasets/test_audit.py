import hashlib
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, TiffImagePlugin

from fracjax.datasets.audit import examine, pixel_digest
from fracjax.datasets.fine_structure import dihedral
from fracjax.datasets.prepared import ManifestRow
from fracjax.datasets.sources.archive import Source, Study
from tests.datasets.dicoms import dataset, encoded
from tests.datasets.trees import encode, lock, picture, write


def study(path: str, data: bytes, label: str = "normal", name: str | None = None) -> Study:
    return Study(study=name or path, path=path, label=label, read=lambda: data)


def statuses(rows: list[ManifestRow]) -> list[str]:
    return [row.status for row in rows]


def taken(path: str, data: bytes) -> ManifestRow:
    (row,) = examine([study(path, data)], None)
    assert (row.status, row.reason) == ("taken", "")
    return row


def reason(path: str, data: bytes) -> str:
    (row,) = examine([study(path, data)], None)
    assert row.status == "refused"
    assert row.width == row.channels == 0
    return row.reason


def huge_png() -> bytes:
    """60,000 x 60,000 pixels in a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + crc

    side = (60_000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([8, 0, 0, 0, 0]))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    )


def test_a_good_file_is_taken_with_its_facts():
    data = encode(picture(0, height=96, width=80))
    row = taken("a/b.jpg", data)
    assert row.sha256 == hashlib.sha256(data).hexdigest()
    assert (row.height, row.width, row.orientation, row.channels) == (96, 80, 1, 1)
    assert (row.note, row.group) == ("", "a/b.jpg")


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("a.png", "named .png, the content is JPEG"),
        ("a.jpg", ""),
        ("1.2.840.113619", ""),
        ("IM0001", ""),
    ],
)
def test_the_content_says_what_a_file_is_and_not_its_suffix(name, note):
    assert taken(name, encode(picture(0))).note == note


def test_size_is_that_of_the_displayed_picture():
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    row = taken("a.jpg", encode(picture(0, height=96, width=80), exif=exif.tobytes()))
    assert (row.height, row.width, row.orientation) == (80, 96, 6)
    assert row.note == "EXIF orientation 6"


@pytest.mark.parametrize("lost", [1, 10, 500])
def test_a_truncated_jpeg_is_refused_however_little_is_lost(lost):
    data = encode(picture(0), quality=95)
    # The last bytes are padding and the end marker; cut into the coded rows.
    assert reason("a.jpg", data[: len(data) - 4 - lost]).startswith("truncated: ")


def test_strict_even_where_the_process_decodes_leniently(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert reason("a.jpg", encode(picture(0))[:-600]).startswith("truncated: ")
    assert ImageFile.LOAD_TRUNCATED_IMAGES  # and the setting is given back


@pytest.mark.parametrize(
    "path, data, expected",
    [
        ("a.jpg", b"", "empty: zero bytes"),
        ("a.jpg", b"hello", "not a picture: the content is neither JPEG, PNG, TIFF, BMP nor DICOM"),
        ("notes.txt", b"x", "not a picture: the content is neither JPEG, PNG"),
        ("README", b"x", "not a picture: the content is neither JPEG, PNG"),
        ("a.png", encode(picture(0), "PNG")[:-900], "truncated: "),
        ("a.png", huge_png(), "decompression bomb: "),
        ("a.jpg", encode(picture(0), "GIF"), "not a picture: "),
    ],
)
def test_each_fault_is_named(path, data, expected):
    assert reason(path, data).startswith(expected)


def test_a_warning_is_a_fault_even_where_the_process_ignores_warnings(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 80 - 1)  # Pillow warns up to twice that
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert reason("a.jpg", encode(picture(0))).startswith(
            "decompression bomb: Image size (7680"
        )


def broken_exif() -> bytes:
    """A JPEG whose EXIF ends in the middle of its first entry."""
    return encode(picture(0), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12")


def test_a_jpeg_is_refused_where_its_orientation_is_lost_and_else_the_damage_is_a_note():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lost = reason("a.jpg", broken_exif())
        assert lost.startswith("does not decode: Corrupt EXIF data.")
        assert lost.endswith("Its orientation is lost; save it upright")
        harmless = broken_exif().replace(b"\x02\x01\x12", b"\x02\x01\x0f")  # the maker's name
        assert taken("a.jpg", harmless).note.startswith("Corrupt EXIF data.")
        # The orientation's tag as a value is none.
        maker = encode(picture(0), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x0f\x01\x12")
        assert taken("a.jpg", maker).note.startswith("Corrupt EXIF data.")


def test_a_warning_about_the_tags_of_a_dicom_file_is_a_note_and_printed_nowhere(caplog):
    file = dataset(picture(0))
    file.PixelData += bytes(64)  # more than the picture needs
    first, other = examine(
        [study("a.dcm", encoded(file)), study("b.dcm", encoded(dataset(picture(1))))], None
    )
    assert statuses([first, other]) == ["taken", "taken"]
    assert first.note.startswith("The pixel data is 7744 bytes long, which indicates it contains")
    assert other.note == ""  # of its own, whatever its thread has heard before
    assert caplog.records == []


def test_a_warning_about_the_tags_of_a_tiff_is_a_note():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[282] = 72.0
    data = bytearray(encode(picture(0), "TIFF", tiffinfo=tags))
    entry = data.index((282).to_bytes(2, "little") + (5).to_bytes(2, "little"))
    data[entry + 4] = 2  # two horizontal resolutions
    assert taken("a.tif", bytes(data)).note.startswith(
        "Metadata Warning, tag 282 had too many entries"
    )


def test_a_folder_named_as_a_picture_is_entered_and_a_broken_link_is_refused(tmp_path: Path):
    (tmp_path / "folder.dcm").mkdir()
    write(tmp_path / "folder.jpg" / "a", encode(picture(0)))
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    source = Source(tmp_path)
    assert source.names == ["folder.jpg/a", "link.jpg"]
    studies = [Study(n, n, "x", lambda n=n: source.read(n)) for n in source.names]
    assert [row.reason for row in examine(studies, None)] == [
        "",
        "unreadable: not a file (a broken link, a pipe or a device)",
    ]


def test_a_folder_that_is_not_entered_has_a_row(tmp_path: Path, monkeypatch):
    for label in ("a", "b"):
        write(tmp_path / label / "1.png", encode(picture(0), "PNG"))
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "locked").mkdir()
    lock("locked", monkeypatch)
    source = Source(tmp_path)
    studies = [Study(n, n, n[0], lambda n=n: source.read(n)) for n in source.names]
    reasons = {row.path: row.reason for row in examine(studies, None)}
    assert set(reasons) == {"a/1.png", "b/1.png", "a/loop", "a/locked"}
    assert reasons["a/loop"] == f"not entered: it is {tmp_path}, which is read already"
    assert reasons["a/locked"] == "unreadable: a folder that cannot be listed (Permission denied)"


def test_a_folder_that_lies_in_two_classes_by_a_link_is_a_label_conflict(tmp_path: Path):
    write(tmp_path / "a" / "patient" / "1.png", encode(picture(0), "PNG"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "patient").symlink_to(tmp_path / "a" / "patient", target_is_directory=True)
    source = Source(tmp_path)
    studies = [Study(n, n, n[0], lambda n=n: source.read(n)) for n in source.names]
    assert [row.reason[:14] for row in examine(studies, None)] == ["label conflict"] * 2


@pytest.mark.parametrize("turn", range(8))
def test_identical_up_to_flips_and_rotations_under_two_labels_are_all_refused(turn):
    pixels = picture(0)
    turned = np.ascontiguousarray(dihedral(pixels)[turn])
    rows = examine(
        [
            study("a.png", encode(pixels, "PNG"), "normal"),
            study("b.png", encode(turned, "PNG"), "fracture"),
            study("c.png", encode(pixels, "PNG"), "normal"),
            study("d.png", encode(picture(1), "PNG"), "fracture"),
        ],
        None,
    )
    assert statuses(rows) == ["refused", "refused", "refused", "taken"]
    assert rows[0].reason == (
        "label conflict: a.png (normal) is pixel-identical to b.png (fracture), c.png (normal)"
    )


def test_identical_under_one_label_is_no_conflict():
    data = encode(picture(0))
    rows = examine([study("a.jpg", data), study("b.jpg", data)], None)
    assert statuses(rows) == ["taken", "taken"]
    assert [row.note for row in rows] == ["pixel-identical to b.jpg", "pixel-identical to a.jpg"]


def test_a_study_name_that_comes_twice_is_refused_both_times():
    rows = examine([study(f"{x}/a.jpg", encode(picture(0)), name="a") for x in "xy"], None)
    assert [row.reason for row in rows] == [
        "study name a comes 2 times: y/a.jpg",
        "study name a comes 2 times: x/a.jpg",
    ]


def test_sixteen_bit_pngs_keep_their_contrast():
    deep = picture(0).astype(np.uint16) * 100 + 30_000  # convert("L") would clip it to white
    files = {"a.png": encode(picture(0), "PNG"), "b.png": encode(deep, "PNG")}
    rows = examine([study(name, data) for name, data in files.items()], similarity=0.9)
    assert [row.group for row in rows] == ["a.png", "a.png"]


def test_a_digest_of_pixels_is_of_all_turns_and_of_no_other_picture():
    """Small pictures of few greys, of which many have equal sums of rows and columns."""
    rng, found = np.random.default_rng(0), {}
    for shape in ((2, 3), (3, 3), (4, 4)):
        for _ in range(150):
            views = dihedral(rng.integers(0, 2, shape).astype(np.uint8))
            (digest,) = {pixel_digest(view) for view in views}
            same = min((view.shape, view.tobytes()) for view in views)
            assert found.setdefault(digest, same) == same
    assert len(found) == len(set(found.values())) > 50
