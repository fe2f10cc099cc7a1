"""A folder takes another's place in one step, and what killed processes left is cleared up."""

import os

import pytest

from fracjax.runtime import unfinished_folder as module
from fracjax.runtime.unfinished_folder import clear_up, take_place, unfinished_folder


@pytest.fixture
def data(tmp_path):
    """A dataset `mine`, of before."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "it").write_text("before")
    return tmp_path / "mine"


def made(folder):
    (folder / "new").mkdir()
    (folder / "new" / "it").write_text("after")
    return folder / "new"


@pytest.mark.parametrize("can", [True, False])
def test_the_new_one_takes_the_place_and_nothing_is_left(data, monkeypatch, can):
    if not can:
        monkeypatch.setattr(module, "_exchange", lambda *_: False)
    with unfinished_folder(data) as folder:
        take_place(made(folder), data, folder)
    assert (data / "it").read_text() == "after"
    assert [path.name for path in data.parent.iterdir()] == ["mine"]


def test_a_new_name_is_simply_taken(tmp_path):
    with unfinished_folder(tmp_path / "mine") as folder:
        take_place(made(folder), tmp_path / "mine", folder)
    assert (tmp_path / "mine" / "it").read_text() == "after"


def test_what_is_held_is_kept_and_what_a_killed_process_left_is_removed(data):
    with unfinished_folder(data) as folder:
        clear_up(data)
        assert folder.exists()
    left = data.parent / ".unfinished-mine-abc"
    left.mkdir()
    clear_up(data)
    assert left.exists()  # it may be about to lock itself
    os.utime(left, (0, 0))
    other = data.parent / ".unfinished-yours-abc"
    other.mkdir()
    os.utime(other, (0, 0))
    clear_up(data)
    assert not left.exists()
    assert other.exists()


def test_a_dataset_that_was_being_replaced_is_put_back(data):
    """As of a process that was killed between its two renames."""
    left = data.parent / ".unfinished-mine-abc"
    left.mkdir()
    (left / ".held").touch()
    data.rename(left / "replaced")
    clear_up(data)
    assert (data / "it").read_text() == "before"
    assert not left.exists()
