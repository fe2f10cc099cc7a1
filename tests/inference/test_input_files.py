"""Which files a command line means."""

import os
from pathlib import Path

import numpy as np
import pytest

from fracjax.errors import InputError
from fracjax.inference.input_files import find_files
from tests.datasets.dicoms import dicom
from tests.datasets.trees import write

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
        "deep/._d.bmp",
        "notes.txt",
    ]
    assert found.repeated == ()


def test_a_file_that_is_named_is_taken_whatever_its_name(tree):
    named = [tree / "notes.txt", tree / ".hidden.png", tree / "a.JPG"]
    assert list(find_files(named).files) == named


def test_each_file_comes_once_where_it_was_named_first(tree):
    (tree / "link.png").symlink_to(tree / "b.png")
    (tree / "deep" / "back").symlink_to(tree, target_is_directory=True)
    found = find_files([tree / "deep" / "d.bmp", tree, tree / "b.png"])
    assert _names(found.files, tree)[:3] == ["deep/d.bmp", "a.JPG", "b.png"]
    assert len(found.files) == 7
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
    assert text.startswith("nothing was predicted: ")
    assert f"{tree / 'nothing.png'}: no such file or folder" in text
    assert f"{tree / '*.jpg'}: no such file or folder" in text
    assert f"{tree / 'empty'}: a folder without an image" in text
    assert "a.JPG" not in text
    with pytest.raises(InputError, match="name files or folders"):
        find_files([])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_an_error(tree):
    (tree / "cd").chmod(0)
    try:
        with pytest.raises(InputError, match=r"cd: cannot be listed \(Permission denied\)"):
            find_files([tree])
    finally:
        (tree / "cd").chmod(0o755)
