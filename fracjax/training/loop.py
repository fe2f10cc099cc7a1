"""`fit_members`: from a config to a trained run in its workdir, and the loop that it runs.

Several networks are trained in one program. They need not be at the same epoch: one may have
stopped, or been saved further than another when the run was killed. A network with nothing to do
is idle in the program, which has one shape.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from fracjax.config import Config, io
from fracjax.errors import InputError
from fracjax.loading.dataset_view import SEEN_BEFORE, open_dataset, seen_files
from fracjax.loading.second_task import numbers, second_task
from fracjax.models.build import images_of
from fracjax.models.own_backbone import source_digest
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.multihost import check_same_on_all_hosts, check_shared
from fracjax.runtime.sharding import data_mesh, replicate
from fracjax.runtime.stopwatch import Stopwatch
from fracjax.runtime.workdir_lock import only_writer
from fracjax.training import checkpoint, checks, starting_run
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import is_sweep, member_configs
from fracjax.training.forward import logits_of, make_forward
from fracjax.training.loaders import Loader, make_loader
from fracjax.training.model import init
from fracjax.training.progress import Bar, Profile
from fracjax.training.step import Metrics, stack_trees, unstack_trees
from fracjax.training.trainer import RunLog, Trainer
from fracjax.training.training_data import Detector, examples_of, make_training_data, with_outlines
from fracjax.training.training_record import TrainingRecord


def fit_members(
    config: Config,
    console: Console,
    *,
    open_detector: Callable[[Path, Mesh], Detector] | None = None,
    profile_steps: int = 0,
) -> list[CheckpointMetadata]:
    """Train every network of a run until its phases are over; resume those that have a state.

    One network is trained by itself, several (an ensemble, folds, a sweep) in one program: each
    step takes all of them, each on its own examples with its own randomness.

    `open_detector` opens that of `data.filter`, as `workflows.train.fit` has it done;
    `profile_steps` are traced with JAX's profiler, into `WORKDIR/profile`.

    Returns:
      What the last checkpoint says of each network. One of a sweep whose loss was not finite has
      epochs left.

    Raises:
      InputError: bad input, before anything is overwritten; or a loss that is not finite, with the
        last good checkpoint kept. Within a sweep that ends one run only.
    """
    mesh, detector = data_mesh(), None
    checks.check_before_training(config, mesh)
    if config.data.filter is not None:
        if open_detector is None:
            raise InputError("data.filter names a detector: train with fracjax.workflows.train.fit")
        detector = open_detector(config.data.filter, mesh)
    configs, dataset = member_configs(config), open_dataset(config.data)
    views = [dataclasses.replace(dataset, data=one.data) for one in configs]
    starts = starting_run.starts_of(config)
    start, weights_digest = starting_run.initial_arrays(config, starts, mesh)
    new = [
        CheckpointMetadata(
            config=one,
            image=images_of(one.model.name),
            split_hash=view.split_hash,
            channels=view.form.channels,
            depth=view.form.depth,
            filter=detector.identity if detector else None,
            started_from=starts,
            weights_digest=weights_digest,
            seen_files=seen_files(view),
            source_digest=source_digest(one.model.name),
            second_task=second_task(view, one.loss.second_task),
        )
        for one, view in zip(configs, views, strict=True)
    ]
    check_same_on_all_hosts(checks.shared_facts(new))
    done = [meta for meta in map(checks.finished_run, new) if meta is not None]
    if len(done) == len(configs):
        if profile_steps:
            console.print(
                f"{config.workdir} is trained: nothing was profiled; name another --workdir",
                markup=False,
            )
        return done
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    for view in {view.data.fold: view for view in views}.values():
        for part in SEEN_BEFORE:
            for audit in starting_run.audit(starts, view, part):
                say(f"leakage audit: {audit}")
    if starts:
        say(f"{config.workdir}: starts from {starting_run.describe(starts[0])}")
    examples = examples_of(configs, dataset, detector)
    if config.model.localise:
        examples = with_outlines(config, dataset, examples)
    config.workdir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        opened.enter_context(only_writer(config.workdir))
        checks.check_workdir(config)  # again: another run may have ended there since
        resumes = any(checkpoint.newest(one.workdir, "last") for one in configs)
        record = TrainingRecord(config.workdir, mesh, resumes=resumes)
        if len(configs) > 1:
            _create_workdir(config)
        trainers = []
        for meta, (train, validation) in zip(new, examples, strict=True):
            _create_workdir(meta.config)
            console.print(
                f"{meta.config.workdir}: {len(train)} studies of {dataset.prepared.name} to train "
                f"on, {len(validation)} to validate on, split {meta.split_hash[:12]}, "
                f"{mesh.size} device(s)",
                markup=False,
                highlight=False,
            )
            if meta.second_task:
                train = dataclasses.replace(train, second=numbers(train, meta.second_task))
            model, folder = init(meta.config, start), config.workdir / "features"
            data = make_training_data(meta.config, model, train, validation, mesh, console, folder)
            opened.enter_context(log := RunLog(meta.config.workdir))
            trainers.append(Trainer(meta, model, data, log, mesh, ends_alone=is_sweep(config)))
        for trainer in trainers:
            trainer.resume_or_init(console)
        profile = Profile(config.workdir / "profile", profile_steps, console)
        train_epochs(trainers, mesh, console, profile, record)
    return [trainer.meta for trainer in trainers]


def _create_workdir(config: Config) -> None:
    config.workdir.mkdir(parents=True, exist_ok=True)
    check_shared(config.workdir)
    write_json(checkpoint.config_path(config.workdir), io.to_dict(config))


def train_epochs(
    trainers: list[Trainer],
    mesh: Mesh,
    console: Console,
    profile: Profile,
    record: TrainingRecord,
) -> None:
    """Train until no network has an epoch ahead; each is validated and saved after each epoch."""
    first, watch, compiled = trainers[0], Stopwatch(), None
    loader, why = make_loader(trainers, mesh, watch)
    console.print(why, markup=False, highlight=False)
    forward = make_forward(
        first.model.model,
        image=first.model.image,
        mesh=mesh,
        start=first.data.start,
        colormap=first.config.data.colormap,
    )
    epochs = sum(phase.epochs for phase in first.config.phases)
    longest = max(trainer.steps for trainer in trainers)
    done = min(trainer.meta.epoch * longest + trainer.meta.step for trainer in trainers)
    images = first.config.data.batch_size * len(trainers)
    with Bar(console, epochs * longest, done, images, watch) as bar, profile:
        while ahead := [(to.phase, trainer) for trainer in trainers if (to := trainer.ahead)]:
            watch.begin()
            # All of a phase before any of the next: a phase is a program of its own.
            phase = min(number for number, _ in ahead)
            active = [trainer for number, trainer in ahead if number == phase]
            if phase != compiled:
                loader.compile(first.step_spec(phase))
                compiled = phase
            for trainer in active:
                trainer.start_epoch()
            bar.epoch(min(trainer.meta.epoch for trainer in active) + 1, epochs)
            each = _train_epoch(loader, active, bar, profile)
            for trainer, figures in zip(active, each, strict=True):
                line = trainer.diverged
                if line is None:
                    with jax.profiler.TraceAnnotation("validate"):
                        batches = loader.validation_batches(trainer)
                        logits = logits_of(forward, trainer.state.variables, batches, watch=watch)
                    line = trainer.finish_epoch(figures, logits[: len(trainer.data.validation)])
                bar.note(line if len(trainers) == 1 else f"{trainer.config.workdir.name}  {line}")
            time = watch.breakdown
            for trainer in active:  # not in the history, which a resumed run repeats to the bit
                parts = {f"time_{what}": part for what, part in vars(time).items()}
                trainer.log.write_events(trainer.meta.epoch, parts)
            bar.note(f"time: {time}")
            record.save()


def _train_epoch(
    loader: Loader, active: list[Trainer], bar: Bar, profile: Profile
) -> list[dict[str, float]]:
    """One epoch of the active networks, or what is left of it; their figures."""
    trainers, count = loader.trainers, len(loader.trainers)
    # A stand-in for an idle network: its own state may be that of another phase.
    stand_ins = [t if t in active else active[0] for t in trainers]
    state = stack_trees([t.state for t in stand_ins])
    total = stack_trees([Metrics.of(t.meta.sums if t in active else {}) for t in trainers])
    key = stack_trees([t.key for t in trainers])
    state, total, key = replicate(loader.mesh, (state, total, key))
    begin = [t.meta.step if t in active else 0 for t in trainers]
    # Of all networks, active or not, and of all steps: another length would be another program.
    longest = max(t.steps for t in trainers)
    rates = [
        t.learning_rate[np.minimum(first + np.arange(longest), t.steps - 1)]
        for t, first in zip(stand_ins, begin, strict=True)
    ]
    loader.start([t in active for t in trainers], begin, key, np.stack(rates))
    steps = max(t.steps - t.meta.step for t in active)
    every = trainers[0].config.train.checkpoint_steps
    reached = [(0, total)]
    for chunk in plan(steps, loader.chunk, every, profile):
        take = partial(loader.take, state, total, chunk)
        state, total = profile.dispatch(chunk, take)
        reached.append((chunk.stop, total))
        # The figures of the dispatch before: asking for this one's would stall the devices.
        if len(reached) > 2:
            _report(loader, active, bar, reached.pop(0), reached[0])
        if every and chunk.stop % every == 0:
            loader.watch.results(total)
            states, totals = unstack_trees(state, count), unstack_trees(total, count)
            for i, trainer in enumerate(trainers):
                step, sums = begin[i] + chunk.stop, totals[i].sums()
                goes_on = trainer in active and step < trainer.steps
                if goes_on and _is_finite(trainer, sums["loss"][0]):
                    trainer.save_within_epoch(states[i], step, sums)
    _report(loader, active, bar, *reached)
    states, totals = unstack_trees(state, count), unstack_trees(total, count)
    figures = []
    for trainer, own, metrics in zip(trainers, states, totals, strict=True):
        if trainer in active:
            trainer.state = own
            figures.append(metrics.means())
    return figures


def plan(steps: int, most: int, every: int, profile: Profile) -> Iterator[range]:
    """The dispatches of an epoch, of `most` steps at most; 0 for no limit.

    One ends after `every` so many steps, for a checkpoint (0 for none), and where a trace does.
    """
    done = 0
    while done < steps:
        stop = min(done + (most or steps), steps)
        if every:
            stop = min(stop, (done // every + 1) * every)
        chunk = range(done, done + profile.clip(stop - done))
        yield chunk
        done = chunk.stop


def _report(
    loader: Loader,
    active: list[Trainer],
    bar: Bar,
    before: tuple[int, Metrics],
    now: tuple[int, Metrics],
) -> None:
    """Show the mean loss of the steps between two moments; stop at one that is not finite."""
    loader.watch.results(now[1])
    # Fetched before they are summed: JAX's own sum would queue behind the step that is running.
    loss, count, loss_before, count_before = (
        np.atleast_1d(np.asarray(x))
        for metrics in (now[1], before[1])
        for x in (metrics.loss.total, metrics.loss.count)
    )
    for trainer, total in zip(loader.trainers, loss, strict=True):
        if trainer in active:
            _is_finite(trainer, float(total))
    finite = np.isfinite(loss)
    gained, examples = loss[finite] - loss_before[finite], (count - count_before)[finite]
    mean = gained.sum() / max(examples.sum(), 1)
    bar.step(float(mean), now[0] - before[0])


def _is_finite(trainer: Trainer, loss: float) -> bool:
    """Whether a loss is a number; if not, the network is stopped."""
    if not math.isfinite(loss) and trainer.diverged is None:
        trainer.stop_at_nonfinite_loss(f"loss in epoch {trainer.meta.epoch + 1}", loss)
    return trainer.diverged is None
