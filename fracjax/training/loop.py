"""`fit`: from a config to a trained run in its workdir. The only file that knows the others."""

import dataclasses
import functools
import json
import math
from contextlib import ExitStack

import jax
import numpy as np
from rich.console import Console

from fracjax.config import NO_WEIGHTS, Config, Data, io
from fracjax.errors import InputError
from fracjax.evaluation import parse_rule
from fracjax.inference import calibration
from fracjax.inference.detector_gate import DetectorGate, open_detector_gate
from fracjax.inference.model_bundle import read_detector
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset, open_dataset
from fracjax.loading.sampling import subset_rows
from fracjax.models.build import IMAGES
from fracjax.pretrained import store
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.multihost import check_same_on_all_hosts, check_shared
from fracjax.runtime.sharding import check_batch, data_mesh
from fracjax.runtime.workdir_lock import only_writer
from fracjax.training import checkpoint
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import MEMBER, is_sweep, member_configs, swept_dirs
from fracjax.training.epochs import run_epochs
from fracjax.training.network import build_network
from fracjax.training.profiling import Profile
from fracjax.training.schedule import next_epoch
from fracjax.training.trainer import Trainer
from fracjax.training.training_data import check_views, make_training_data

# Fields that may differ between the runs that share a workdir: where things lie, and for how long.
# The detector may lie elsewhere, too: `CheckpointMetadata.check_filter` knows it by what it is.
# Both modes, and every number of workers and of steps at a time, give the same batches.
MAY_CHANGE = (
    "workdir:",
    "data.dir:",
    "data.filter:",
    "data.mode:",
    "data.workers:",
    "train.steps_per_dispatch:",
    "train.checkpoint_steps:",
)


def fit(config: Config, console: Console) -> CheckpointMetadata:
    """Train the one network of a config; as `fit_members`.

    Raises:
      UserError: the config makes several; or as `fit_members`.
    """
    if len(member_configs(config)) > 1:
        raise InputError("this config makes several networks; train them with fit_members")
    return fit_members(config, console)[0]


def fit_members(
    config: Config, console: Console, *, profile_steps: int = 0
) -> list[CheckpointMetadata]:
    """Train every network of a run until its phases are over; resume those that have a state.

    One network is trained by itself, several (an ensemble, folds, a sweep) in one program: each
    step takes all of them, each on its own studies with its own randomness.

    Args:
      config: the run.
      console: where the progress goes.
      profile_steps: steps to trace with JAX's profiler, into `WORKDIR/profile`; 0 for none.

    Returns:
      What the last checkpoint says of each network. One of a sweep whose loss was not finite has
      epochs left.

    Raises:
      UserError: bad input, before anything is overwritten; or a loss that is not finite, with the
        last good checkpoint kept. Within a sweep that ends one run only.
    """
    mesh = data_mesh()
    check_run(config)
    check_weights(config)
    check_filter(config)
    check_batch(config.data.batch_size, mesh)
    configs = member_configs(config)
    check_workdir(config)
    dataset = open_dataset(config.data)
    detector = open_detector_gate(config.data.filter, mesh) if config.data.filter else None
    identity = detector.identity if detector else None
    image = IMAGES[config.model.name]
    new = []
    for one in configs:
        own = dataclasses.replace(dataset, data=one.data)
        channels = own.form.channels
        new.append(
            CheckpointMetadata(one, image, own.split_hash, 0, [], 0, math.inf, channels, identity)
        )
    check_same_on_all_hosts(_facts(new))
    finished = [_finished_run(meta) for meta in new]
    done = [meta for meta in finished if meta is not None]
    if len(done) == len(configs):
        if profile_steps:
            console.print(
                f"{config.workdir} is trained: nothing was profiled; name another --workdir"
            )
        return done
    studies = _studies(new, dataset, detector)
    config.workdir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        opened.enter_context(only_writer(config.workdir))
        check_workdir(config)  # again: another run may have ended there since
        if len(configs) > 1:
            _claim(config)
        members = []
        for meta, (train, validation) in zip(new, studies, strict=True):
            one = meta.config
            _claim(one)
            console.print(
                f"{one.workdir}: {len(train)} studies of {dataset.prepared.name} to train on, "
                f"{len(validation)} to validate on, split {meta.split_hash[:12]}, "
                f"{mesh.size} device(s)",
                highlight=False,
            )
            network = build_network(one)
            folder = config.workdir / "features"
            material = make_training_data(one, network, train, validation, mesh, console, folder)
            member = Trainer(meta, network, material, mesh, ends_alone=is_sweep(config))
            members.append(opened.enter_context(member))
        for member in members:
            member.begin(console)
        profile = Profile(config.workdir / "profile", profile_steps, console)
        run_epochs(members, mesh, console, profile)
    return [member.meta for member in members]


def check_run(config: Config) -> None:
    """Refuse what can be refused without a file: threshold rule, network, cuts, cached views.

    Raises:
      UserError: as it says.
    """
    problems = []
    for check in (lambda: parse_rule(config.threshold), lambda: check_views(config)):
        try:
            check()
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(dict.fromkeys(problems)))


def check_weights(config: Config) -> None:
    """Refuse weights that are not there or of another network, without reading their arrays.

    Raises:
      UserError: as it says, with the way to get them.
    """
    if config.model.weights != NO_WEIGHTS:
        store.check(config.model.weights, model=config.model.name)


def check_filter(config: Config) -> None:
    """Refuse a detector that is not trained, or has no threshold yet, without reading its arrays.

    Raises:
      UserError: as it says.
    """
    detector = config.data.filter
    if detector is None:
        return
    try:
        calibration.read(detector, read_detector(detector))
    except InputError as error:
        raise InputError(
            f"data.filter is {detector}, which is no detector to train behind: {error}. Train one "
            "there first, or write --data.filter none"
        ) from error


def _studies(
    new: list[CheckpointMetadata], dataset: Dataset, detector: DetectorGate | None
) -> list[tuple[Examples, Examples]]:
    """What each network trains and validates on."""

    @functools.cache  # members of an ensemble share them
    def passing(data: Data) -> tuple[Examples, Examples]:
        ours = dataclasses.replace(dataset, data=data)
        train, validation = ours.part("train"), ours.part("validation")
        if detector:
            train = train.take(detector.passing(ours, "train"))
            validation = validation.take(detector.passing(ours, "validation"))
            _check_filtered(data, train, validation)
        return train, validation

    out = []
    for meta in new:
        data = meta.config.data
        train, validation = passing(data)
        if data.subset < 1:
            seed = meta.config.train.seed
            train = train.take(subset_rows(train.label, train.group, share=data.subset, seed=seed))
        out.append((train, validation))
    return out


def check_workdir(config: Config) -> None:
    """Refuse a workdir of another config, or of other networks than those of this one.

    Raises:
      UserError: naming what differs.
    """
    configs = member_configs(config)
    expected = {one.workdir for one in configs}
    there = {config.workdir, *config.workdir.glob(f"{MEMBER}*")}
    if not is_sweep(config):  # one may grow by rates and by seeds
        there.update(swept_dirs(config.workdir))
    others = [p.name for p in there - expected if any(checkpoint.has(p, w) for w in _KEPT)]
    if others:
        raise InputError(
            f"{config.workdir} holds a run of other networks ({', '.join(sorted(others))}) than "
            f"the {len(configs)} of this config; name another --workdir"
        )
    for one in configs:
        _check_member(one)


def _check_member(config: Config) -> None:
    workdir = config.workdir
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir {workdir} is a file; name a folder")
    # A run without a finished epoch has nothing to lose: its config may be mended.
    kept = [which for which in _KEPT if checkpoint.has(workdir, which)]
    if not kept:
        return
    theirs = checkpoint.read_meta(workdir, kept[0]).config
    # A cycle is drawn over all epochs of a phase: another number of them is another schedule.
    last = f"phases.{len(config.phases) - 1}.epochs:"
    may_change = MAY_CHANGE + (() if config.phases[-1].schedule == "one_cycle" else (last,))
    changed = [d for d in io.differences(config, theirs) if not d.startswith(may_change)]
    if changed:
        raise InputError(
            f"{workdir} is the run of another config ({'; '.join(changed)}, this one "
            "first); name another --workdir, or train with that config to continue it"
        )


def _finished_run(new: CheckpointMetadata) -> CheckpointMetadata | None:
    """What a network that needs no further epoch says of itself; None if there is work to do."""
    workdir = new.config.workdir
    if not checkpoint.has(workdir, "last"):
        return None
    meta = checkpoint.read_meta(workdir, "last")
    meta.check_continues(new)
    return meta if next_epoch(meta.history, new.config) is None else None


def _facts(new: list[CheckpointMetadata]) -> dict[str, str]:
    """What all processes of a run must see alike."""
    facts = {"devices": str(jax.local_device_count())}
    for meta in new:
        name = meta.config.workdir.name
        there = checkpoint.newest(meta.config.workdir, "last")
        facts |= {
            f"config of {name}": json.dumps(io.to_dict(meta.config)),
            f"split of {name}": meta.split_hash,
            f"checkpoint of {name}": there.name if there else "none",
        }
    return facts


def _claim(config: Config) -> None:
    config.workdir.mkdir(parents=True, exist_ok=True)
    check_shared(config.workdir)
    write_json(checkpoint.config_path(config.workdir), io.to_dict(config))


def _check_filtered(data: Data, *parts: Examples) -> None:
    for part, examples in zip(("train", "validation"), parts, strict=True):
        counts = np.bincount(examples.label, minlength=len(data.classes))
        lost = [c for c, n in zip(data.classes, counts, strict=True) if n == 0]
        if lost:
            raise InputError(
                f"the detector in {data.filter} lets no {part} study of {', '.join(lost)} pass; "
                "choose its threshold for more sensitivity, or write --data.filter none"
            )


_KEPT = ("last", "best")
