"""Work that may hang, crash or fill the memory, done in a process of its own, within limits."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from fracjax.errors import InputError

_WALL = 10  # times the processor seconds, for a machine that is busy with others
_MEMORY = 16 * 2**30  # bytes of address space


def in_own_process(script: Path, argument: Path, seconds: float) -> bytes:
    """What `python script argument` writes to its standard output.

    Raises:
      InputError: it took more than these seconds of a processor, crashed, or ended with an error.
    """
    command = [sys.executable, str(script), str(argument)]
    # Modules are found as here, whatever put them on the path.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    own = environment | {"FRACJAX_SECONDS": str(int(seconds) + 1)}
    try:
        done = subprocess.run(command, env=own, capture_output=True, timeout=_WALL * seconds)
    except subprocess.TimeoutExpired:
        raise InputError(f"reading it took more than {_WALL * seconds:.0f} s") from None
    if done.returncode < 0:
        raise InputError(
            f"reading it took more than {seconds:.0f} s of a processor, or crashed "
            f"(signal {-done.returncode})"
        )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InputError(last or f"it ended with code {done.returncode}")
    return done.stdout


def limit_own_process() -> None:
    """Keep to the limits of `in_own_process`, where the system has any; first thing in a script."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        seconds = int(os.environ["FRACJAX_SECONDS"])
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
