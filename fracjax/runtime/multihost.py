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

from fracjax.errors import InputError

NO_END = 7 * 24 * 3600 * 1000
"""Milliseconds. Who waits for work that may take hours is freed by the heartbeats, if need be."""

_numbers = count()
_temporary: list[tempfile.TemporaryDirectory] = []


def is_multihost() -> bool:
    """Whether there are other processes."""
    return "jax" in sys.modules and _state().client is not None and _state().num_processes > 1


def process_index_count() -> tuple[int, int]:
    """Which of how many processes this is."""
    return (_state().process_id, _state().num_processes) if is_multihost() else (0, 1)


def is_main() -> bool:
    """Whether this process is the one that prints and writes; a single one is."""
    return process_index_count()[0] == 0


def main_console() -> Console:
    """Where to print; nothing comes of it but in the first process."""
    return Console(quiet=not is_main())


def print_main(text: str) -> None:
    """Print a line, in the first process only."""
    if is_main():
        print(text)


def run_on_main(work: Callable[[], None], what: str) -> None:
    """Have the first process do something to the disk, while the others wait for it.

    Args:
      work: what to do.
      what: a name for it.
    """
    if is_main():
        work()
    barrier(what)


def barrier(what: str) -> None:
    """Wait until every process is here."""
    if is_multihost():
        client().wait_at_barrier(f"fracjax/{next(_numbers)}/{what}", NO_END)


def allgather(value: Any) -> list[Any]:
    """What each process has in place of `value`, which JSON must be able to hold."""
    if not is_multihost():
        return [value]
    folder = f"fracjax/{next(_numbers)}/"
    client().key_value_set(f"{folder}{process_index_count()[0]:06d}", json.dumps(value))
    client().wait_at_barrier(f"{folder}set", NO_END)
    return [json.loads(text) for _, text in sorted(client().key_value_dir_get(folder))]


def broadcast(value: Any) -> Any:
    """What the first process has in place of `value`: what all go by is computed once."""
    return allgather(value)[0]


def check_same_on_all_hosts(facts: Mapping[str, str]) -> None:
    """Refuse to go on if the processes are not about the same thing.

    Args:
      facts: by name, what must be the same for all.

    Raises:
      UserError: naming what differs, and between whom.
    """
    each = allgather({name: _short(fact) for name, fact in facts.items()})
    for number, theirs in enumerate(each):
        differing = [name for name in facts if theirs.get(name) != each[0].get(name)]
        if differing:
            told = "; ".join(
                f"{name}: {each[0].get(name)}, {theirs.get(name)}" for name in differing
            )
            raise InputError(
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
    if not is_multihost():
        return
    mark = folder / f".{broadcast(uuid.uuid4().hex)}"
    run_on_main(mark.touch, "mark")
    seen = allgather(mark.exists())
    run_on_main(mark.unlink, "mark")
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
