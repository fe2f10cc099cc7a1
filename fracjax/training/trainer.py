"""One network in training: its state, its examples, where it stands, what it writes."""

import dataclasses
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Float32
from rich.console import Console

from fracjax.errors import InputError
from fracjax.evaluation import auc
from fracjax.loading.streaming import BatchSource, steps_per_epoch, training_batches
from fracjax.models.own_backbone import note_if_edited
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.disk_space import DiskFull
from fracjax.runtime.multihost import broadcast, is_main
from fracjax.runtime.randomness import root
from fracjax.runtime.sharding import replicate
from fracjax.training import checkpoint, losses
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.event_file import EventFile
from fracjax.training.model import TrainableModel
from fracjax.training.schedule import NextEpoch, kept_epoch, learning_rates, next_epoch
from fracjax.training.step import StepSpec, Sums, TrainState
from fracjax.training.training_data import TrainingData


class RunLog(Checkpoints):
    """What one network writes: checkpoints, `history.json` and TensorBoard events."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self._history = workdir / "history.json"
        self._workdir, self._events = workdir, EventFile(workdir) if is_main() else None

    def save_epoch(self, state: TrainState, meta: CheckpointMetadata, *, over: bool) -> None:
        """Save the state after an epoch, twice if it is the one to keep, and its figures.

        Epochs shorter than their writing do not wait for it: the state of one is left out while
        an earlier one is being written, unless it is to be kept, or the training is `over`.
        """
        keep = meta.best_epoch == meta.epoch
        if keep:
            self.save_best(state, meta)
        if keep or over or not self.is_writing_last():
            self.save_last(state, meta)
        write_json(self._history, meta.history)
        self.write_events(meta.epoch, meta.history[-1])

    def write_events(self, epoch: int, figures: dict[str, Any]) -> None:
        """Write those figures of an epoch for TensorBoard that are no whole numbers."""
        with self._noting_failure():
            if self._events is not None:
                self._events.add(epoch, figures)

    def forget_events_after(self, epoch: int) -> None:
        """Leave out what a session that was killed wrote of epochs that come again."""
        with self._noting_failure():
            if self._events is not None:
                self._events.forget_after(epoch)

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """Curves are no reason to end a training: say once that there are no more of them."""
        try:
            yield
        except (OSError, DiskFull) as error:
            self._events = None
            print(
                f"note: no more events for TensorBoard in {self._workdir} ({error}); training goes "
                f"on, and {self._history.name} has the figures",
                file=sys.stderr,
            )


class Trainer:
    """One network in training.

    Attributes:
      model: what it starts from.
      meta: what its next checkpoint will say.
      key: root of the randomness of its steps.
      steps: of one epoch.
      diverged: what is said of a loss that was not finite and ended this network only, as in a
        sweep; None if it did not come to that.
    """

    state: TrainState
    learning_rate: Float32[np.ndarray, " steps"]  # of the epoch that runs

    def __init__(
        self,
        new: CheckpointMetadata,
        model: TrainableModel,
        data: TrainingData,
        log: RunLog,
        mesh: Mesh,
        *,
        ends_alone: bool = False,
    ) -> None:
        self.config, self.model, self.data, self.log, self.meta = new.config, model, data, log, new
        self._mesh, self._ends_alone = mesh, ends_alone
        self.diverged: str | None = None
        self.key = root(self.config.train.seed)
        how, train = self.config.data, data.views[0]
        self.steps = steps_per_epoch(train, batch_size=how.batch_size, oversample=how.oversample)
        self.class_weights = losses.class_weights(train.label, len(how.classes), self.config.loss)
        self._second = tuple(len(values) for values in new.second_task.values())
        self._phase = 0  # whose optimiser the state holds

    def resume_or_init(self, console: Console) -> None:
        """Take up the last checkpoint, or start anew."""
        config, new = self.config, self.meta
        if checkpoint.newest(config.workdir, "last"):
            saved = checkpoint.read_meta(config.workdir, "last")
            ahead = next_epoch(saved.history, config) if saved.step else None
            # Within an epoch the state is of the phase of that epoch, else of the last one's.
            self._phase = ahead.phase if ahead else saved.history[-1]["phase"] - 1
        self.state = self.model.initial_state(self._phase, self._mesh, self._second)
        if resumed := self.log.last(self.state, self._mesh):
            self.state, saved = resumed
            saved.check_continues(new)
            note_if_edited(config.model.name, saved.source_digest, config.workdir)
            # Where things lie now, and for how long to go on.
            self.meta = dataclasses.replace(saved, config=config)
            console.print(f"{config.workdir}: resumed {self.standing}", markup=False)
        self.log.forget_events_after(self.meta.epoch)

    @property
    def ahead(self) -> NextEpoch | None:
        """The epoch that comes next; None if training is over."""
        return None if self.diverged else next_epoch(self.meta.history, self.config)

    @property
    def bytes_to_save(self) -> int:
        """What its checkpoints will take beside what is there, at the least.

        The best one, the last one, and beside that the next; compressed, by less than a fifth.
        """
        best, last = (
            sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
            for tree in (self.state.variables, vars(self.state))
        )
        resumes = checkpoint.newest(self.config.workdir, "last") is not None
        return round(0.8 * (last if resumes else best + 2 * last))

    def step_spec(self, phase: int) -> StepSpec:
        """What the steps of a phase are made of."""
        view, tx = self.model.training_view(phase), self.model.optimizer(phase)
        return StepSpec(view, tx, self.config, self.data.start, self._second)

    def start_epoch(self) -> None:
        """Set the learning rates; of a phase that begins, make its optimiser."""
        ahead = self.ahead
        assert ahead is not None, "training is over"
        if ahead.phase != self._phase:
            opt_state = self.model.optimizer(ahead.phase).init(self.state.params)
            opt_state = replicate(self._mesh, opt_state)
            self.state = dataclasses.replace(self.state, opt_state=opt_state)
            self._phase = ahead.phase
        phase = self.config.phases[ahead.phase]
        self.learning_rate = learning_rates(phase, self.config.train, ahead.losses, self.steps)

    @property
    def view(self) -> int:
        """Which view of its examples the next epoch trains on."""
        return self.meta.epoch % len(self.data.views)

    def batches(self) -> BatchSource:
        """The batches of the next epoch."""
        how = self.config.data
        return training_batches(
            self.data.views[self.view],
            batch_size=how.batch_size,
            seed=self.config.train.seed,
            epoch=self.meta.epoch,
            oversample=how.oversample,
            positives=how.positives_per_batch,
            class_weights=self.class_weights,
        )

    def stand(self, state: TrainState, step: int, sums: Sums) -> None:
        """Be within an epoch: after so many steps, with the figures so far."""
        self.state = state
        self.meta = dataclasses.replace(self.meta, step=step, sums=sums)

    def save(self) -> None:
        """Save it where it stands, unless nothing of it is trained, or it diverged."""
        if self.diverged is None and (self.meta.epoch or self.meta.step):
            self.log.save_last(self.state, self.meta)

    @property
    def standing(self) -> str:
        """Where it stands, in words."""
        within = f", step {self.meta.step} of the next" if self.meta.step else ""
        return f"after epoch {self.meta.epoch}{within}"

    def finish_epoch(self, trained: dict[str, float], logits: Float[np.ndarray, "n k"]) -> str:
        """Record and save an epoch by its figures and validation logits; return a line on it."""
        row = {
            "epoch": self.meta.epoch + 1,
            "phase": self._phase + 1,
            "learning_rate": float(self.learning_rate[-1]),
            **{f"train_{name}": value for name, value in trained.items()},
            **self._validate(logits),
        }
        # Another processor may round otherwise, and all must stop after the same epoch.
        row = broadcast(row)
        loss = row["validation_loss"]
        if not math.isfinite(loss):
            where = f"validation loss after step {int(self.state.step)}"
            return self.stop_at_nonfinite_loss(where, loss)
        history = [*self.meta.history, row]
        best = kept_epoch(history, self.config)
        self.meta = dataclasses.replace(
            self.meta,
            epoch=row["epoch"],
            history=history,
            best_epoch=best,
            best_loss=history[best - 1]["validation_loss"] if best else math.inf,
            step=0,
            sums={},
        )
        self.log.save_epoch(self.state, self.meta, over=self.ahead is None)
        return "  ".join(
            f"{name} {value}" if isinstance(value, int) else f"{name} {value:.4g}"
            for name, value in row.items()
        )

    def stop_at_nonfinite_loss(self, what: str, loss: float) -> str:
        """Stop; a run of a sweep by itself, which is said in `diverged`.

        Raises:
          InputError: of any other network; with what is kept and what to try.
        """
        if self._ends_alone:
            self.diverged = f"diverged: the {what} is {loss}; it ends here, the others go on"
            return self.diverged
        if checkpoint.newest(self.config.workdir, "last"):
            kept = "its last checkpoint is kept; try another --workdir with"
        else:
            kept = "no epoch was finished; try"
        raise InputError(
            f"the {what} of {self.config.workdir} is {loss}; {kept} a lower "
            f"--phases.{self._phase}.learning-rate"
        )

    def _validate(self, logits: Float[np.ndarray, "n k"]) -> dict[str, float]:
        examples = self.data.validation
        # As in Keras: smoothing and gamma count on validation, too, weights do not.
        label = jnp.asarray(examples.label)
        per_example = losses.loss(jnp.asarray(logits), label, self.config.loss)
        right = losses.correct(jnp.asarray(logits), label)
        figures = {"validation_loss": per_example, "validation_accuracy": right}
        row = {name: float(np.mean(np.asarray(x, np.float64))) for name, x in figures.items()}
        if len(self.config.data.classes) == 2 and math.isfinite(row["validation_loss"]):
            score = logits.astype(np.float64) @ ([1.0] if logits.shape[1] == 1 else [-1.0, 1.0])
            row["validation_auc"] = auc(examples.label, score)
        return row
