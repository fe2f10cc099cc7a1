"""When to stop, to slow down, to keep a checkpoint: Keras's callbacks as pure functions.

Each looks at the validation losses of a phase so far, oldest first. Nothing is remembered between
epochs, so a run that was killed and goes on decides as if nothing had happened. A loss that is not
a number is no improvement.

Source: keras.callbacks.EarlyStopping, ReduceLROnPlateau and ModelCheckpoint(save_best_only=True),
with their defaults for what is no argument here.
"""

import math
from collections.abc import Sequence

MIN_DELTA = 1e-4
"""Nats by which a loss must fall to count for `plateau_scale`; Keras's default."""


def best_epoch(losses: Sequence[float]) -> int:
    """The epoch, from 1, whose checkpoint is kept: the first of the lowest; 0 if there is none."""
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
