"""What a command's process is given at its start, and how it answers its user at its end."""

import io
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from fracjax.errors import InputError
from fracjax.runtime import compilation_cache
from fracjax.runtime.disk_space import DiskFull, described, is_full
from fracjax.runtime.huge_pages import start_in_huge_pages
from fracjax.runtime.multihost import (
    fail,
    finish,
    is_main,
    is_multihost,
    process_index_count,
)
from fracjax.runtime.termination import Ended
from fracjax.runtime.user_cache import VARIABLE


def set_up() -> None:
    """Huge pages, for which the process may start again; what is printed and kept meanwhile."""
    start_in_huge_pages()
    keep_on_after_closed_pipe()
    compilation_cache.enable()


def keep_caches_in(folder: Path | None) -> None:
    """Have this process, and those that it starts, keep what can be made again there."""
    if folder is not None:
        os.environ[VARIABLE] = str(folder.absolute())


class _Pipe(io.FileIO):
    """A file descriptor that takes everything, also when nobody reads it any more."""

    def write(self, data: Any) -> int | None:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def keep_on_after_closed_pipe() -> None:
    """Let the work go on when who reads its screen leaves, as `| head` does: files are its results.

    A name that the screen cannot show is no reason to end, either.
    """
    for name in ("stdout", "stderr"):
        old = getattr(sys, name)
        try:
            old.flush()
            raw = _Pipe(old.fileno(), "w", closefd=False)
        except (AttributeError, OSError, ValueError):  # closed from the start, or no file
            continue
        new = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=old.encoding,
            errors="backslashreplace",
            line_buffering=old.line_buffering,
        )
        setattr(sys, name, new)


@contextmanager
def _hearing_sigterm() -> Iterator[None]:
    def end(*_: Any) -> NoReturn:
        signal.signal(
            signal.SIGTERM, signal.SIG_IGN
        )  # sent again, it would disturb the clearing up
        raise Ended

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_code(command: Callable[[], int | None]) -> int:
    """Run a command, which returns its exit code, or None for 0; a bad input is one message and 2.

    In several processes an error ends them all, and this does not return.
    """
    _quieten_orbax()
    try:
        with _hearing_sigterm():
            code = command() or 0
    except (InputError, OSError) as error:  # OSError: a full disk, a folder that may not be written
        # Without a number it is not the system's, of a disk.
        if isinstance(error, TimeoutError) and error.errno is None and is_multihost():
            return fail(1, _late(error))
        if is_full(error) and not isinstance(error, DiskFull):
            return fail(2, _full(error))
        return fail(2, f"error: {error}")
    except KeyboardInterrupt as stop:
        asked = next((e for e in (stop, stop.__cause__) if isinstance(e, Ended)), None)
        number = asked.number if asked else signal.SIGINT
        said = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
        text, code = str(stop) or f"{said}; what was finished is kept", 128 + number
        if asked and asked.together and is_multihost():
            if is_main():
                print(text, file=sys.stderr)
            finish()
            return code
        return fail(code, text)
    except SystemExit as end:  # of a parser: its help page, or a flag that is none
        code = end.code if isinstance(end.code, int) else 0
    except Exception as error:
        if is_full(error):
            return fail(2, _full(error))
        if not is_multihost():
            raise
        # The others wait for this process, and would do so for ever.
        return fail(
            1,
            f"{traceback.format_exc()}\nIf another process was killed, this is the lost connection "
            "to it: start all of them again, and training goes on from the last checkpoint.",
        )
    finish()
    return code


def run_program(main: Callable[[], int | None]) -> NoReturn:
    """`set_up`, then `exit_code` of a program that is no command, as a benchmark is."""
    set_up()
    sys.exit(exit_code(main))


def _quieten_orbax() -> None:
    """It warns of files that it does not need, and of saves that overlap.

    Of a full disk it logs a traceback for each array, and raises it besides.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _say_unraisable


def _say_unraisable(unraisable: Any, said: Callable[[Any], None] = sys.unraisablehook) -> None:
    error = unraisable.exc_value
    if not is_full(error) and "Event loop is closed" not in str(error):
        said(unraisable)


def _full(error: BaseException) -> str:
    """What to say of a disk that is full where no writer has named it."""
    name = getattr(error, "filename", None)
    path = Path(os.fsdecode(name)) if name else Path(tempfile.gettempdir())
    said = " ".join(str(error).split())[:300]
    return (
        f"error: {described(path)} ({said}); make room there and start the same command again"
        if name
        else f"error: a disk, or a quota on it, is full ({said}): that of the results, of "
        f"--cache-dir or of {path}; make room there and start the same command again"
    )


def _late(error: TimeoutError) -> str:
    """What to say when this process waited for others without end, as in saving a checkpoint."""
    index, count = process_index_count()
    # JAX names some that it missed, a line each, in what lies behind the error.
    message = str(error.__cause__).partition("timed out task names:")[2]
    missed = [int(number) for number in re.findall(r"^(\d+)$", message, re.MULTILINE)]
    others = missed or [number for number in range(count) if number != index]
    named = ", ".join(map(str, others[:8])) + (", ..." if len(others) > 8 else "")
    return (
        f"error: process {index} of {count} gave up waiting for process {named} ({error}). Look at "
        "what that one wrote last, and whether its host and its disk answer; then start all of "
        "them again, and training goes on from the last checkpoint"
    )
