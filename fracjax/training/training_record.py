"""`WORKDIR/training.json`: on which devices a run was trained, for how long, by which JAX.

It is about cost alone: nothing that a run computes depends on it.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
from jax.sharding import Mesh

from fracjax.errors import InputError
from fracjax.runtime.atomic_files import read_json, write_json
from fracjax.runtime.multihost import run_on_main

RECORD = "training.json"


@dataclass(frozen=True)
class Session:
    """Training on the same devices and the same JAX, all of it that came in a row."""

    platform: str  # of JAX: cpu, gpu or tpu
    device: str  # its kind, as in "NVIDIA H100 80GB HBM3"
    devices: int  # how many of them
    jax: str  # version
    seconds: float  # wall clock, with compiling and reading, up to the last finished epoch

    @classmethod
    def on(cls, mesh: Mesh) -> "Session":
        """One that begins on the devices of a mesh."""
        device = mesh.devices.flat[0]
        return cls(device.platform, device.device_kind, mesh.size, jax.__version__, 0.0)


class TrainingRecord:
    """Adds to what earlier sessions of a run took, if it `resumes`; else it begins at nothing."""

    def __init__(
        self,
        workdir: Path,
        mesh: Mesh,
        *,
        resumes: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._now, self._begun = workdir / RECORD, now, now()
        if not resumes:  # of a run whose checkpoints were deleted
            run_on_main(lambda: self._path.unlink(missing_ok=True), "record")
        new, self._earlier = Session.on(mesh), read_sessions(workdir)
        if self._earlier and replace(self._earlier[-1], seconds=0.0) == new:
            new = self._earlier.pop()
        self._session = new

    def save(self) -> None:
        """Write it, an epoch being over."""
        seconds = self._session.seconds + self._now() - self._begun
        sessions = [*self._earlier, replace(self._session, seconds=seconds)]
        write_json(self._path, {"sessions": [asdict(one) for one in sessions]})


def read_sessions(workdir: Path) -> list[Session]:
    """All that a run was trained in, the first first; none where no epoch of it is recorded."""
    path = workdir / RECORD
    if not path.is_file():
        return []
    way_out = f"delete it: it only says how long {workdir} was trained"
    try:
        return [Session(**one) for one in read_json(path, way_out)["sessions"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error!r}); {way_out}") from error
