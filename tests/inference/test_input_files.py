"""Which files a command line means."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.input_files import find_files, read
from tests.datasets.dicoms import dicom
from tests.datasets.trees import encode, lock, picture, write

PIXELS = np.zeros((4, 4), np.uint8)


def _names(paths, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


@pytest.fixture
def tree(tmp_path) -> Path:
    """A folder as one finds them. What files hold does not matter here, but for the DICOM mark."""
    for name in (
        "b.png",
        "a.JPG",
        "deep/er/c.tiff",
        "deep/d.bmp",
        'deep/Größe, "8"\nneu.jpeg',
        "notes.txt",
        "Thumbs.db",
        ".hidden.png",
        ".cache/e.png",
        "deep/._d.bmp",
    ):
        write(tmp_path / name, b"x")
    write(tmp_path / "cd" / "IM0001", dicom(PIXELS))
    write(tmp_path / "cd" / "1.2.840.3", dicom(PIXELS))
    write(tmp_path / "cd" / "DICOMDIR", dicom(PIXELS))
    write(tmp_path / "cd" / "INDEX", dicom(PIXELS, SOPClassUID="1.2.840.10008.1.3.10"))
    return tmp_path


def test_a_folder_is_walked_by_name_and_what_is_no_picture_is_listed(tree):
    found = find_files([tree])
    assert _names(found.files, tree) == [
        "a.JPG",
        "b.png",
        "cd/1.2.840.3",
        "cd/IM0001",
        'deep/Größe, "8"\nneu.jpeg',
        "deep/d.bmp",
        "deep/er/c.tiff",
    ]
    assert sorted(_names(found.skipped, tree)) == [
        ".cache",
        ".hidden.png",
        "Thumbs.db",
        "cd/DICOMDIR",
        "cd/INDEX",
        "deep/._d.bmp",
        "notes.txt",
    ]
    assert Counter(found.skipped.values()) == {
        "hidden": 3,
        "of a service": 1,
        "no image": 1,
        "a DICOM table of contents": 2,
    }
    assert found.repeated == ()


def test_a_file_that_is_named_is_taken_whatever_its_name(tree):
    named = [tree / "notes.txt", tree / ".hidden.png", tree / "a.JPG"]
    assert list(find_files(named).files) == named


def test_each_file_comes_once_where_it_was_named_first(tree):
    (tree / "link.png").symlink_to(tree / "b.png")
    (tree / "deep" / "back").symlink_to(tree, target_is_directory=True)
    found = find_files([tree / "deep" / "d.bmp", tree, tree / "b.png"])
    assert _names(found.files, tree)[:3] == ["deep/d.bmp", "a.JPG", "b.png"]
    back = tree / "deep" / "back"
    assert found.refused == {back: f"not entered: it is {tree}, which is read already"}
    assert [file for file in found.files if file != back] == [
        file for file in found.files if file.is_file()
    ]
    assert len(found.files) == 8
    assert _names(found.repeated, tree) == ["link.png", "deep/d.bmp", "b.png"]


def test_a_linked_folder_is_walked_and_a_broken_link_is_a_file_to_try(tree, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "more").symlink_to(tree / "deep", target_is_directory=True)
    (other / "gone.png").symlink_to(other / "nowhere.png")
    assert len(find_files([other]).files) == 4


def test_our_own_results_are_left_out(tree):
    write(tree / "predictions" / "overlays" / "000001_a.png", b"x")
    assert len(find_files([tree]).files) == 8
    found = find_files([tree], leave_out=tree / "predictions")
    assert len(found.files) == 7
    assert tree / "predictions" in found.skipped


def test_everything_that_is_wrong_is_said_at_once(tree):
    write(tree / "empty" / "notes.txt", b"x")
    with pytest.raises(InputError) as error:
        find_files([tree / "nothing.png", tree / "*.jpg", tree / "empty", tree / "a.JPG"])
    text = str(error.value)
    assert text.startswith("nothing was read: ")
    assert f"{tree / 'nothing.png'}: no such file or folder" in text
    assert f"{tree / '*.jpg'}: no such file or folder" in text
    assert f"{tree / 'empty'}: a folder without an image" in text
    assert "a.JPG" not in text
    with pytest.raises(InputError, match="name files or folders"):
        find_files([])


@pytest.fixture
def locked(tree, monkeypatch) -> Path:
    """A folder that may not be listed, also where root runs the tests."""
    lock("cd", monkeypatch)
    return tree / "cd"


def test_a_folder_that_may_not_be_listed_is_a_row_and_the_others_are_read(tree, locked):
    found = find_files([tree])
    assert found.refused == {
        locked: "unreadable: a folder that cannot be listed (Permission denied)"
    }
    assert len(found.files) == 6
    assert locked in found.files
    with pytest.raises(InputError, match=r"cd: unreadable: a folder that cannot be listed"):
        find_files([locked])


BARE = bytes.fromhex("08000500435300000a00") + b"ISO_IR 100" + bytes(200)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("scan", encode(picture(0))),
        ("photo.jfif", encode(picture(0))),
        ("IM1.bak", encode(picture(0), "PNG")),
        ("1.2.3", encode(picture(0), "TIFF")),
        ("x.old", encode(picture(0), "BMP")),
        ("y", BARE),
        ("z.img", BARE[:4] + bytes.fromhex("0a000000") + BARE[10:]),  # implicit VR
        ("films.webp", encode(picture(0), "WEBP")),  # not read, but not passed over
        ("films.gif", encode(picture(0), "GIF")),
        ("films.zip", b"x"),
    ],
)
def test_a_file_counts_by_its_content_whatever_its_name(name, data, tmp_path):
    file = write(tmp_path / name, data)
    assert find_files([tmp_path]).files == (file,)


@pytest.mark.parametrize("data", [b"BM, dear colleague, " * 20, b"II. Findings: none " * 20, b""])
def test_a_text_is_no_image(data, tmp_path):
    write(tmp_path / "scan", data)
    write(tmp_path / "a.png", encode(picture(0), "PNG"))
    assert find_files([tmp_path]).skipped == {tmp_path / "scan": "no image"}


def test_a_suffix_that_lies_is_noted_and_an_archive_says_what_to_do(tmp_path):
    lying = write(tmp_path / "a.png", encode(picture(0)))
    result = read(lying, [ImageFormat(8)])
    assert (result.reason, result.note) == ("", "named .png, the content is JPEG")
    assert read(write(tmp_path / "b.zip", b"PK"), []).reason == (
        "archive: unpack it, and name its folder"
    )


def test_names_that_are_no_utf8_and_as_long_as_a_disk_takes(tmp_path):
    odd = write(tmp_path / os.fsdecode(b"caf\xe9.png"), encode(picture(0), "PNG"))
    long = write(tmp_path / ("x" * 251 + ".png"), encode(picture(1), "PNG"))
    assert find_files([tmp_path]).files == (odd, long)
    with pytest.raises(InputError, match="no such file or folder"):
        find_files([tmp_path / ("y" * 300)])
    with pytest.raises(InputError, match=r"caf\\xe9: no such file"):
        find_files([tmp_path / os.fsdecode(b"caf\xe9")])
