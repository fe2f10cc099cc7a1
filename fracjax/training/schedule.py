"""Where a run stands among its phases, and the learning rates of its next epoch.

When to stop, to slow down, to keep a checkpoint: Keras's callbacks as pure functions of the
validation losses of a phase so far, oldest first. Nothing is remembered between epochs, so a run
that was killed and goes on decides as if nothing had happened. A loss that is not a number is no
improvement. Where `train.keep` asks for the highest AUC, the negative AUC takes the loss's place.

Source: keras.callbacks.EarlyStopping, ReduceLROnPlateau and ModelCheckpoint(save_best_only=True),
with their defaults for what is no argument here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float32

from fracjax.config import Config, Phase, Train

MIN_DELTA = 1e-4  # nats by which a loss must fall to count for `plateau_scale`; Keras's default


def best_epoch(losses: Sequence[float]) -> int:
    """The epoch, from 1, of the lowest loss, the first of equals; 0 if there is none."""
    best, epoch = math.inf, 0
    for number, loss in enumerate(losses, 1):
        if loss < best:
            best, epoch = loss, number
    return epoch


def should_stop(losses: Sequence[float], *, patience: int) -> bool:
    """Whether training stops after the last of these epochs: `patience` of them brought nothing."""
    return len(losses) - best_epoch(losses) >= patience


def plateau_scale(losses: Sequence[float], *, patience: int, factor: float) -> float:
    """Factor on the learning rate of the epoch after these.

    It is multiplied by `factor` whenever `patience` epochs in a row brought no loss lower than the
    best by more than `MIN_DELTA`; the count then begins anew, the best loss stays.
    """
    scale, best, waited = 1.0, math.inf, 0
    for loss in losses:
        if loss < best - MIN_DELTA:
            best, waited = loss, 0
            continue
        waited += 1
        if waited >= patience:
            scale, waited = scale * factor, 0
    return scale


def kept_epoch(history: Sequence[dict[str, Any]], config: Config) -> int:
    """The epoch, from 1, that `train.keep` makes the result of a run so far; 0 if there is none."""
    if config.train.keep == "last":
        return 0 if next_epoch(history, config) else len(history)
    return best_epoch(_to_lower(history, config.train))


def _to_lower(history: Sequence[dict[str, Any]], train: Train) -> list[float]:
    """What an epoch has to lower to be better than those before it."""
    if train.keep == "highest_auc":
        return [-row["validation_auc"] for row in history]
    return [row["validation_loss"] for row in history]


@dataclass(frozen=True)
class NextEpoch:
    """The epoch that comes next: its phase, and that phase's validation losses so far, in nats."""

    phase: int
    losses: tuple[float, ...]


def next_epoch(history: Sequence[dict[str, Any]], config: Config) -> NextEpoch | None:
    """Where the epoch after `history` stands; None if the run is over.

    Every phase has an early stopping of its own, as every `fit` of Keras has. The next one begins
    with the network of the last epoch, not of the best, as without Keras's `restore_best_weights`.
    """
    index, rows, train = 0, [], config.train
    for row in history:
        rows.append(row)
        over = len(rows) == config.phases[index].epochs
        if train.keep != "last":
            over |= should_stop(_to_lower(rows, train), patience=train.patience)
        if over:
            index, rows = index + 1, []
            if index == len(config.phases):
                return None
    return NextEpoch(index, tuple(row["validation_loss"] for row in rows))


def learning_rates(
    phase: Phase, train: Train, losses: Sequence[float], steps: int
) -> Float32[np.ndarray, "steps"]:
    """Learning rate of each of the `steps` steps of the epoch after `losses`.

    Sources: Smith and Topin 2018, arXiv:1708.07120, for the one cycle, with cosine arms; Loshchilov
    and Hutter 2017, arXiv:1608.03983, for the cosine, and Goyal et al. 2017, arXiv:1706.02677, for
    the warm-up before it, which is rounded down to whole steps.
    """
    if phase.schedule in ("one_cycle", "cosine"):
        total, peak = steps * phase.epochs, phase.learning_rate
        if phase.schedule == "one_cycle":
            rate = optax.cosine_onecycle_schedule(total, peak, pct_start=0.2)
        else:
            rate = optax.warmup_cosine_decay_schedule(0.0, peak, int(phase.warm_up * total), total)
        numbers = jnp.arange(steps) + len(losses) * steps
        return np.asarray(jax.vmap(rate)(numbers), np.float32)
    scale = 1.0
    if phase.schedule == "plateau":
        scale = plateau_scale(losses, patience=train.plateau_patience, factor=train.plateau_factor)
    return np.full(steps, phase.learning_rate * scale, np.float32)
