"""How a script answers its user: a bad input is one message and exit code 2, not a traceback."""

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from fracjax.errors import InputError
from fracjax.runtime import compilation_cache
from fracjax.runtime.huge_pages import start_in_huge_pages
from fracjax.runtime.multihost import is_multihost, process_index_count
from fracjax.runtime.multihost_init import fail, finish

_LOST = (
    "If another process was killed, this is what is left of the talk with it: start all of them "
    "again, and training goes on from the last checkpoint."
)


@contextmanager
def door() -> Iterator[None]:
    """Run a script's body; a `InputError` or `OSError` ends it with its message and code 2.

    Of several processes the others end with it. What JAX compiles is kept for the next run.
    """
    start_in_huge_pages()
    compilation_cache.enable()
    # Orbax warns of files that it does not need, and of saves that overlap.
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        yield
    except (InputError, OSError) as error:  # OSError: a full disk, a folder that may not be written
        # Without a number it is not the system's, of a disk.
        if isinstance(error, TimeoutError) and error.errno is None and is_multihost():
            fail(1, _late(error))
        fail(2, f"error: {error}")
    except KeyboardInterrupt as stop:
        fail(130, str(stop) or "interrupted; what was finished is kept")
    except SystemExit:  # of a script that has nothing more to say
        finish()
        raise
    except Exception:
        if not is_multihost():
            raise
        # The others wait for this process, and would do so for ever.
        fail(1, f"{traceback.format_exc()}\n{_LOST}")
    finish()


def _late(error: TimeoutError) -> str:
    """What to say when this process waited for others in vain, as in saving a checkpoint."""
    ours, count = process_index_count()
    # JAX names some that it missed, a line each, in what lies behind the error.
    told = str(error.__cause__).partition("timed out task names:")[2]
    missed = [int(number) for number in re.findall(r"^(\d+)$", told, re.MULTILINE)]
    others = missed or [number for number in range(count) if number != ours]
    named = ", ".join(map(str, others[:8])) + (", ..." if len(others) > 8 else "")
    return (
        f"error: process {ours} of {count} waited in vain for process {named} ({error}). Look at "
        "what that one wrote last, and whether its host and its disk answer; then start all of "
        "them again, and training goes on from the last checkpoint"
    )
