"""Files that are locked: what lies in their place is neither followed nor emptied.

Whoever may write into a folder can put a link there, and a lock that is opened as files are opened
to be written would empty what it leads to.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fracjax.errors import InputError


@contextmanager
def open_lock(path: Path) -> Iterator[int]:
    """Open the file of a lock, made if there is none: its descriptor.

    Raises:
      InputError: a link, or no plain file, lies there.
      OSError: it cannot be opened.
    """
    if path.is_symlink():
        leads = f"is a link to {os.readlink(path)}"
        raise InputError(f"{path} {leads}, expected the file of a lock; delete the link")
    # Between that look and this call nothing is followed either.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path, flags, 0o666)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            what = "has several names (hard links)" if stat.S_ISREG(found.st_mode) else "is no file"
            raise InputError(f"{path} {what}, expected the file of a lock; delete it")
        yield file
    finally:
        os.close(file)


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold a lock, after whoever holds it; where the file system has no locks, nothing is held."""
    with open_lock(path) as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
