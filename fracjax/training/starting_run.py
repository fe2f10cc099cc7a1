"""A trained run that another one starts from: its network, and the studies that it has seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fracjax.config import Config, io
from fracjax.datasets.leakage import Leakage, Studies, audit_leakage
from fracjax.errors import InputError
from fracjax.loading.dataset_view import SEEN_BEFORE, Dataset, open_dataset, studies_of
from fracjax.models.backbone import leaf_shapes
from fracjax.training import checkpoint
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import member_dirs, swept_dirs
from fracjax.training.model import abstract, variables_of

Start = dict[str, Any]
"""What a checkpoint says of a run that its network was started from: `config`, `split_hash`,
`epoch`, and whether the `head` was taken, too. Plain values, fit for JSON."""


def starting_run(config: Config) -> Path | None:
    """The workdir that `model.weights` names; None where it names a converted file, or nothing."""
    weights = config.model.weights
    return weights if weights is not None and weights.is_dir() else None


def check(workdir: Path, config: Config) -> CheckpointMetadata:
    """What the run in `workdir` says of itself, if its network can be the start of this config's.

    Raises:
      InputError: no run, one of several networks, or one whose backbone is another.
    """
    if several := [one for one in member_dirs(workdir) + swept_dirs(workdir) if one != workdir]:
        raise InputError(
            f"model.weights is {workdir}, a run of {len(several)} networks; name one of them, such "
            f"as {several[0]}"
        )
    try:
        meta = checkpoint.read_meta(workdir)
    except InputError as error:
        raise InputError(f"model.weights is {workdir}, no run to start from: {error}") from error
    own = meta.config
    if own.model.name != config.model.name:
        raise InputError(
            f"model.weights is {workdir}, a run of {own.model.name}, and model.name is "
            f"{config.model.name}; write --model.name {own.model.name}, or other weights"
        )
    ours, theirs = (_backbone_shapes(it) for it in (config, own))
    if ours != theirs:
        differ = [
            f"{name} is {there}, here {here}"
            for name, there, here in (
                ("data.image_size", own.data.image_size, config.data.image_size),
                ("model.width", own.model.width, config.model.width),
            )
            if there != here
        ]
        raise InputError(
            f"model.weights is {workdir}, whose backbone has other shapes: {'; '.join(differ)}; "
            "give this run the values of that one"
        )
    return meta


def starts_of(config: Config) -> list[Start]:
    """What a run of this config starts from, what that one was started from, and so on."""
    if (workdir := starting_run(config)) is None:
        return []
    meta = check(workdir, config)
    own = {
        "config": io.to_dict(meta.config),
        "split_hash": meta.split_hash,
        "epoch": meta.epoch,
        "head": _same_head(meta.config, config),
    }
    return [own, *meta.started_from]


def describe(start: Start) -> str:
    """What a network was started from, in words."""
    of = start["config"]
    head = "with its head" if start["head"] else "with a new head, for other classes"
    return (
        f"epoch {start['epoch']} of {of['workdir']}, trained on {of['data']['name']} (split "
        f"{start['split_hash'][:12]}), {head}"
    )


def network(config: Config, start: Start, mesh: Mesh) -> dict[str, Any]:
    """`params` and `batch_stats` of the backbone of its best epoch, and of the head if it is taken.

    Raises:
      InputError: the run has another epoch now.
    """
    workdir = starting_run(config)
    assert workdir is not None, "check came first"
    meta = check(workdir, config)
    if meta.epoch != start["epoch"]:
        raise InputError(f"{workdir} is being trained: its best epoch has changed; start again")
    like = variables_of(abstract(meta.config).model)
    found = jax.tree.map(np.asarray, checkpoint.restore_network(workdir, like, mesh))
    if start["head"]:
        return found
    return {kind: {"backbone": tree["backbone"]} for kind, tree in found.items() if tree}


def audit(
    starts: Sequence[Start], dataset: Dataset, part: str, data_dir: Path | None = None
) -> tuple[list[Leakage], list[str]]:
    """Compare a part with what the runs that a network was started from were trained on.

    And with their validation studies, if the part is test. Returns the audits that it passed, and
    in a line each run whose dataset is gone, of which nothing is known.

    Raises:
      InputError: studies have leaked, or a dataset is split otherwise than it was.
    """
    passed, unknown = [], []
    for start in starts:
        config = io.from_dict(start["config"])
        what = f"{config.data.name}, which {config.workdir} was trained on"
        try:
            theirs = open_dataset(config.data, data_dir)
        except InputError as error:
            unknown.append(
                f"whether {part} shares studies with {what}, is not known: {error}; write "
                "--data-dir if it lies elsewhere"
            )
            continue
        if theirs.split_hash != start["split_hash"]:
            raise InputError(
                f"{what} on split {start['split_hash'][:12]}, has split {theirs.split_hash[:12]} "
                f"now: whether its network has seen studies of {part} cannot be told; restore that "
                "split file, or start from other weights"
            )
        seen = studies_of(theirs, *SEEN_BEFORE[part])
        named = Studies(f"{seen.what} (of {config.workdir})", seen.prepared, seen.index)
        passed.append(audit_leakage(named, studies_of(dataset, part)))
    return passed, unknown


def _backbone_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    variables = variables_of(abstract(config).model)
    shapes = leaf_shapes(variables["params"]) | leaf_shapes(variables["batch_stats"])
    return {name: shape for name, shape in shapes.items() if name.startswith("backbone/")}


def _same_head(theirs: Config, ours: Config) -> bool:
    kinds = (theirs.model.head, ours.model.head) if len(ours.data.classes) == 2 else ()
    return theirs.data.classes == ours.data.classes and len(set(kinds)) < 2
