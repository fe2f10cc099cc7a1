"""Work that may hang, crash or fill the memory, done in a process of its own, within limits."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from fracjax.errors import InputError

_CLOCK = 2  # times the processor seconds by the clock, for a machine that is busy with others
_START = 60  # seconds in which it must have started, where many others do
_MEMORY = 16 * 2**30  # bytes of address space


def in_own_process(script: Path, argument: Path, seconds: float) -> bytes:
    """What `python script argument` writes to its standard output.

    Raises:
      InputError: it took more than these seconds of a processor, or twice as many by the clock,
        crashed, or ended with an error.
    """
    command = [sys.executable, str(script), str(argument)]
    # Modules are found as here, whatever put them on the path.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    own = environment | {"FRACJAX_SECONDS": str(seconds)}
    late = InputError(f"reading it took more than {_CLOCK * seconds:.0f} s")
    try:
        most = _START + _CLOCK * seconds
        done = subprocess.run(command, env=own, capture_output=True, timeout=most)
    except subprocess.TimeoutExpired:
        raise late from None
    if done.returncode == -signal.SIGALRM:
        raise late
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
    """Keep to the limits of `in_own_process`, where the system has any; before a script's work."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        seconds = float(os.environ["FRACJAX_SECONDS"])
        signal.setitimer(signal.ITIMER_REAL, _CLOCK * seconds)  # ends it, also within C
        used = int(time.process_time() + seconds) + 1  # what was imported does not count
        resource.setrlimit(resource.RLIMIT_CPU, (used, used))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
