"""A trained run that another one starts from: its network, and the studies that it has seen."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fracjax.config import Config, io
from fracjax.config.class_names import class_key
from fracjax.datasets.leakage import Leakage, Seen, audit_leakage
from fracjax.errors import InputError
from fracjax.loading.dataset_view import SEEN_BEFORE, Dataset, seen_studies, studies_of
from fracjax.models.backbone import digest, leaf_shapes
from fracjax.models.own_backbone import note_if_edited
from fracjax.pretrained import store
from fracjax.training import checkpoint
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import (
    joined_runs,
    member_configs,
    member_dirs,
    subset_dirs,
    swept_dirs,
)
from fracjax.training.model import abstract, variables_of

Start = dict[str, Any]
"""What a checkpoint says of a run that its network was started from: `config`, `split_hash`,
`epoch`, `seen_files`, and in words why there is a `new_head`, "" where the head was taken, too.
Plain values, fit for JSON."""


def starting_run(config: Config) -> CheckpointMetadata | None:
    """What the run that `model.weights` names says of itself; None where it names none.

    Raises:
      InputError: no run there, one of several networks, or one whose backbone is another.
    """
    workdir = config.model.weights
    if workdir is None or not workdir.is_dir():  # nothing, or a converted file
        return None
    finders = (member_dirs, swept_dirs, subset_dirs, joined_runs)
    _refuse_several(workdir, [folder for find in finders for folder in find(workdir)])
    try:
        meta = checkpoint.read_meta(workdir)
    except InputError as error:
        raise InputError(f"model.weights is {workdir}, no run to start from: {error}") from error
    check_fits(meta.config, config)
    return meta


def starts_later(config: Config, source: Config) -> bool:
    """Whether `model.weights` names a run, or a network of one, that `source` is yet to train.

    Raises:
      InputError: it does, and that will be several networks, or one whose backbone is another.
    """
    workdir = config.model.weights
    if workdir is None or checkpoint.newest(workdir, "best"):
        return False
    configs = {one.workdir.absolute(): one for one in member_configs(source)}
    if workdir.absolute() == source.workdir.absolute():
        _refuse_several(workdir, [one for one in configs if one != workdir.absolute()])
    if found := configs.get(workdir.absolute()):
        check_fits(found, config)
    return found is not None


def _refuse_several(workdir: Path, folders: Sequence[Path]) -> None:
    if several := [one for one in folders if one != workdir]:
        raise InputError(
            f"model.weights is {workdir}, a run of {len(several)} networks; name one of them, such "
            f"as {several[0]}"
        )


def check_fits(source: Config, config: Config) -> None:
    """Refuse a run whose backbone is another than that of a run to be started from it.

    Raises:
      InputError: listing every field in which it is.
    """
    found = []
    for group, name in (("model", "name"), ("model", "width"), ("data", "image_size")):
        there, here = (getattr(getattr(it, group), name) for it in (source, config))
        with_ours = dataclasses.replace(getattr(source, group), **{name: here})
        with_ours = dataclasses.replace(source, **{group: with_ours})
        # Side and width need not matter to a backbone.
        if there != here and (name == "name" or _shapes(with_ours) != _shapes(source)):
            found.append(f"{group}.{name} is {there} there and {here} here")
    if not found and _shapes(config) != _shapes(source):
        found.append("its arrays have other shapes")
    if found:
        raise InputError(
            f"model.weights is {config.model.weights}, whose backbone is another: "
            f"{'; '.join(found)}. Give this run the values of that one, or name other weights"
        )


def starts_of(config: Config) -> list[Start]:
    """What a run of this config starts from, what that one was started from, and so on."""
    if (meta := starting_run(config)) is None:
        return []
    own = {
        "config": io.to_dict(meta.config),
        "split_hash": meta.split_hash,
        "epoch": meta.epoch,
        "new_head": _why_new_head(meta.config, config),
        "seen_files": meta.seen_files,
    }
    return [own, *meta.started_from]


def describe(start: Start) -> str:
    """What a network was started from, in words."""
    of, why = start["config"], start["new_head"]
    return (
        f"epoch {start['epoch']} of {of['workdir']}, trained on {of['data']['name']} (split "
        f"{start['split_hash'][:12]}), {f'with a new head, for {why}' if why else 'with its head'}"
    )


def initial_arrays(
    config: Config, starts: Sequence[Start], mesh: Mesh
) -> tuple[dict[str, Any] | None, str]:
    """What `model.weights` holds: the arrays of a run, and the digest of those of run or file.

    Of a run these are the `params` and `batch_stats` of the backbone of its best epoch, and of the
    head if it is taken. Nothing is None and "".

    Raises:
      InputError: the run has another epoch now, the file is damaged or gone.
    """
    workdir = config.model.weights
    if workdir is None:
        return None, ""
    if not starts:
        return None, digest(store.load(workdir, model=config.model.name)[0])
    meta = starting_run(config)
    assert meta is not None, "it has a start"
    if meta.epoch != starts[0]["epoch"]:
        raise InputError(f"{workdir} is being trained: its best epoch has changed; start again")
    note_if_edited(meta.config.model.name, meta.source_digest, workdir)
    like = variables_of(abstract(meta.config).model)
    found = jax.tree.map(np.asarray, checkpoint.restore_network(workdir, like, mesh))
    taken = found
    if starts[0]["new_head"]:
        taken = {kind: {"backbone": tree["backbone"]} for kind, tree in found.items() if tree}
    return taken, digest(found)


def audit(
    starts: Sequence[Start],
    dataset: Dataset,
    part: str,
    data_dir: Path | None = None,
    way_out: str = "Start from other weights, or leave these studies out",
) -> tuple[Leakage, ...]:
    """Compare a part with what the runs that a network was started from were trained on.

    And with their validation studies, unless the part is validation. Of files that are no longer at
    hand the digests are compared, and the audit says so.

    Raises:
      InputError: studies have leaked (`way_out` says what to do).
    """
    return tuple(
        audit_leakage(seen, studies_of(dataset, part), way_out)
        for start in starts
        for seen in seen_by(start, part, data_dir)
    )


def seen_by(start: Start, part: str, data_dir: Path | None = None) -> list[Seen]:
    """What a run had seen that is no study of `part`, as of `seen_studies`."""
    config = io.from_dict(start["config"])
    return seen_studies(config, start["seen_files"], SEEN_BEFORE[part], data_dir)


def _shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Of the arrays of its backbone; none where it would be impossible."""
    try:
        variables = variables_of(abstract(config).model)
    except InputError:  # a width that this one has not, a side that it does not take
        return {}
    shapes = leaf_shapes(variables["params"]) | leaf_shapes(variables["batch_stats"])
    return {name: shape for name, shape in shapes.items() if name.startswith("backbone/")}


def _why_new_head(theirs: Config, ours: Config) -> str:
    """What a head would be taken to that it is not for; empty where it is taken."""
    there, here = (tuple(map(class_key, it.data.classes)) for it in (theirs, ours))
    kinds = theirs.model.head, ours.model.head
    names = f"{', '.join(theirs.data.classes)} there, {', '.join(ours.data.classes)} here"
    if set(there) != set(here):
        return f"other classes ({names})"
    if there != here:
        return f"the same classes in another order ({names})"
    if theirs.model.localise != ours.model.localise:
        return f"a map of findings {'there' if theirs.model.localise else 'here'} alone"
    if len(here) == 2 and len(set(kinds)) == 2:
        return f"another kind of it ({kinds[0]} there, {kinds[1]} here)"
    return ""
