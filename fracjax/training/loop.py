"""`fit`: from a config to a trained run in its workdir. The only file that knows the others."""

import dataclasses
import functools
import math

import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from fracjax import config_file
from fracjax.config import NO_WEIGHTS, Config, Data
from fracjax.errors import UserError
from fracjax.evaluation import parse_rule
from fracjax.files import write_json
from fracjax.pipeline.parts import Dataset, open_dataset
from fracjax.pipeline.sampling import subset_rows
from fracjax.pipeline.stream import Examples
from fracjax.training import checkpoint
from fracjax.training.checkpoint import Meta
from fracjax.training.epochs import run_epochs
from fracjax.training.filter import Filter, open_filter
from fracjax.training.material import check_views, make_material
from fracjax.training.member import Member
from fracjax.training.members import member_configs
from fracjax.training.network import abstract_network, build_network, network_tables
from fracjax.training.phases import next_place
from fracjax.training.sharding import check_batch, data_mesh
from fracjax.weights import store

# Fields that may differ between the runs that share a workdir: where things lie, and for how long.
MAY_CHANGE = ("workdir:", "data.dir:")


def fit(config: Config, console: Console) -> Meta:
    """Train the one network of a config; as `fit_members`."""
    (meta,) = fit_members(config, console)
    return meta


def fit_members(config: Config, console: Console) -> list[Meta]:
    """Train every network of a run until its phases are over; resume those that have a state.

    One network is trained by itself, several (an ensemble, folds) in one program: each step takes
    all of them, each on its own studies with its own randomness.

    Args:
      config: the run.
      console: where the progress goes.

    Returns:
      What the last checkpoint says of each network.

    Raises:
      UserError: bad input, before anything is overwritten; or a loss that is not finite, with the
        last good checkpoint kept.
    """
    mesh = data_mesh()
    check_run(config)
    check_weights(config)
    check_batch(config.data.batch_size, mesh)
    configs = member_configs(config)
    for one in configs:
        _check_workdir(one)
    dataset = open_dataset(config.data)
    detector = open_filter(config.data.filter, mesh) if config.data.filter else None
    identity = detector.identity if detector else None
    new = [
        Meta(one, abstract_network(one).image, dataset.split.hash, 0, [], 0, math.inf, identity)
        for one in configs
    ]
    finished = [_finished_run(meta) for meta in new]
    done = [meta for meta in finished if meta is not None]
    if len(done) == len(configs):
        return done
    if len(configs) > 1:
        _claim(config)
    members = _members(new, dataset, detector, mesh, console, config)
    try:
        for member in members:
            member.begin(console)
        run_epochs(members, mesh, console)
    finally:
        for member in members:
            member.close()
    return [member.meta for member in members]


def check_run(config: Config) -> None:
    """Refuse what can be refused without a file: threshold rule, network, cuts, cached views.

    Raises:
      UserError: as it says.
    """
    parse_rule(config.threshold)
    network_tables(config)
    check_views(config)


def check_weights(config: Config) -> None:
    """Refuse weights that are not there or of another network, without reading their arrays.

    Raises:
      UserError: as it says, with the way to get them.
    """
    if config.model.weights != NO_WEIGHTS:
        store.check(config.model.weights, model=config.model.name)


def _members(
    new: list[Meta],
    dataset: Dataset,
    detector: Filter | None,
    mesh: Mesh,
    console: Console,
    config: Config,
) -> list[Member]:
    @functools.cache  # members of an ensemble share them
    def studies(data: Data) -> tuple[Examples, Examples]:
        return _studies(dataclasses.replace(dataset, data=data), detector)

    members = []
    for meta in new:
        one = meta.config
        train, validation = studies(one.data)
        if one.data.subset < 1:
            rows = subset_rows(train.label, train.group, share=one.data.subset, seed=one.train.seed)
            train = train.take(rows)
        _check_classes(one, train, validation)
        _claim(one)
        console.print(
            f"{one.workdir}: {len(train)} studies of {dataset.prepared.name} to train on, "
            f"{len(validation)} to validate on, split {dataset.split.hash[:12]}, "
            f"{mesh.size} device(s)",
            highlight=False,
        )
        network = build_network(one)
        folder = config.workdir / "features"
        material = make_material(one, network, train, validation, mesh, console, folder)
        members.append(Member(meta, network, material, mesh))
    return members


def _studies(dataset: Dataset, detector: Filter | None) -> tuple[Examples, Examples]:
    train, validation = dataset.part("train"), dataset.part("validation")
    if detector:
        train = train.take(detector.passing(dataset, "train"))
        validation = validation.take(detector.passing(dataset, "validation"))
    return train, validation


def _check_workdir(config: Config) -> None:
    workdir = config.workdir
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir {workdir} is a file; name a folder")
    # A run without a finished epoch has nothing to lose: its config may be mended.
    kept = [which for which in ("last", "best") if checkpoint.has(workdir, which)]
    if not kept:
        return
    theirs = checkpoint.read_meta(workdir, kept[0]).config
    # A cycle is drawn over all epochs of a phase: another number of them is another schedule.
    last = f"phases.{len(config.phases) - 1}.epochs:"
    may_change = MAY_CHANGE + (() if config.phases[-1].schedule == "one_cycle" else (last,))
    changed = [d for d in config_file.differences(config, theirs) if not d.startswith(may_change)]
    if changed:
        raise UserError(
            f"{workdir} is the run of another config ({'; '.join(changed)}, this one "
            "first); name another --workdir, or train with that config to continue it"
        )


def _finished_run(new: Meta) -> Meta | None:
    """What a network that needs no further epoch says of itself; None if there is work to do."""
    workdir = new.config.workdir
    if not checkpoint.has(workdir, "last"):
        return None
    meta = checkpoint.read_meta(workdir, "last")
    meta.check_split(new.split_hash)
    meta.check_filter(new.filter)
    return meta if next_place(meta.history, new.config) is None else None


def _claim(config: Config) -> None:
    config.workdir.mkdir(parents=True, exist_ok=True)
    write_json(checkpoint.config_path(config.workdir), config_file.to_dict(config))


def _check_classes(config: Config, *parts: Examples) -> None:
    for part, examples in zip(("train", "validation"), parts, strict=True):
        counts = np.bincount(examples.label, minlength=len(config.data.classes))
        lost = [c for c, n in zip(config.data.classes, counts, strict=True) if n == 0]
        if lost and config.data.filter:
            raise UserError(
                f"the detector in {config.data.filter} lets no {part} study of {', '.join(lost)} "
                "pass; choose its threshold for more sensitivity, or leave data.filter out"
            )
        if lost:
            raise UserError(
                f"{config.workdir} has no {part} study of {', '.join(lost)}; raise data.subset, or "
                "leave the class out"
            )
