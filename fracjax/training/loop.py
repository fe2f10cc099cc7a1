"""`fit_members`: from a config to a trained run in its workdir, and the loop that it runs.

Several networks are trained in one program. They need not be at the same epoch: one may have
stopped, or been saved further than another when the run was killed. A network with nothing to do
is idle in the program, which has one shape.
"""

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import jax
from jax.sharding import Mesh
from rich.console import Console

from fracjax.config import Config, io
from fracjax.errors import InputError
from fracjax.loading.dataset_view import SEEN_BEFORE, open_dataset, seen_files
from fracjax.loading.second_task import numbers, second_task
from fracjax.models.build import images_of
from fracjax.models.own_backbone import source_digest
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.disk_space import check_room, naming_full_disk
from fracjax.runtime.multihost import check_same_on_all_hosts, check_shared, run_on_main
from fracjax.runtime.sharding import data_mesh
from fracjax.runtime.stopwatch import Stopwatch
from fracjax.runtime.termination import Ended, HeldBack, held_back
from fracjax.runtime.workdir_lock import only_writer
from fracjax.training import checkpoint, checks, starting_run
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import is_sweep, member_configs
from fracjax.training.epoch import train_epoch
from fracjax.training.forward import logits_of, make_forward
from fracjax.training.loaders import make_loader
from fracjax.training.model import init
from fracjax.training.progress import Bar, Profile
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
    way_out = "make room there, or name another --workdir"
    with ExitStack() as opened:
        opened.enter_context(naming_full_disk(config.workdir, way_out))
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
        need = sum(trainer.bytes_to_save for trainer in trainers)
        run_on_main(lambda: check_room(config.workdir, need, "training", way_out), "room")
        profile = Profile(config.workdir / "profile", profile_steps, console)
        # What is under way is closed within, too: a save is not broken off.
        with held_back("the step is finished and saved") as stop, opened.pop_all():
            train_epochs(trainers, mesh, console, profile, record, stop)
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
    stop: HeldBack,
) -> None:
    """Train until no network has an epoch ahead; each is validated and saved after each epoch.

    Raises:
      Ended: this process, or another one of the run, was asked to; all networks are saved.
    """
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
            try:
                each = train_epoch(loader, active, bar, profile, stop)
                for trainer, figures in zip(active, each, strict=True):
                    line = trainer.diverged
                    if line is None:
                        with jax.profiler.TraceAnnotation("validate"):
                            batches = stop.until_asked(loader.validation_batches(trainer))
                            variables = trainer.state.variables
                            logits = logits_of(forward, variables, batches, watch=watch)
                        line = trainer.finish_epoch(figures, logits[: len(trainer.data.validation)])
                    bar.note(
                        line if len(trainers) == 1 else f"{trainer.config.workdir.name}  {line}"
                    )
                time = watch.breakdown
                for trainer in active:  # not in the history, which a resumed run repeats to the bit
                    parts = {f"time_{what}": part for what, part in vars(time).items()}
                    trainer.log.write_events(trainer.meta.epoch, parts)
                bar.note(f"time: {time}")
                if stop.now():
                    raise Ended
            except Ended:
                for trainer in trainers:
                    trainer.save()
                record.save()
                saved = f"{first.config.workdir} is saved {first.standing}"
                if len(trainers) > 1:
                    saved = f"all {len(trainers)} networks are saved where they stand"
                stop.end(f"{saved}; the same command goes on from there")
            record.save()
