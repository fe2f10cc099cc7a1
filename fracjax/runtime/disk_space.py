"""Disks that are full, and quotas that are used up: seen before a run where they can be, and named.

Libraries say it in their own ways: `OSError`, Orbax a ValueError, ArrayRecord a RuntimeError.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fracjax.errors import InputError

_ERRNO = (errno.ENOSPC, errno.EDQUOT)
_SAID = ("No space left on device", "Disk quota exceeded")


class DiskFull(InputError):
    """A disk is full, or will be: the path, the need and the way out."""


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk is what an error is about, or what it was raised from."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return any(map(is_full, error.exceptions))
        if isinstance(error, OSError) and error.errno in _ERRNO:
            return True
        if any(said in str(error) for said in _SAID):
            return True
        error = error.__cause__ or error.__context__
    return False


def described(path: Path, need: int = 0) -> str:
    """What a disk that is full says for itself: of which path, what is free there and is needed."""
    needs = f"; {gigabytes(need)} are needed" if need else ""
    return f"{path} cannot be written: its disk, or a quota on it, is full ({_free(path)}{needs})"


@contextmanager
def naming_full_disk(path: Path, way_out: str, need: int = 0) -> Iterator[None]:
    """A block that writes to `path`, of `need` bytes: `DiskFull`, with the way out, where it is."""
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or not is_full(error):
            raise
        raise DiskFull(f"{described(path, need)}; {way_out}") from error


def check_room(path: Path, need: int, what: str, way_out: str) -> None:
    """Refuse `what`, before it is begun, where its `need` of bytes is not free at `path`."""
    free = _bytes_free(path)
    if free is not None and need > free:
        raise DiskFull(
            f"{what} needs {gigabytes(need)} in {path}, whose disk has {gigabytes(free)} free; "
            f"{way_out}"
        )


def gigabytes(size: int) -> str:
    """`1.23 GB`, or in MB where that is less than a tenth of one."""
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _free(path: Path) -> str:
    free = _bytes_free(path)
    return "free space unknown" if free is None else f"{gigabytes(free)} free"


def _bytes_free(path: Path) -> int | None:
    """Of the disk on which a path lies, or will; None where the system does not say."""
    for place in (path.absolute(), *path.absolute().parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            try:
                return shutil.disk_usage(place).free
            except PermissionError:
                return None
    return None
