"""One network of a run: its studies, its state, its record. A run has one, or several at once."""

import dataclasses
import math
from contextlib import ExitStack
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int32
from rich.console import Console

from fracjax.errors import InputError
from fracjax.evaluation import auc
from fracjax.loading.sampling import draw_order
from fracjax.loading.streaming import BatchSource, steps_per_epoch, training_batches
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.multihost import broadcast, folder_of_first
from fracjax.runtime.sharding import replicate
from fracjax.training import checkpoint, losses
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.network import Network
from fracjax.training.schedule import NextEpoch, learning_rates, next_epoch
from fracjax.training.state import TrainState
from fracjax.training.step import Sums
from fracjax.training.tensorboard import Events
from fracjax.training.time_breakdown import TimeBreakdown
from fracjax.training.training_data import TrainingData


class Trainer:
    """One network in training.

    Attributes:
      config: its own: workdir, seed, fold.
      network: what it starts from.
      meta: what its next checkpoint will say.
      state: parameters, statistics, optimiser.
      place: the epoch that comes next; None if its training is over.
      ends_alone: whether a loss that is not finite ends this network only, as in a sweep.
      diverged: what is said of such an end; None if it did not come to that.
      steps: of one epoch.
      material: its studies; `material.start` is the first block to run on them.
      class_weights: weight of a training study by its class.
    """

    def __init__(
        self,
        new: CheckpointMetadata,
        network: Network,
        material: TrainingData,
        mesh: Mesh,
        *,
        ends_alone: bool = False,
    ) -> None:
        config = new.config
        self.ends_alone, self.diverged = ends_alone, None
        self.config, self.network, self.meta, self._mesh = config, network, new, mesh
        self.material, self._open = material, ExitStack()
        self._checkpoints = self._open.enter_context(Checkpoints(config.workdir))
        self._events = self._open.enter_context(Events(folder_of_first(config.workdir)))
        self.key = jax.random.key(config.train.seed)
        data, train = config.data, material.views[0]
        self.steps = steps_per_epoch(train, batch_size=data.batch_size, oversample=data.oversample)
        self.class_weights = losses.class_weights(train.label, len(data.classes), config.loss)
        self._phase = 0  # whose optimiser the state holds
        self.state: TrainState

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()  # waits until everything is written

    def begin(self, console: Console) -> None:
        """Take up the last checkpoint, or start anew.

        Raises:
          UserError: the checkpoint is of another split, other channels or another detector.
        """
        config, new = self.config, self.meta
        if checkpoint.has(config.workdir, "last"):
            saved = checkpoint.read_meta(config.workdir, "last")
            place = next_epoch(saved.history, config) if saved.step else None
            # Within an epoch the state is of the phase of that epoch, else of the last one's.
            self._phase = place.phase if place else saved.history[-1]["phase"] - 1
        self.state = self.network.initial_state(self._phase, self._mesh)
        if resumed := self._checkpoints.last(self.state, self._mesh):
            self.state, self.meta = resumed
            self.meta.check_continues(new)
            # Where things lie now, and for how long to go on.
            self.meta = dataclasses.replace(self.meta, config=config)
            within = f", step {self.meta.step} of the next" if self.meta.step else ""
            console.print(f"{config.workdir}: resumed after epoch {self.meta.epoch}{within}")

    @property
    def place(self) -> NextEpoch | None:
        """The epoch that comes next; None if training is over."""
        if self.diverged:
            return None
        return next_epoch(self.meta.history, self.config)

    def enter(self, phase: int) -> None:
        """Begin a phase with a new optimiser, unless the state is already within it."""
        if phase != self._phase:
            opt_state = self.network.optimizer(phase).init(self.state.params)
            opt_state = replicate(self._mesh, opt_state)
            self.state = dataclasses.replace(self.state, opt_state=opt_state)
            self._phase = phase

    @property
    def view(self) -> int:
        """Which view of its studies the next epoch trains on."""
        return self.meta.epoch % len(self.material.views)

    def order(self) -> Int32[jax.Array, " m"]:
        """The order of the next epoch."""
        config = self.config
        return draw_order(
            self.material.views[self.view].label,
            seed=config.train.seed,
            epoch=self.meta.epoch,
            oversample=config.data.oversample,
        )

    def batches(self) -> BatchSource:
        """The batches of the next epoch, from the disk."""
        return training_batches(
            self.material.views[self.view],
            batch_size=self.config.data.batch_size,
            seed=self.config.train.seed,
            epoch=self.meta.epoch,
            oversample=self.config.data.oversample,
            class_weights=self.class_weights,
        )

    def learning_rates(self) -> np.ndarray:
        """The step size of each step of the next epoch."""
        place = self.place
        assert place is not None, "asked of a run that is over"
        phase = self.config.phases[place.phase]
        return learning_rates(phase, self.config.train, place.losses, self.steps)

    def save_within(self, state: TrainState, step: int, sums: Sums) -> None:
        """Save an epoch that is not over: after so many steps, with the figures so far."""
        self.state = state
        self.meta = dataclasses.replace(self.meta, step=step, sums=sums)
        self._checkpoints.save_last(state, self.meta)

    def finish_epoch(self, trained: dict[str, float], logits: Float[np.ndarray, "n k"]) -> str:
        """Record and save an epoch, after validation; return its figures in one line.

        Args:
          trained: figures of training.
          logits: of the validation studies, by `state`.
        """
        place = self.place
        assert place is not None, "an epoch of a run that is over"
        rate = float(self.learning_rates()[-1])
        row = {
            "epoch": self.meta.epoch + 1,
            "phase": place.phase + 1,
            "learning_rate": rate,
            **{f"train_{name}": value for name, value in trained.items()},
            **self._validate(logits),
        }
        # Another processor may round otherwise, and all must stop after the same epoch.
        row = broadcast(row)
        if not math.isfinite(row["validation_loss"]):
            after = f"validation loss after step {int(self.state.step)}"
            return self.raise_problems(after, row["validation_loss"])
        better = row["validation_loss"] < self.meta.best_loss
        self.meta = dataclasses.replace(
            self.meta,
            epoch=row["epoch"],
            history=[*self.meta.history, row],
            best_epoch=row["epoch"] if better else self.meta.best_epoch,
            best_loss=row["validation_loss"] if better else self.meta.best_loss,
            step=0,
            sums={},
        )
        if better:
            self._checkpoints.save_best(self.state, self.meta)
        self._checkpoints.save_last(self.state, self.meta)
        write_json(self.config.workdir / "history.json", self.meta.history)
        self._events.write(self.meta.epoch, {k: v for k, v in row.items() if isinstance(v, float)})
        return "  ".join(f"{name} {_shown(value)}" for name, value in row.items())

    def record_time(self, shares: TimeBreakdown) -> None:
        """Record where the time of the last epoch went, for TensorBoard.

        Not in the history, which a run that was cut short and continued repeats to the bit.
        """
        named = {f"time_{what}": share for what, share in vars(shares).items()}
        self._events.write(self.meta.epoch, named)

    def raise_problems(self, what: str, loss: float) -> str:
        """Stop at a loss that is not finite; a run of a sweep by itself, and say so.

        Raises:
          UserError: of any other network; with what is kept and what to try.
        """
        if self.ends_alone:
            self.diverged = f"diverged: the {what} is {loss}; it ends here, the others go on"
            return self.diverged
        if checkpoint.has(self.config.workdir, "last"):
            kept = "the checkpoints of the last finished epoch are kept; try another --workdir with"
        else:
            kept = "no epoch was finished; try"
        raise InputError(
            f"the {what} of {self.config.workdir} is {loss}; {kept} a lower "
            f"--phases.{self._phase}.learning-rate"
        )

    def _validate(self, logits: Float[np.ndarray, "n k"]) -> dict[str, float]:
        examples = self.material.validation
        # As in Keras: smoothing and gamma count on validation, too, weights do not.
        label = jnp.asarray(examples.label)
        per_study = losses.loss(jnp.asarray(logits), label, self.config.loss)
        right = losses.correct(jnp.asarray(logits), label)
        row = {
            "validation_loss": float(np.mean(np.asarray(per_study, np.float64))),
            "validation_accuracy": float(np.mean(np.asarray(right, np.float64))),
        }
        if len(self.config.data.classes) == 2 and math.isfinite(row["validation_loss"]):
            score = logits.astype(np.float64) @ ([1.0] if logits.shape[1] == 1 else [-1.0, 1.0])
            row["validation_auc"] = auc(examples.label, score)
        return row


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
