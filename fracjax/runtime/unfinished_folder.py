"""A folder that is made beside its destination, and takes its place in one step.

Whatever kills a process leaves the destination as it was or as it is to be; what is left beside it
is removed by the next process that makes one of that name.
"""

import ctypes
import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fracjax.errors import InputError
from fracjax.runtime.disk_space import naming_full_disk
from fracjax.runtime.file_lock import open_lock

_PREFIX, _LOCK, _REPLACED = ".unfinished-{}-", ".held", "replaced"
_BEGINNING = 60  # seconds within which a folder has its lock
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


@contextmanager
def unfinished_folder(destination: Path) -> Iterator[Path]:
    """A folder beside `destination`, removed at the end; held meanwhile.

    A leading dot, and on the same disk: a rename must not become a copy.
    """
    prefix = _PREFIX.format(destination.name)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=destination.parent) as folder,
        open_lock(Path(folder) / _LOCK) as lock,
    ):
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Path(folder)


@contextmanager
def replacing_files(destination: Path) -> Iterator[Path]:
    """Where to write the files of a report; on an error nothing comes of them.

    At the end all of them take the place of those of a former report in one step. Where there are
    other files in `destination`, too, or it cannot be moved, they do so one after the other, each
    of them whole.
    """
    destination = Path(os.path.realpath(destination))
    parent = destination.parent
    parent.mkdir(parents=True, exist_ok=True)
    movable = os.access(parent, os.W_OK) and not destination.is_mount()
    movable = movable and not Path.cwd().is_relative_to(destination)
    if not movable:
        destination.mkdir(exist_ok=True)
    beside = destination if movable else destination / destination.name
    clear_up(beside)
    again = "make room there and start it again"
    with naming_full_disk(destination, again), unfinished_folder(beside) as scratch:
        made = scratch / "made"
        made.mkdir()
        yield made
        there = {entry.name for entry in os.scandir(destination)} if destination.exists() else set()
        if movable and there <= set(os.listdir(made)):
            take_place(made, destination, scratch)
            return
        for entry in made.iterdir():
            if entry.is_dir():
                take_place(entry, destination / entry.name, scratch)
            else:
                entry.replace(destination / entry.name)


def clear_up(destination: Path) -> None:
    """Remove what killed processes left beside it, and put back what one was about to replace."""
    for left in destination.parent.glob(_PREFIX.format(glob.escape(destination.name)) + "*"):
        _remove(left, destination)


def take_place(made: Path, destination: Path, unfinished: Path) -> None:
    """Put a folder made in `unfinished` in the place of what is at `destination`, if anything is.

    Where the system cannot exchange the two in one step, a process that is killed between two
    steps leaves the former one where the next preparation finds it and puts it back.
    """
    if destination.exists() and not _exchange(made, destination):
        destination.rename(unfinished / _REPLACED)
    if made.exists() and not destination.exists():
        made.rename(destination)


def _exchange(one: Path, other: Path) -> bool:
    with suppress(AttributeError, OSError):  # no Linux, or an old one
        call = ctypes.CDLL(None, use_errno=True).renameat2
        paths = (os.fsencode(one), os.fsencode(other))
        return call(_HERE, paths[0], _HERE, paths[1], _EXCHANGE) == 0
    return False


def _remove(left: Path, destination: Path) -> None:
    with suppress(OSError, InputError):
        begun = time.time() - left.stat().st_mtime < _BEGINNING
        if begun and not (left / _LOCK).exists():
            return
        with open_lock(left / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError: a living process holds it
            if not destination.exists() and (left / _REPLACED).is_dir():
                (left / _REPLACED).rename(destination)
            shutil.rmtree(left, ignore_errors=True)
