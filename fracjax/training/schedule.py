"""Where a run stands among its phases, and the learning rates of its next epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float32

from fracjax.config import Config, Phase, Train
from fracjax.training import early_stopping


@dataclass(frozen=True)
class NextEpoch:
    """The epoch that comes next.

    Attributes:
      phase: index of its phase.
      losses: validation losses of the epochs of that phase so far, in nats.
    """

    phase: int
    losses: tuple[float, ...]


def next_epoch(history: Sequence[dict[str, Any]], config: Config) -> NextEpoch | None:
    """Where the epoch after `history` stands; None if the run is over.

    Every phase has an early stopping of its own, as every `fit` of Keras has. The next phase begins
    with the network of the last epoch, not of the best one: `restore_best_weights` is off in Keras
    unless asked for.
    """
    losses = [row["validation_loss"] for row in history]
    for index, phase in enumerate(config.phases):
        used = _epochs_used(losses, phase, config.train)
        if used is None:
            return NextEpoch(index, tuple(losses))
        losses = losses[used:]
    return None


def _epochs_used(losses: Sequence[float], phase: Phase, train: Train) -> int | None:
    """Epochs after which the phase was over; None if it is not."""
    for used in range(1, len(losses) + 1):
        if used == phase.epochs or early_stopping.should_stop(
            losses[:used], patience=train.patience
        ):
            return used
    return None


def learning_rates(
    phase: Phase, train: Train, losses: Sequence[float], steps: int
) -> Float32[np.ndarray, "steps"]:
    """Learning rate of each of the `steps` steps of the epoch after `losses`.

    Source: Smith and Topin 2018, arXiv:1708.07120, for the one cycle, with cosine arms.
    """
    if phase.schedule == "one_cycle":
        cycle = optax.cosine_onecycle_schedule(
            steps * phase.epochs, phase.learning_rate, pct_start=0.2
        )
        numbers = jnp.arange(steps) + len(losses) * steps
        return np.asarray(jax.vmap(cycle)(numbers), np.float32)
    scale = 1.0
    if phase.schedule == "plateau":
        scale = early_stopping.plateau_scale(
            losses, patience=train.plateau_patience, factor=train.plateau_factor
        )
    return np.full(steps, phase.learning_rate * scale, np.float32)
