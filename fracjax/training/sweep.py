"""What the runs of a sweep came to on validation: each run, each learning rate, the best."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fracjax.config import Config, io
from fracjax.errors import InputError
from fracjax.runtime.atomic_files import read_json
from fracjax.training import checkpoint
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import swept_dirs
from fracjax.training.schedule import next_epoch


@dataclass(frozen=True)
class SweptRun:
    """One run."""

    workdir: Path  # its folder
    learning_rate: float  # of its first phase
    seed: int  # of its weights and of all that is drawn
    epochs: int  # epochs trained
    best_epoch: int  # the one that `train.keep` makes the result; 0 for none yet
    loss: float | None  # its validation loss, in nats; None if there is none yet
    score: float | None  # of two classes the validation AUC, of more the accuracy, after that epoch
    complete: bool  # whether its training came to its end; if not, it diverged or goes on


@dataclass(frozen=True)
class RateSummary:
    """The runs of one learning rate."""

    learning_rate: float  # of the first phase
    runs: int  # how many seeds
    complete: int  # how many of them came to their end; the figures are of these
    # mean and standard deviation (n - 1) of the validation losses of the epochs that are kept.
    loss: tuple[float, float | None] | None
    score: tuple[float, float | None] | None  # of their validation AUC, or accuracy


def swept_runs(metas: Sequence[CheckpointMetadata]) -> list[SweptRun]:
    """The runs, in the order of what their last checkpoints say."""
    return [_run(meta.config, meta.history, meta.best_epoch) for meta in metas]


def _run(config: Config, history: Sequence[dict[str, Any]], best_epoch: int) -> SweptRun:
    best = history[best_epoch - 1] if best_epoch else {}
    score = "validation_auc" if len(config.data.classes) == 2 else "validation_accuracy"
    return SweptRun(
        workdir=config.workdir,
        learning_rate=config.phases[0].learning_rate,
        seed=config.train.seed,
        epochs=len(history),
        best_epoch=best_epoch,
        loss=best.get("validation_loss"),
        score=best.get(score),
        complete=next_epoch(history, config) is None,
    )


def by_rate(runs: Sequence[SweptRun]) -> list[RateSummary]:
    """The learning rates, in the order of the runs."""
    summaries = []
    for rate in dict.fromkeys(run.learning_rate for run in runs):
        ours = [run for run in runs if run.learning_rate == rate]
        complete = [run for run in ours if run.complete]
        loss, score = (
            _mean_and_sd([value for run in complete if (value := getattr(run, name)) is not None])
            for name in ("loss", "score")
        )
        summaries.append(RateSummary(rate, len(ours), len(complete), loss, score))
    return summaries


def _mean_and_sd(values: list[float]) -> tuple[float, float | None] | None:
    if not values:
        return None
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def best_rate(summaries: Sequence[RateSummary]) -> RateSummary | None:
    """The lowest mean loss, among the rates that no run diverged at; None if there is none."""
    sound = [one for one in summaries if one.loss and one.complete == one.runs]
    return min(sound, key=lambda one: one.loss[0] if one.loss else np.inf, default=None)


def best_run(runs: Sequence[SweptRun]) -> SweptRun | None:
    """The lowest loss of the best rate; else of all runs. None if no epoch was finished."""
    rate = best_rate(by_rate(runs))
    ours = [run for run in runs if rate is None or run.learning_rate == rate.learning_rate]
    finished = [run for run in ours if run.loss is not None]
    return min(finished, key=lambda run: np.inf if run.loss is None else run.loss, default=None)


def refuse_sweep(workdir: Path) -> NoReturn:
    """Refuse to use the runs of a sweep as one network, and name the best of them."""
    folders = swept_dirs(workdir)
    best = best_run([_run_in(folder) for folder in folders])
    if best is None:
        advice = "none of them has an epoch to use yet"
    else:
        advice = (
            f"name the folder of one; the best on validation is {best.workdir} (learning rate "
            f"{best.learning_rate:g}, seed {best.seed}, loss {best.loss:.4f} nats)"
        )
    raise InputError(
        f"{workdir} is a sweep: {len(folders)} runs to compare, no networks to average; {advice}"
    )


def _run_in(folder: Path) -> SweptRun:
    """What is on the disk of a run; one that diverged in its first epoch has its config alone."""
    if checkpoint.newest(folder, "last"):
        (run,) = swept_runs([checkpoint.read_meta(folder, "last")])
    else:
        again = f"a run begins with it: delete {folder}, or train the sweep again"
        run = _run(io.from_dict(read_json(checkpoint.config_path(folder), again)), [], 0)
    return replace(run, workdir=folder)  # which may have been moved
