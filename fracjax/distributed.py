"""Several processes as one program: they meet, agree, speak with one voice, and end together.

All of them run the same script and take the same decisions from the same numbers; the first one
alone prints and writes. A single process needs none of this: every function is then the plain
thing that its name says.
"""

import json
import os
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from fracjax import __version__
from fracjax.errors import UserError
from fracjax.launcher import COORDINATOR, launch, without_its_launcher

START_TIMEOUT = 300
"""Seconds that the processes have to meet: the last host of a large job is slow to come."""
HEARTBEAT_TIMEOUT = 60
"""Seconds without a sign of life after which a process counts as dead, and all others end."""

_NO_END = 7 * 24 * 3600 * 1000
# Milliseconds. Who waits for work that may take hours is freed by the heartbeats, if need be.
_numbers = count()
_temporary: list[tempfile.TemporaryDirectory] = []


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
        "another"
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
        raise UserError(f"the processes cannot meet at {where} ({error}). {advice}") from error
    finally:
        late.cancel()
    _Watch.begin()
    versions = {"Python": sys.version.split()[0], "jax": jax.__version__, "fracjax": __version__}
    check_alike({**versions, "command": " ".join(sys.argv[1:])})


def several() -> bool:
    """Whether there are other processes."""
    return "jax" in sys.modules and _state().client is not None and _state().num_processes > 1


def is_first() -> bool:
    """Whether this process is the one that prints and writes; a single one is."""
    return not several() or _index() == 0


def screen() -> Console:
    """Where to print; nothing comes of it but in the first process."""
    return Console(quiet=not is_first())


def say(text: str) -> None:
    """Print a line, in the first process only."""
    if is_first():
        print(text)


def by_first(work: Callable[[], None], what: str) -> None:
    """Have the first process do something to the disk, while the others wait for it.

    Args:
      work: what to do.
      what: a name for it.
    """
    if is_first():
        work()
    barrier(what)


def barrier(what: str) -> None:
    """Wait until every process is here."""
    if several():
        _client().wait_at_barrier(f"fracjax/{next(_numbers)}/{what}", _NO_END)


def of_each(value: Any) -> list[Any]:
    """What each process has in place of `value`, which JSON must be able to hold."""
    if not several():
        return [value]
    folder = f"fracjax/{next(_numbers)}/"
    _client().key_value_set(f"{folder}{_index():06d}", json.dumps(value))
    _client().wait_at_barrier(f"{folder}set", _NO_END)
    return [json.loads(text) for _, text in sorted(_client().key_value_dir_get(folder))]


def of_first(value: Any) -> Any:
    """What the first process has in place of `value`: what all go by is computed once."""
    return of_each(value)[0]


def check_alike(facts: Mapping[str, str]) -> None:
    """Refuse to go on if the processes are not about the same thing.

    Args:
      facts: by name, what must be the same for all.

    Raises:
      UserError: naming what differs, and between whom.
    """
    each = of_each(dict(facts))
    for process, theirs in enumerate(each):
        differing = [name for name in facts if theirs.get(name) != each[0].get(name)]
        if differing:
            told = "; ".join(_told(n, each[0].get(n, ""), theirs.get(n, "")) for n in differing)
            raise UserError(
                f"processes 0 and {process} of this run differ in {told}. Start the same command "
                "in the same versions everywhere, with a --workdir and datasets that are the same "
                "for all hosts"
            )


def _told(name: str, one: str, other: str) -> str:
    return f"{name} ({one} and {other})" if len(one) + len(other) < 200 else name


def check_shared(folder: Path) -> None:
    """Refuse a folder that the processes do not share.

    Raises:
      UserError: one of them does not see what the first one writes there.
    """
    if not several():
        return
    mark = folder / f".{of_first(uuid.uuid4().hex)}"
    by_first(mark.touch, "mark")
    seen = of_each(mark.exists())
    by_first(mark.unlink, "mark")
    if not all(seen):
        raise UserError(
            f"process {seen.index(False)} does not see what process 0 writes into {folder}: all "
            "hosts must share that folder; name one on a network disk"
        )


def folder_of_first(folder: Path) -> Path:
    """Where this process writes what belongs into `folder`: the first there, the others nowhere.

    That is a temporary folder, which ends with the process.
    """
    if is_first():
        return folder
    _temporary.append(tempfile.TemporaryDirectory(prefix="fracjax-"))
    return Path(_temporary[-1].name)


def finish() -> None:
    """End in good order, together: nobody leaves while another may yet fail."""
    if not several():
        return
    barrier("finished")
    _Watch.stop()
    import jax

    jax.distributed.shutdown()


def fail(code: int, text: str) -> NoReturn:
    """End all processes, of which others may be waiting for this one.

    Args:
      code: exit code of all.
      text: what the first one prints.
    """
    if several():
        _Watch.fail(code, text)
    print(text, file=sys.stderr)
    sys.exit(code)


def _give_up(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)
    os._exit(2)


class _Watch:
    """Looks out for another process's failure, in a thread: the main one may be waiting for it."""

    _thread: threading.Thread | None = None
    _leaving = threading.Lock()

    @classmethod
    def begin(cls) -> None:
        if several():
            cls._thread = threading.Thread(target=cls._watch, daemon=True)
            cls._thread.start()

    @classmethod
    def stop(cls) -> None:
        if cls._thread is not None:
            _client().key_value_set(_mailbox(_index()), "")
            cls._thread.join()

    @classmethod
    def fail(cls, code: int, text: str) -> NoReturn:
        import jax

        letter = json.dumps({"process": _index(), "code": code, "text": text})
        for process in range(_state().num_processes):
            if process != _index():
                try:
                    _client().key_value_set(_mailbox(process), letter)
                except jax.errors.JaxRuntimeError:
                    continue  # it has one already, or process 0, which keeps them, is gone
        cls._leave(code, text)

    @classmethod
    def _watch(cls) -> None:
        import jax

        while True:
            try:
                letter = _client().blocking_key_value_get(_mailbox(_index()), _NO_END)
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
                _client().wait_at_barrier("fracjax/leaving", 1000 * _GOODBYE)
                alone = False
            except jax.errors.JaxRuntimeError:
                alone = True
            if alone or _index() == 0:
                print(text, file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            for folder in _temporary:
                folder.cleanup()
            # Not sys.exit: JAX would wait for the others, and other threads for what never comes.
            os._exit(code)


_GOODBYE = 10  # seconds


def _mailbox(process: int) -> str:
    return f"fracjax/failed/{process}"


def _index() -> int:
    return _state().process_id


def _client() -> Any:
    return _state().client


def _state() -> Any:
    # JAX has no public name for the service by which its processes meet, and asking it for their
    # number would start its devices.
    from jax._src.distributed import global_state

    return global_state
