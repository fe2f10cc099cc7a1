"""`fit`: from a config to a trained run in its workdir. The only file that knows the others."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from fracjax import config as config_lib
from fracjax.config import Config
from fracjax.errors import UserError
from fracjax.evaluation import auc, parse_rule
from fracjax.pipeline.parts import open_dataset
from fracjax.pipeline.stream import Examples, training_batches
from fracjax.training import checkpoint, losses
from fracjax.training.checkpoint import Checkpoints, Meta
from fracjax.training.events import Events
from fracjax.training.filter import passing
from fracjax.training.network import Network, build_network
from fracjax.training.predict import Forward, make_forward, predict_logits
from fracjax.training.prefix import cache_view
from fracjax.training.progress import Bar, progress_bar
from fracjax.training.sharding import by_study, check_batch, data_mesh
from fracjax.training.state import TrainState
from fracjax.training.step import Step, make_train_step

# Fields that may differ between the runs that share a workdir: where things lie, and for how long.
MAY_CHANGE = ("workdir:", "data.dir:", "train.epochs:")


@dataclass(frozen=True)
class Material:
    """What the steps of a run read.

    Attributes:
      views: the training studies, once as they are or once per cached view.
      validation: the validation studies, in the form of the views.
      start: first block to run on them; None when they are pictures.
    """

    views: list[Examples]
    validation: Examples
    start: str | None


def fit(config: Config, console: Console) -> Meta:
    """Train until the epochs are over or validation stops improving; resume if there is a state.

    Args:
      config: the run.
      console: where the progress goes.

    Returns:
      What the last checkpoint says of the run.

    Raises:
      UserError: bad input, before anything is overwritten; or a loss that is not finite, with the
        last good checkpoint kept.
    """
    mesh = data_mesh()
    parse_rule(config.threshold)
    check_batch(config.data.batch_size, mesh)
    _check_workdir(config)
    dataset = open_dataset(config.data)
    network = build_network(config)
    train, validation = dataset.part("train"), dataset.part("validation")
    if config.data.filter is not None:
        train = train.take(passing(config.data.filter, dataset, "train", mesh))
        validation = validation.take(passing(config.data.filter, dataset, "validation", mesh))
        _check_filtered(config, train, validation)
    _claim(config)
    console.print(
        f"{dataset.prepared.name}: {len(train)} studies to train on, {len(validation)} to validate "
        f"on, split {dataset.split.hash[:12]}, {mesh.size} device(s)",
        highlight=False,
    )
    material = _material(config, network, train, validation, mesh, console)
    run = _Run(config, network, material, dataset.split.hash, mesh)
    with Checkpoints(config.workdir) as checkpoints, Events(config.workdir) as events:
        return run.train(checkpoints, events, console)


def _check_workdir(config: Config) -> None:
    path = checkpoint.config_path(config.workdir)
    if not path.exists():
        return
    theirs = config_lib.from_dict(json.loads(path.read_text()))
    # A schedule is drawn over all epochs: another number of them is another schedule.
    may_change = MAY_CHANGE if config.optim.schedule == "constant" else MAY_CHANGE[:2]
    changed = [d for d in config_lib.differences(config, theirs) if not d.startswith(may_change)]
    if changed:
        raise UserError(
            f"{config.workdir} is the run of another config ({'; '.join(changed)}, this one "
            "first); name another --workdir, or train with that config to continue it"
        )


def _claim(config: Config) -> None:
    config.workdir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config_lib.to_dict(config), indent=2) + "\n"
    checkpoint.config_path(config.workdir).write_text(text)


def _check_filtered(config: Config, *parts: Examples) -> None:
    for part, examples in zip(("train", "validation"), parts, strict=True):
        counts = np.bincount(examples.label, minlength=len(config.data.classes))
        lost = [c for c, n in zip(config.data.classes, counts, strict=True) if n == 0]
        if lost:
            raise UserError(
                f"the detector in {config.data.filter} lets no {part} study of {', '.join(lost)} "
                "pass; choose its threshold for more sensitivity, or leave data.filter out"
            )


def _material(
    config: Config,
    network: Network,
    train: Examples,
    validation: Examples,
    mesh: Mesh,
    console: Console,
) -> Material:
    count = config.freeze.cached_views
    if not count:
        return Material([train], validation, None)
    stop = network.frozen_prefix
    if stop is None:
        raise UserError(
            "freeze.cached-views needs a prefix that is wholly frozen: set freeze.cut to a block "
            "and freeze.batch-norm to above_cut or frozen, or write --freeze.cached-views 0"
        )
    key = jax.random.key(config.train.seed + 1)

    def cached(examples: Examples, view: int, name: str) -> Examples:
        console.print(f"computing the features before {stop}: {name}", highlight=False)
        return cache_view(
            network.model,
            examples,
            stop=stop,
            image=network.image,
            policy=config.augment,
            key=jax.random.fold_in(key, view) if view else None,
            batch_size=config.data.batch_size,
            mesh=mesh,
            folder=config.workdir / "features",
        )

    views = [cached(train, v, f"training view {v + 1} of {count}") for v in range(count)]
    return Material(views, cached(validation, 0, "validation"), stop)


class _Run:
    """The epochs of one run."""

    def __init__(
        self, config: Config, network: Network, material: Material, split_hash: str, mesh: Mesh
    ) -> None:
        self.config, self.network, self.material = config, network, material
        self.split_hash, self.mesh = split_hash, mesh
        self.key = jax.random.key(config.train.seed)
        self.steps_per_epoch = -(-len(material.views[0]) // config.data.batch_size)
        self.tx = network.optimizer(config.optim, self.steps_per_epoch * config.train.epochs)
        self.step: Step = make_train_step(
            network.training_view,
            self.tx,
            image=network.image,
            policy=config.augment,
            mesh=mesh,
            start=material.start,
        )
        self.forward: Forward = make_forward(
            network.model, image=network.image, mesh=mesh, start=material.start
        )

    def train(self, checkpoints: Checkpoints, events: Events, console: Console) -> Meta:
        state = self.network.initial_state(self.tx, self.mesh)
        meta = Meta(self.config, self.network.image, self.split_hash, 0, [], 0, math.inf)
        resumed = checkpoints.last(state, self.mesh)
        if resumed:
            state, meta = resumed
            meta.check_split(self.split_hash)
            console.print(f"resumed after epoch {meta.epoch}", highlight=False)
        with progress_bar(
            console,
            steps=self.config.train.epochs * self.steps_per_epoch,
            done=meta.epoch * self.steps_per_epoch,
            batch_size=self.config.data.batch_size,
        ) as bar:
            while not self._finished(meta):
                bar.epoch(meta.epoch + 1, self.config.train.epochs)
                state, trained = self._epoch(state, meta.epoch, bar)
                row = {"epoch": meta.epoch + 1, **trained, **self._validate(state)}
                meta = self._record(meta, row)
                if meta.best_epoch == meta.epoch:
                    checkpoints.save_best(state, meta)
                checkpoints.save_last(state, meta)
                events.write(meta.epoch, {k: v for k, v in row.items() if k != "epoch"})
                bar.note("  ".join(f"{k} {_shown(v)}" for k, v in row.items()))
        _write_history(self.config.workdir, meta)
        return meta

    def _finished(self, meta: Meta) -> bool:
        waited = meta.epoch - meta.best_epoch
        return meta.epoch >= self.config.train.epochs or waited >= self.config.train.patience

    def _epoch(
        self, state: TrainState, epoch: int, bar: Bar
    ) -> tuple[TrainState, dict[str, float]]:
        examples = self.material.views[epoch % len(self.material.views)]
        batches = training_batches(
            examples,
            batch_size=self.config.data.batch_size,
            seed=self.config.train.seed,
            epoch=epoch,
        )
        total, pending = None, None
        first = int(state.step) + 1
        for offset, batch in enumerate(batches):
            placed = jax.device_put(batch, by_study(self.mesh))
            state, metrics = self.step(state, placed, self.key)
            total = metrics if total is None else total.merge(metrics)
            # The figures of the step before: asking for this one's would stall the device.
            if pending is not None:
                self._report(pending, first + offset - 1, bar)
            pending = metrics
        if total is None:
            raise AssertionError("an epoch has one batch at least")
        self._report(pending, int(state.step), bar)
        return state, {f"train_{k}": float(v) for k, v in total.compute().items()}

    def _report(self, metrics: Any, step: int, bar: Bar) -> None:
        loss = float(metrics.compute()["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} at step {step} of {self.config.workdir}: training stopped "
                f"between steps {max(step - 1, 1)} and {step + 1}; the checkpoints of the last "
                "finished epoch are kept; try a lower --optim.learning-rate"
            )
        bar.step(loss)

    def _validate(self, state: TrainState) -> dict[str, float]:
        examples = self.material.validation
        logits = predict_logits(
            self.forward, state.params, state.batch_stats, examples, self.config.data.batch_size
        )
        per_study = losses.loss(jnp.asarray(logits), jnp.asarray(examples.label))
        right = losses.correct(jnp.asarray(logits), jnp.asarray(examples.label))
        row = {
            "validation_loss": float(np.mean(np.asarray(per_study, np.float64))),
            "validation_accuracy": float(np.mean(np.asarray(right, np.float64))),
        }
        if not math.isfinite(row["validation_loss"]):
            raise UserError(
                f"the validation loss of {self.config.workdir} is {row['validation_loss']} after "
                f"step {int(state.step)}; the checkpoints of the last finished epoch are kept; try "
                "a lower --optim.learning-rate"
            )
        if logits.shape[1] == 1:
            row["validation_auc"] = auc(examples.label, logits[:, 0].astype(np.float64))
        return row

    def _record(self, meta: Meta, row: dict[str, Any]) -> Meta:
        better = row["validation_loss"] < meta.best_loss
        return Meta(
            config=self.config,
            image=self.network.image,
            split_hash=self.split_hash,
            epoch=row["epoch"],
            history=[*meta.history, row],
            best_epoch=row["epoch"] if better else meta.best_epoch,
            best_loss=row["validation_loss"] if better else meta.best_loss,
        )


def _shown(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _write_history(workdir: Path, meta: Meta) -> None:
    (workdir / "history.json").write_text(json.dumps(meta.history, indent=2) + "\n")
