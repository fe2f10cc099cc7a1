"""A full disk: how libraries say it, and how it is said to the user."""

import errno

import pytest

from fracjax.cli.process import exit_code
from fracjax.errors import InputError
from fracjax.runtime import disk_space
from fracjax.runtime.atomic_files import replacing, write_json
from fracjax.runtime.disk_space import DiskFull, check_room, is_full, naming_full_disk

FULL = OSError(errno.ENOSPC, "No space left on device")


def _behind(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (FULL, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        # As Orbax and ArrayRecord have it, in words.
        (
            ValueError("RESOURCE_EXHAUSTED: Error writing: [OS error 28: No space left on device]"),
            True,
        ),
        (RuntimeError("Failed to write: Disk quota exceeded; when closing"), True),
        (_behind(RuntimeError("cannot save"), FULL), True),
        (ExceptionGroup("two", [ValueError("one"), FULL]), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("RESOURCE_EXHAUSTED: Out of memory"), False),
    ],
)
def test_a_full_disk_is_known_by_its_number_or_its_words(error, full):
    assert is_full(error) == full


def test_it_is_named_with_what_is_needed_and_free_and_the_way_out(tmp_path):
    said = rf"{tmp_path}/it cannot be written: its disk, or a quota on it, is full \([\d.]+ "
    with (
        pytest.raises(DiskFull, match=said + r"[GM]B free; 1.50 GB are needed\); go elsewhere$"),
        naming_full_disk(tmp_path / "it", "go elsewhere", 1_500_000_000),
    ):
        raise ValueError("No space left on device")


def test_what_is_no_full_disk_is_left_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), naming_full_disk(tmp_path, ""):
        raise ZeroDivisionError


def test_what_does_not_fit_is_refused_before_it_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space, "_bytes_free", lambda _: 1000)
    check_room(tmp_path, 1000, "training", "")
    with pytest.raises(
        InputError, match=rf"^training needs 0.25 GB in {tmp_path}, whose disk has 0.0 MB free; go$"
    ):
        check_room(tmp_path, 250_000_000, "training", "go")


def test_free_space_is_that_of_the_nearest_folder_that_is_there(tmp_path):
    assert disk_space._bytes_free(tmp_path / "not" / "yet")
    (tmp_path / "file").touch()
    assert disk_space._bytes_free(tmp_path / "file" / "no folder")


def test_a_file_that_finds_no_room_is_named_and_the_former_one_stays(tmp_path):
    path = tmp_path / "it.json"
    write_json(path, {"a": 1})

    def writes():
        with replacing(path) as unfinished:
            unfinished.write_text("half")
            raise FULL

    with pytest.raises(DiskFull, match=f"{path} cannot be written"):
        writes()
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [FULL, RuntimeError("Close: No space left on device")])
def test_what_no_writer_has_named_is_one_line_too(error, capsys):
    def command():
        raise error

    assert exit_code(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a disk, or a quota on it, is full (")
    assert "make room there and start the same command again" in line


def test_a_file_that_the_system_names_is_named(tmp_path, capsys):
    def command():
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "it"))

    assert exit_code(command) == 2
    assert f"error: {tmp_path}/it cannot be written: its disk" in capsys.readouterr().err
