"""What whole runs leave on the disk, and how they are cut short."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

from fracjax.config import Config
from fracjax.training import loop
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints, newest
from fracjax.training.loop import fit_members
from fracjax.training.progress import Profile


def fit(config: Config, console: Console) -> CheckpointMetadata:
    """Train the one network of a config."""
    (meta,) = fit_members(config, console)
    return meta


class Killed(Exception):
    """Stands for the end of a process."""


@contextmanager
def cut_short(when: Callable[[CheckpointMetadata], bool], *, after: bool = True) -> Iterator[None]:
    """A block in which a run ends at the first save of its last state that `when` names.

    Args:
      when: asked of what the checkpoint will say.
      after: end when the save is under way, not before it.
    """
    save = Checkpoints.save_last

    def dies(self: Checkpoints, state: Any, meta: CheckpointMetadata) -> None:
        if after or not when(meta):
            save(self, state, meta)
        if when(meta):
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save_last", dies)
        with pytest.raises(Killed):
            yield


def saved(workdir: Path, which: str = "last") -> dict[str, Any]:
    """The arrays of a checkpoint, as they lie on the disk."""
    folder = newest(workdir, which)
    assert folder is not None
    with ocp.StandardCheckpointer() as checkpointer:
        described = checkpointer.metadata(folder / "state").item_metadata.tree
        like = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), described)
        return checkpointer.restore(folder / "state", like)


def events(workdir: Path) -> Iterator[Event]:
    """What the event files of a run hold, file by file."""
    for path in sorted(workdir.glob("events.out.tfevents.*")):
        raw, place = path.read_bytes(), 0
        while place < len(raw):  # length, its checksum, the event, its checksum
            length = int.from_bytes(raw[place : place + 8], "little")
            yield Event.FromString(raw[place + 12 : place + 12 + length])
            place += 12 + length + 4


def scalars(workdir: Path) -> dict[tuple[int, str], float]:
    """What they say, by epoch and name, each of which is there once."""
    said = [((it.step, v.tag), v.simple_value) for it in events(workdir) for v in it.summary.value]
    assert len(dict(said)) == len(said)
    return dict(said)


@contextmanager
def asked_to_end(where: str, time: int = 1) -> Iterator[None]:
    """A block in which a run has SIGTERM where its `time`-th step, validation or save begins."""
    home, name = {
        "step": (Profile, "dispatch"),
        "validation": (loop, "logits_of"),
        "save": (Checkpoints, "save_last"),
    }[where]
    does, times = getattr(home, name), count(1)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(times) == time:
            os.kill(os.getpid(), signal.SIGTERM)
        return does(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, name, interrupted)
        yield
