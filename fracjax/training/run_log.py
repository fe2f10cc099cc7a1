"""What a network in training writes: checkpoints, `history.json` and TensorBoard events.

clu's own event writer needs TensorFlow; the metrics are clu's, the events are tensorboardX's.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from tensorboardX import SummaryWriter

from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.multihost import folder_of_first
from fracjax.runtime.stopwatch import TimeBreakdown
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.state import TrainState


class RunLog:
    """The record of one network. Close it, or use it as a context manager: it waits for writes."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self._opened = ExitStack()
        self._checkpoints = self._opened.enter_context(Checkpoints(workdir))
        self._events = SummaryWriter(str(folder_of_first(workdir)))
        self._opened.callback(self._events.close)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def resume(self, like: TrainState, mesh: Mesh) -> tuple[TrainState, CheckpointMetadata] | None:
        """The last state that was saved; None in a new workdir."""
        return self._checkpoints.last(like, mesh)

    def save_within_epoch(self, state: TrainState, meta: CheckpointMetadata) -> None:
        """Save the state of an epoch that is not over."""
        self._checkpoints.save_last(state, meta)

    def save_epoch(self, state: TrainState, meta: CheckpointMetadata) -> None:
        """Save the state after an epoch, twice if it is the best so far, and its figures."""
        if meta.best_epoch == meta.epoch:
            self._checkpoints.save_best(state, meta)
        self._checkpoints.save_last(state, meta)
        write_json(self._workdir / "history.json", meta.history)
        self._write_events(meta.epoch, meta.history[-1])

    def write_time(self, epoch: int, breakdown: TimeBreakdown) -> None:
        """Write where the time of an epoch went, for TensorBoard.

        Not in the history, which a run that was cut short and continued repeats to the bit.
        """
        self._write_events(epoch, {f"time_{what}": part for what, part in vars(breakdown).items()})

    def _write_events(self, epoch: int, figures: dict[str, Any]) -> None:
        for name, value in figures.items():
            if isinstance(value, float):
                self._events.add_scalar(name, value, epoch)
        self._events.flush()  # at once, so that a killed run keeps its curves
