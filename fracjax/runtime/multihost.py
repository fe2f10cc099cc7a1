"""Several processes as one program: how they meet, what they tell each other, how they end.

All run the same command and take the same decisions from the same numbers; the first one alone
prints and writes. Of a single process every function is the plain thing that its name says. What
they send each other goes over the devices (`jax.experimental.multihost_utils`).
"""

import hashlib
import json
import os
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fracjax import __version__
from fracjax.errors import InputError
from fracjax.runtime.launcher import COORDINATOR, launched, without_its_launcher

START_TIMEOUT = 300  # seconds: the last host of a large job is slow to come
HEARTBEAT_TIMEOUT = 60  # seconds without a sign of life after which all other processes end

_temporary: list[tempfile.TemporaryDirectory] = []


def start(environment: Mapping[str, str] = os.environ, *, timeout: int = START_TIMEOUT) -> None:
    """Meet the other processes, if the environment says that there are any, within `timeout` s.

    To be called before JAX looks for its devices. That the others do not come is an `InputError`.
    """
    arguments = launched(environment)
    if arguments is None:
        if note := without_its_launcher(environment):
            print(f"note: {note}", file=sys.stderr)
        return
    import jax

    # JAX's own answer to SIGTERM is to go on until somebody asks for it.
    jax.config.update("jax_enable_preemption_service", False)
    where = arguments.get("coordinator_address", "the address that the launcher gives")
    advice = (
        "Start the same command on every host, open that port between them, and see that no "
        f"process of an earlier run is left; {COORDINATOR}, set to HOST:PORT of process 0, names "
        "another. JAX_NUM_PROCESSES=1 is for a process that is alone"
    )
    # When it waits too long, JAX ends the process with a stack trace, and nothing can catch that.
    missed = f"not all processes came to {where} within {timeout} s. {advice}"
    late = threading.Timer(timeout, _give_up, [missed])
    late.start()
    try:
        jax.distributed.initialize(
            **arguments,
            initialization_timeout=2 * timeout,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"the processes cannot meet at {where} ({error}). {advice}") from error
    finally:
        late.cancel()
    versions = {"Python": sys.version.split()[0], "jax": jax.__version__, "fracjax": __version__}
    check_same_on_all_hosts({**versions, "command": " ".join(sys.argv[1:])})


def _give_up(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)
    os._exit(2)


def finish() -> None:
    """End in good order, together: nobody leaves while another may yet fail."""
    if is_multihost():
        import jax

        barrier("finished")
        jax.distributed.shutdown()


def fail(code: int, text: str) -> int:
    """Print why and end this process with an exit code; a single process returns it."""
    index, count = process_index_count()
    print(text if count == 1 else f"{text} (process {index})", file=sys.stderr)
    if count > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        for folder in _temporary:
            folder.cleanup()
        # Not sys.exit: JAX would wait for the others, and other threads for what never comes.
        os._exit(code)
    return code


def is_multihost() -> bool:
    """Whether there are other processes."""
    return process_index_count()[1] > 1


def process_index_count() -> tuple[int, int]:
    """Which of how many processes this is."""
    jax = sys.modules.get("jax")
    # Before they have met, to ask JAX would start its devices.
    if jax is None or not jax.distributed.is_initialized():
        return 0, 1
    return jax.process_index(), jax.process_count()


def is_main() -> bool:
    """Whether this process is the one that prints and writes; a single one is."""
    return process_index_count()[0] == 0


def main_console() -> Console:
    """Where to print, names as they are; nothing comes of it but in the first process."""
    return Console(quiet=not is_main(), markup=False, emoji=False)


def print_main(text: str) -> None:
    """Print a line, in the first process only."""
    if is_main():
        print(text)


def run_on_main(work: Callable[[], None], what: str) -> None:
    """Have the first process do something to the disk, named `what`, while the others wait."""
    if is_main():
        work()
    barrier(what)


def barrier(what: str) -> None:
    """Wait until every process is here, for hours if need be."""
    if is_multihost():
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(what)


def stop_together(number: int, moment: int) -> int:
    """The signal by which all processes stop at this moment of their common work; 0 for none.

    `number` is of the signal that this one has had, if any. Moments are numbered alike by all, and
    who is at one may not be two behind another: so the second after the news is a moment at which
    all have it.
    """
    from jax._src import distributed  # its key-value store is not public

    key, client = "fracjax/stop", distributed.global_state.client
    assert client is not None, "asked of several processes"
    if number:
        with suppress(RuntimeError):  # another one was asked to, and was faster
            client.key_value_set(key, f"{moment + 2} {number}")
    try:
        when, asked = map(int, client.key_value_try_get(key).split())
    except RuntimeError:  # nobody was asked to
        return 0
    return asked if moment >= when else 0


def allgather(value: Any) -> list[Any]:
    """What each process has in place of `value`, which JSON must be able to hold."""
    if not is_multihost():
        return [value]
    from jax.experimental.multihost_utils import process_allgather

    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = process_allgather(np.array(len(text)))
    texts = process_allgather(np.pad(text, (0, sizes.max() - len(text))))
    return [json.loads(row[:size].tobytes()) for row, size in zip(texts, sizes, strict=True)]


def broadcast(value: Any) -> Any:
    """What the first process has in place of `value`."""
    return allgather(value)[0]


def check_same_on_all_hosts(facts: Mapping[str, str]) -> None:
    """Refuse to go on if the processes differ in facts, by their names."""

    def short(fact: str) -> str:
        long = len(fact) > 100
        return hashlib.sha256(fact.encode("utf-8", "surrogateescape")).hexdigest() if long else fact

    first, *others = allgather({name: short(fact) for name, fact in facts.items()})
    for index, theirs in enumerate(others, 1):
        pairs = [f"{k}: {v}, {theirs.get(k)}" for k, v in first.items() if theirs.get(k) != v]
        if pairs:
            raise InputError(
                f"processes 0 and {index} of this run differ in {'; '.join(pairs)}. Start the same "
                "command in the same versions everywhere, with a workdir and datasets that are the "
                "same for all hosts"
            )


def check_shared(folder: Path) -> None:
    """Refuse a folder in which a process does not see what the first one writes."""
    if not is_multihost():
        return
    mark = folder / f".{broadcast(uuid.uuid4().hex)}"
    run_on_main(mark.touch, "mark")
    seen = allgather(mark.exists())
    run_on_main(mark.unlink, "unmark")
    if not all(seen):
        raise InputError(
            f"process {seen.index(False)} does not see what process 0 writes into {folder}: all "
            "hosts must share that folder; name one on a network disk"
        )


def folder_of_first(folder: Path) -> Path:
    """Where this process writes what belongs into `folder`: the first there, the others nowhere.

    That is a temporary folder, which ends with the process.
    """
    if is_main():
        return folder
    _temporary.append(tempfile.TemporaryDirectory(prefix="fracjax-"))
    return Path(_temporary[-1].name)
