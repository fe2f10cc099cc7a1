"""A folder takes another's place in one step, and what killed processes left is cleared up."""

import os

import pytest

from fracjax.runtime import unfinished_folder as module
from fracjax.runtime.unfinished_folder import (
    clear_up,
    replacing_files,
    take_place,
    unfinished_folder,
)


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


def _report(folder, words, names=("report.html", "metrics.json")):
    with replacing_files(folder) as files:
        for name in names:
            (files / name).write_text(words)
        (files / "markdown").mkdir(exist_ok=True)
        (files / "markdown" / f"{words}.svg").write_text(words)


def _says(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


AFTER = {"markdown/after.svg": "after", "metrics.json": "after", "report.html": "after"}


def test_all_files_of_a_report_take_their_place_at_once(tmp_path, monkeypatch):
    places = []
    take_its_place = module.take_place
    monkeypatch.setattr(
        module, "take_place", lambda *it: places.append(it[1]) or take_its_place(*it)
    )
    folder = tmp_path / "evaluation" / "test"
    _report(folder, "before")
    _report(folder, "after")
    assert places == [folder, folder]
    assert _says(folder) == AFTER
    assert os.listdir(folder.parent) == ["test"]


def test_of_a_report_that_fails_nothing_is_seen(tmp_path):
    folder = tmp_path / "test"
    _report(folder, "before")
    before = _says(folder)

    def fails():
        with replacing_files(folder) as files:
            (files / "report.html").write_text("after")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert _says(folder) == before
    assert os.listdir(tmp_path) == ["test"]


@pytest.mark.parametrize("why", ["other files", "where one is", "a link"])
def test_other_files_and_folders_in_use_stay_where_they_are(why, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    other, inode = {}, folder.stat().st_ino
    if why == "other files":
        (folder / "notes").write_text("mine")
        other = {"notes": "mine"}
    elif why == "where one is":
        monkeypatch.chdir(folder)
    named = folder
    if why == "a link":
        named = tmp_path / "link"
        named.symlink_to(folder)
    for words in ("before", "after"):
        _report(named, words)
    assert _says(folder) == AFTER | other
    if why == "a link":
        assert named.is_symlink()
    else:
        assert folder.stat().st_ino == inode
