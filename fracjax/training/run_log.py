"""What a network in training writes: checkpoints, `history.json` and TensorBoard events.

clu's own event writer needs TensorFlow; the metrics are clu's, the events are tensorboardX's.
"""

from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.multihost import folder_of_first
from fracjax.runtime.stopwatch import TimeBreakdown
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.step import TrainState


class RunLog(Checkpoints):
    """The record of one network: its checkpoints, and its figures beside them."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self._history = workdir / "history.json"
        self._events = SummaryWriter(str(folder_of_first(workdir)))

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()
        super().__exit__()

    def save_epoch(self, state: TrainState, meta: CheckpointMetadata) -> None:
        """Save the state after an epoch, twice if it is the best so far, and its figures."""
        if meta.best_epoch == meta.epoch:
            self.save_best(state, meta)
        self.save_last(state, meta)
        write_json(self._history, meta.history)
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
