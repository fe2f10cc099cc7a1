"""Several processes as one program: how they meet, and how they end together."""

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import NoReturn

from fracjax import __version__
from fracjax.errors import InputError
from fracjax.runtime.launcher import COORDINATOR, launch, without_its_launcher
from fracjax.runtime.multihost import (
    NO_END,
    barrier,
    check_same_on_all_hosts,
    client,
    is_multihost,
    process_index_count,
    remove_temporary,
)

START_TIMEOUT = 300
"""Seconds that the processes have to meet: the last host of a large job is slow to come."""
HEARTBEAT_TIMEOUT = 60
"""Seconds without a sign of life after which a process counts as dead, and all others end."""
_GOODBYE = 10  # seconds


def start(environment: Mapping[str, str] = os.environ, *, timeout: int = START_TIMEOUT) -> None:
    """Meet the other processes, if the environment says that there are any.

    To be called before JAX looks for its devices.

    Args:
      environment: variables, as the launcher set them.
      timeout: seconds that the processes have to meet.

    Raises:
      UserError: half of what is needed is set, or the others do not come.
    """
    found = launch(environment)
    if found is None:
        if note := without_its_launcher(environment):
            print(f"note: {note}", file=sys.stderr)
        return
    import jax

    # JAX's own answer to SIGTERM is to go on until somebody asks for it.
    jax.config.update("jax_enable_preemption_service", False)
    where = found.coordinator or f"the address that the {found.by} gives"
    advice = (
        "Start the same command on every host, open that port between them, and see that no "
        f"process of an earlier run is left; {COORDINATOR}, set to HOST:PORT of process 0, names "
        "another. JAX_NUM_PROCESSES=1 is for a process that is alone"
    )
    # When it waits in vain, JAX ends the process with a stack trace, and nothing can catch that.
    late = threading.Timer(
        timeout, _give_up, [f"not all processes came to {where} within {timeout} s. {advice}"]
    )
    late.start()
    try:
        jax.distributed.initialize(
            found.coordinator,
            found.processes,
            found.process,
            None if found.devices is None else list(found.devices),
            cluster_detection_method="deactivate" if found.coordinator else None,
            initialization_timeout=2 * timeout,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"the processes cannot meet at {where} ({error}). {advice}") from error
    finally:
        late.cancel()
    _Watch.begin()
    versions = {"Python": sys.version.split()[0], "jax": jax.__version__, "fracjax": __version__}
    check_same_on_all_hosts({**versions, "command": " ".join(sys.argv[1:])})


def finish() -> None:
    """End in good order, together: nobody leaves while another may yet fail."""
    if not is_multihost():
        return
    barrier("finished")
    _Watch.stop()
    import jax

    jax.distributed.shutdown()


def fail(code: int, text: str) -> int:
    """End all processes, of which others may be waiting for this one.

    Args:
      code: exit code of all.
      text: what the first one prints.

    Returns:
      The exit code, of a single process.
    """
    if is_multihost():
        _Watch.fail(code, text)
    print(text, file=sys.stderr)
    return code


def _give_up(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)
    os._exit(2)


class _Watch:
    """Looks out for another process's failure, in a thread: the main one may be waiting for it."""

    _thread: threading.Thread | None = None
    _leaving = threading.Lock()

    @classmethod
    def begin(cls) -> None:
        if is_multihost():
            cls._thread = threading.Thread(target=cls._watch, daemon=True)
            cls._thread.start()

    @classmethod
    def stop(cls) -> None:
        if cls._thread is not None:
            client().key_value_set(_mailbox(process_index_count()[0]), "")
            cls._thread.join()

    @classmethod
    def fail(cls, code: int, text: str) -> NoReturn:
        import jax

        letter = json.dumps({"process": process_index_count()[0], "code": code, "text": text})
        ours, processes = process_index_count()
        for other in set(range(processes)) - {ours}:
            try:
                client().key_value_set(_mailbox(other), letter)
            except jax.errors.JaxRuntimeError:
                continue  # it has one already, or process 0, which keeps them, is gone
        cls._leave(code, text)

    @classmethod
    def _watch(cls) -> None:
        import jax

        while True:
            try:
                letter = client().blocking_key_value_get(_mailbox(process_index_count()[0]), NO_END)
            except jax.errors.JaxRuntimeError:
                return  # process 0 is gone; JAX ends this one
            if not letter:
                return
            told = json.loads(letter)
            cls._leave(told["code"], f"{told['text']} (process {told['process']})")

    @classmethod
    def _leave(cls, code: int, text: str) -> NoReturn:
        import jax

        with cls._leaving:  # for good: whoever comes second waits for the end
            try:
                # Process 0 keeps the letters: it must not leave before they are read.
                client().wait_at_barrier("fracjax/leaving", 1000 * _GOODBYE)
                alone = False
            except jax.errors.JaxRuntimeError:
                alone = True
            first = process_index_count()[0] == 0
            if alone or first:
                print(text, file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            remove_temporary()
            if first and not alone:
                # With this process goes the service from which the others hear of the barrier.
                time.sleep(1)
            # Not sys.exit: JAX would wait for the others, and other threads for what never comes.
            os._exit(code)


def _mailbox(process: int) -> str:
    return f"fracjax/failed/{process}"
