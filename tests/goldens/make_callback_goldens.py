"""Make the golden of stopping, slowing down and keeping the best with Keras's own callbacks.

KERAS_BACKEND=jax python tests/goldens/make_callback_goldens.py

Written with keras 3.15.1. Epochs are counted from 1. Every case is run twice, the second time with
Keras's comparison, which is in single precision, replaced by Python's: none depends on it.

  keras_callbacks.json   a list of cases, one per line:
    kind              what the losses are like, a key of KINDS
    losses            validation loss of every epoch on offer; NaN is null
    patience          of EarlyStopping
    factor            of ReduceLROnPlateau
    plateau_patience  of ReduceLROnPlateau
    stopped           epoch after which EarlyStopping ended training, or null
    learning_rates    in force in each epoch that was run, beginning with 1.0; single precision
    saved             epochs whose checkpoint ModelCheckpoint wrote, up to the stop
"""

import json
import math
import operator
from pathlib import Path

import keras  # pyright: ignore[reportMissingImports]
import numpy as np
import recipe

HERE = Path(__file__).parent
LENGTHS = (1, 2, 5, 11, 23, 40)
# patience of EarlyStopping, factor and patience of ReduceLROnPlateau
SETTINGS = ((1, 0.5, 1), (3, 0.5, 2), (4, 0.1, 5), (7, 0.2, 1), (50, 0.5, 3), (50, 0.9, 1))


def random(name, n):
    return recipe.uniform(name, (n,), 0.3, 0.9)


def noisy_descent(name, n):
    """Falls by half in eight epochs, with noise that makes it wait now and then."""
    return 0.7 * 0.5 ** (np.arange(n) / 8) + recipe.uniform(name, (n,), -0.08, 0.08) + 0.1


def crawl(name, n):
    """Falls by 0.00004 to 0.00008 per epoch: only two or three of them are worth MIN_DELTA."""
    return 0.6 - np.cumsum(recipe.uniform(name, (n,), 4e-5, 8e-5))


def at_min_delta(name, n):
    """Falls by a little less or a little more than 0.0001 per epoch."""
    return 0.6 - np.cumsum(np.where(recipe.uniform(name, (n,), 0, 1) < 0.6, 9e-5, 1.1e-4))


def ties(name, n):
    """Five levels only, so that the lowest comes again and again."""
    return np.round(recipe.uniform(name, (n,), 0.28, 0.72), 1)


def plateau(name, n):
    """Falls, then stays exactly where it is."""
    return np.maximum(0.9 - 0.07 * np.arange(n), 0.5)


def steps(name, n):
    """Level for six epochs, then lower."""
    return 0.9 - 0.1 * (np.arange(n) // 6)


def sort_by_score(name, n):
    return 0.9 - 0.01 * np.arange(n)


def rising(name, n):
    return 0.3 + 0.01 * np.arange(n)


def valley(name, n):
    return 0.3 + 0.001 * (np.arange(n) - 9.0) ** 2


def nan_in_the_middle(name, n):
    losses = noisy_descent(name, n)
    losses[1:][recipe.uniform(f"{name} NaN", (n - 1,), 0, 1) < 0.25] = np.nan
    return losses


def nan_to_the_end(name, n):
    losses = noisy_descent(name, n)
    losses[max(1, n // 2) :] = np.nan
    return losses


def nan_first(name, n):
    """Keras takes the first loss as the best whatever it is, and nothing is lower than NaN."""
    losses = noisy_descent(name, n)
    losses[0] = np.nan
    return losses


KINDS = (
    random,
    noisy_descent,
    crawl,
    at_min_delta,
    ties,
    plateau,
    steps,
    sort_by_score,
    rising,
    valley,
    nan_in_the_middle,
    nan_to_the_end,
    nan_first,
)


class Recorder(keras.Sequential):
    """A model that counts the times it is saved."""

    saves = 0

    def save_weights(self, *args, **kwargs):
        self.saves += 1


def run(losses, patience, factor, plateau_patience, *, less=None):
    """Drive the callbacks as `fit` does."""
    model = Recorder([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    monitors = [
        keras.callbacks.EarlyStopping("val_loss", patience=patience),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=factor, patience=plateau_patience),
        keras.callbacks.ModelCheckpoint(
            "best.weights.h5", "val_loss", save_best_only=True, save_weights_only=True
        ),
    ]
    if less:
        for monitor in monitors:
            monitor._set_monitor_op()
            monitor.monitor_op = less
    callbacks = keras.callbacks.CallbackList(monitors, model=model)
    model.stop_training = False
    callbacks.on_train_begin()
    rates, saved = [], []
    for epoch, loss in enumerate(losses):
        rates.append(float(f"{float(model.optimizer.learning_rate):.9g}"))
        callbacks.on_epoch_begin(epoch)
        before = model.saves
        callbacks.on_epoch_end(epoch, {"loss": 0.0, "val_loss": loss})
        if model.saves > before:
            saved.append(epoch + 1)
        if model.stop_training:
            break
    stopped = len(rates) if model.stop_training else None
    return {"stopped": stopped, "learning_rates": rates, "saved": saved}


def make_cases():
    for k, kind in enumerate(KINDS):
        for i, length in enumerate(LENGTHS):
            losses = [round(float(x), 6) for x in kind(f"{kind.__name__} {length}", length)]
            for setting in (SETTINGS[(k + i) % 6], SETTINGS[(k + i + 2) % 6]):
                found = run(losses, *setting)
                assert found == run(losses, *setting, less=operator.lt), (kind, losses, setting)
                yield {
                    "kind": kind.__name__,
                    "losses": [None if math.isnan(x) else x for x in losses],
                    **dict(zip(("patience", "factor", "plateau_patience"), setting, strict=True)),
                    **found,
                }


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(case, allow_nan=False) for case in make_cases())
    (HERE / "keras_callbacks.json").write_text(f"[\n{lines}\n]\n")
