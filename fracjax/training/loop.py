"""`fit`: from a config to a trained run in its workdir. The only file that knows the others."""

import dataclasses
import math
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
from fracjax.files import write_json
from fracjax.pipeline.parts import open_dataset
from fracjax.pipeline.stream import Examples, training_batches
from fracjax.training import checkpoint, losses
from fracjax.training.checkpoint import Checkpoints, Meta
from fracjax.training.events import Events
from fracjax.training.filter import open_filter
from fracjax.training.material import Material, check_views, make_material
from fracjax.training.network import Network, build_network, network_table
from fracjax.training.predict import Forward, make_forward, predict_logits
from fracjax.training.progress import Bar, progress_bar
from fracjax.training.sharding import by_study, check_batch, data_mesh
from fracjax.training.state import TrainState
from fracjax.training.step import Step, make_train_step

# Fields that may differ between the runs that share a workdir: where things lie, and for how long.
MAY_CHANGE = ("workdir:", "data.dir:", "train.epochs:")


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
    check_run(config)
    check_batch(config.data.batch_size, mesh)
    _check_workdir(config)
    dataset = open_dataset(config.data)
    detector = open_filter(config.data.filter, mesh) if config.data.filter else None
    identity = detector.identity if detector else None
    if (done := _finished_run(config)) is not None:
        done.check_split(dataset.split.hash)
        done.check_filter(identity)
        return done
    network = build_network(config)
    check_views(config, network)
    train, validation = dataset.part("train"), dataset.part("validation")
    if detector:
        train = train.take(detector.passing(dataset, "train"))
        validation = validation.take(detector.passing(dataset, "validation"))
        _check_filtered(config, train, validation)
    _claim(config)
    console.print(
        f"{dataset.prepared.name}: {len(train)} studies to train on, {len(validation)} to validate "
        f"on, split {dataset.split.hash[:12]}, {mesh.size} device(s)",
        highlight=False,
    )
    material = make_material(config, network, train, validation, mesh, console)
    new = Meta(config, network.image, dataset.split.hash, 0, [], 0, math.inf, identity)
    run = _Run(new, network, material, mesh)
    with Checkpoints(config.workdir) as checkpoints, Events(config.workdir) as events:
        return run.train(checkpoints, events, console)


def check_run(config: Config) -> None:
    """Refuse what can be refused at no cost: threshold rule, network, cut.

    Raises:
      UserError: as it says.
    """
    parse_rule(config.threshold)
    network_table(config)


def _check_workdir(config: Config) -> None:
    workdir = config.workdir
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir {workdir} is a file; name a folder")
    # A run without a finished epoch has nothing to lose: its config may be mended.
    kept = [which for which in ("last", "best") if checkpoint.has(workdir, which)]
    if not kept:
        return
    theirs = checkpoint.read_meta(workdir, kept[0]).config
    # A schedule is drawn over all epochs: another number of them is another schedule.
    may_change = MAY_CHANGE if config.optim.schedule == "constant" else MAY_CHANGE[:2]
    changed = [d for d in config_lib.differences(config, theirs) if not d.startswith(may_change)]
    if changed:
        raise UserError(
            f"{workdir} is the run of another config ({'; '.join(changed)}, this one "
            "first); name another --workdir, or train with that config to continue it"
        )


def _is_finished(meta: Meta, config: Config) -> bool:
    waited = meta.epoch - meta.best_epoch
    return meta.epoch >= config.train.epochs or waited >= config.train.patience


def _finished_run(config: Config) -> Meta | None:
    """What a run that needs no further epoch says of itself; None if there is something to do."""
    if not checkpoint.has(config.workdir, "last"):
        return None
    meta = checkpoint.read_meta(config.workdir, "last")
    return meta if _is_finished(meta, config) else None


def _claim(config: Config) -> None:
    config.workdir.mkdir(parents=True, exist_ok=True)
    write_json(checkpoint.config_path(config.workdir), config_lib.to_dict(config))


def _check_filtered(config: Config, *parts: Examples) -> None:
    for part, examples in zip(("train", "validation"), parts, strict=True):
        counts = np.bincount(examples.label, minlength=len(config.data.classes))
        lost = [c for c, n in zip(config.data.classes, counts, strict=True) if n == 0]
        if lost:
            raise UserError(
                f"the detector in {config.data.filter} lets no {part} study of {', '.join(lost)} "
                "pass; choose its threshold for more sensitivity, or leave data.filter out"
            )


class _Run:
    """The epochs of one run."""

    def __init__(self, new: Meta, network: Network, material: Material, mesh: Mesh) -> None:
        config = new.config
        self.new, self.config, self.network, self.mesh = new, config, network, mesh
        self.material = material
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
        meta = self.new
        resumed = checkpoints.last(state, self.mesh)
        if resumed:
            state, meta = resumed
            meta.check_split(self.new.split_hash)
            meta.check_filter(self.new.filter)
            console.print(f"resumed after epoch {meta.epoch}", highlight=False)
        with progress_bar(
            console,
            steps=self.config.train.epochs * self.steps_per_epoch,
            done=meta.epoch * self.steps_per_epoch,
            batch_size=self.config.data.batch_size,
        ) as bar:
            while not _is_finished(meta, self.config):
                bar.epoch(meta.epoch + 1, self.config.train.epochs)
                state, trained = self._epoch(state, meta.epoch, bar)
                row = {"epoch": meta.epoch + 1, **trained, **self._validate(state)}
                meta = self._record(meta, row)
                if meta.best_epoch == meta.epoch:
                    checkpoints.save_best(state, meta)
                checkpoints.save_last(state, meta)
                write_json(self.config.workdir / "history.json", meta.history)
                events.write(meta.epoch, {k: v for k, v in row.items() if k != "epoch"})
                bar.note("  ".join(f"{k} {_shown(v)}" for k, v in row.items()))
        return meta

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
                f"between steps {max(step - 1, 1)} and {step + 1}; {self._way_out()}"
            )
        bar.step(loss)

    def _way_out(self) -> str:
        if checkpoint.has(self.config.workdir, "last"):
            kept = "the checkpoints of the last finished epoch are kept; try another --workdir with"
        else:
            kept = "no epoch was finished; try"
        return f"{kept} a lower --optim.learning-rate"

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
                f"step {int(state.step)}; {self._way_out()}"
            )
        if logits.shape[1] == 1:
            row["validation_auc"] = auc(examples.label, logits[:, 0].astype(np.float64))
        return row

    def _record(self, meta: Meta, row: dict[str, Any]) -> Meta:
        better = row["validation_loss"] < meta.best_loss
        return dataclasses.replace(
            self.new,
            epoch=row["epoch"],
            history=[*meta.history, row],
            best_epoch=row["epoch"] if better else meta.best_epoch,
            best_loss=row["validation_loss"] if better else meta.best_loss,
        )


def _shown(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
