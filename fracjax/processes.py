"""What the processes of a run say to each other, and which of them speaks for all.

All run the same script and take the same decisions from the same numbers; the first one alone
prints and writes. Of a single process every function is the plain thing that its name says.
"""

import hashlib
import json
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console

from fracjax.errors import UserError

NO_END = 7 * 24 * 3600 * 1000
"""Milliseconds. Who waits for work that may take hours is freed by the heartbeats, if need be."""

_numbers = count()
_temporary: list[tempfile.TemporaryDirectory] = []


def several() -> bool:
    """Whether there are other processes."""
    return "jax" in sys.modules and _state().client is not None and _state().num_processes > 1


def process() -> tuple[int, int]:
    """Which of how many processes this is."""
    return (_state().process_id, _state().num_processes) if several() else (0, 1)


def is_first() -> bool:
    """Whether this process is the one that prints and writes; a single one is."""
    return process()[0] == 0


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
        client().wait_at_barrier(f"fracjax/{next(_numbers)}/{what}", NO_END)


def of_each(value: Any) -> list[Any]:
    """What each process has in place of `value`, which JSON must be able to hold."""
    if not several():
        return [value]
    folder = f"fracjax/{next(_numbers)}/"
    client().key_value_set(f"{folder}{process()[0]:06d}", json.dumps(value))
    client().wait_at_barrier(f"{folder}set", NO_END)
    return [json.loads(text) for _, text in sorted(client().key_value_dir_get(folder))]


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
    each = of_each({name: _short(fact) for name, fact in facts.items()})
    for number, theirs in enumerate(each):
        differing = [name for name in facts if theirs.get(name) != each[0].get(name)]
        if differing:
            told = "; ".join(
                f"{name}: {each[0].get(name)}, {theirs.get(name)}" for name in differing
            )
            raise UserError(
                f"processes 0 and {number} of this run differ in {told}. Start the same command "
                "in the same versions everywhere, with a --workdir and datasets that are the same "
                "for all hosts"
            )


def _short(fact: str) -> str:
    long = len(fact) > 100
    return hashlib.sha256(fact.encode("utf-8", "surrogateescape")).hexdigest() if long else fact


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


def remove_temporary() -> None:
    """Remove what `folder_of_first` made, if Python is not to do so at its end."""
    for folder in _temporary:
        folder.cleanup()


def client() -> Any:
    """The service by which the processes meet: barriers, and values by key."""
    return _state().client


def _state() -> Any:
    # JAX has no public name for it, and asking for the number of processes would start its devices.
    from jax._src.distributed import global_state

    return global_state
