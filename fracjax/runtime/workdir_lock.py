"""One run at a time trains into a workdir.

A launcher that is not known starts several copies of a command, each of which takes itself for
alone, and they would overwrite each other's checkpoints.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from fracjax.errors import InputError
from fracjax.runtime.file_lock import open_lock
from fracjax.runtime.multihost import broadcast, is_main

LOCK = ".lock"


@contextmanager
def only_writer(
    workdir: Path, *, does: str = "trains into", instead: str = "name another workdir"
) -> Iterator[None]:
    """Hold a workdir, of several processes the first for all; the system frees it with its end.

    What another run holds is refused, with what that one `does` there and what to do `instead`. On
    a file system that has no locks nothing is held, and nothing refused.
    """
    with open_lock(workdir / LOCK) if is_main() else nullcontext(-1) as file:
        holder = broadcast(_holder(file) if is_main() else None)
        if holder is not None:
            raise InputError(
                f"{holder} {does} {workdir}; wait for its end, end it, or {instead}. If its host "
                f"is gone, delete {workdir / LOCK}. If one launcher started "
                "both, it is none that is known here: set JAX_COORDINATOR_ADDRESS, "
                "JAX_NUM_PROCESSES and JAX_PROCESS_ID (docs/scaling.md), and they train together"
            )
        yield


def _holder(file: int, *, said: bool = True) -> str | None:
    """Who has the lock already, in words, as `said` in it; None if it is now this process's."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        written = os.pread(file, 200, 0) if said else b""
        return written.decode(errors="replace") or "another process"
    except OSError:
        return None
    if said:
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} of {socket.gethostname()}".encode())
    return None


@contextmanager
def only_user(folder: Path, *, does: str, instead: str) -> Iterator[None]:
    """Hold a folder, of several processes the first for all, without a file in it.

    Raises:
      InputError: another run does `does` there; what to do `instead`.
    """
    with ExitStack() as stack:
        taken = False
        if is_main():
            file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, file)
            taken = _holder(file, said=False) is not None
        if broadcast("yes" if taken else None):
            raise InputError(f"another process {does} {folder}; wait for its end, or {instead}")
        yield
