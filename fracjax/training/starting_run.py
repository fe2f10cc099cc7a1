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
from fracjax.training.ensemble_configs import member_dirs, subset_dirs, swept_dirs
from fracjax.training.model import abstract, variables_of

Start = dict[str, Any]
"""What a checkpoint says of a run that its network was started from: `config`, `split_hash`,
`epoch`, and whether the `head` was taken, too. Plain values, fit for JSON."""


def starting_run(config: Config) -> CheckpointMetadata | None:
    """What the run that `model.weights` names says of itself; None where it names none.

    Raises:
      InputError: no run there, one of several networks, or one whose backbone is another.
    """
    workdir = config.model.weights
    if workdir is None or not workdir.is_dir():  # nothing, or a converted file
        return None
    folders = (*member_dirs(workdir), *swept_dirs(workdir), *subset_dirs(workdir))
    if several := [one for one in folders if one != workdir]:
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
    if (meta := starting_run(config)) is None:
        return []
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
    meta, workdir = starting_run(config), config.model.weights
    assert meta is not None, "it has a start"
    assert workdir is not None, "it has a start"
    if meta.epoch != start["epoch"]:
        raise InputError(f"{workdir} is being trained: its best epoch has changed; start again")
    like = variables_of(abstract(meta.config).model)
    found = jax.tree.map(np.asarray, checkpoint.restore_network(workdir, like, mesh))
    if start["head"]:
        return found
    return {kind: {"backbone": tree["backbone"]} for kind, tree in found.items() if tree}


def audit(
    starts: Sequence[Start],
    dataset: Dataset,
    part: str,
    data_dir: Path | None = None,
    way_out: str = "Start from other weights, or leave these studies out",
) -> tuple[Leakage, ...]:
    """Compare a part with what the runs that a network was started from were trained on.

    And with their validation studies, unless the part is validation. Of a run whose dataset is gone
    nothing is known, and the audit says so.

    Raises:
      InputError: studies have leaked (`way_out` says what to do), or a dataset is split otherwise
        than it was.
    """
    how = part, data_dir, way_out
    return tuple(_audit(start, studies_of(dataset, part), *how) for start in starts)


def _audit(
    start: Start, evaluated: Studies, part: str, data_dir: Path | None, way_out: str
) -> Leakage:
    seen = seen_by(start, part, data_dir)
    if isinstance(seen, Studies):
        return audit_leakage(seen, evaluated, way_out)
    what = _trained(start)
    unknown = f"whether {evaluated.what} shares studies with {what}, is not known: {seen}"
    return Leakage(what, evaluated.what, 0, len(evaluated.index), None, 0, None, unknown)


def seen_by(start: Start, part: str, data_dir: Path | None = None) -> Studies | str:
    """What a run had seen that is no study of `part`; or, where its dataset is gone, why not.

    Raises:
      InputError: its dataset is split otherwise than it was.
    """
    config = io.from_dict(start["config"])
    try:
        theirs = open_dataset(config.data, data_dir)
    except InputError as error:
        return str(error)
    if theirs.split_hash != start["split_hash"]:
        raise InputError(
            f"{_trained(start)} on split {start['split_hash'][:12]}, has split "
            f"{theirs.split_hash[:12]} now: whether its network has seen the studies to evaluate "
            "cannot be told; restore that split file, or start from other weights"
        )
    seen = studies_of(theirs, *SEEN_BEFORE[part])
    return Studies(f"{seen.what} (of {config.workdir})", seen.prepared, seen.index)


def _trained(start: Start) -> str:
    config = start["config"]
    return f"{config['data']['name']}, which {config['workdir']} was trained on"


def _backbone_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    variables = variables_of(abstract(config).model)
    shapes = leaf_shapes(variables["params"]) | leaf_shapes(variables["batch_stats"])
    return {name: shape for name, shape in shapes.items() if name.startswith("backbone/")}


def _same_head(theirs: Config, ours: Config) -> bool:
    kinds = (theirs.model.head, ours.model.head) if len(ours.data.classes) == 2 else ()
    return theirs.data.classes == ours.data.classes and len(set(kinds)) < 2
