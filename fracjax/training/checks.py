"""What is refused before the first step, all of it before anything is overwritten."""

import json

import jax
from flax import nnx
from jax.sharding import Mesh

from fracjax.config import Config, io
from fracjax.errors import InputError
from fracjax.evaluation import parse_rule
from fracjax.pretrained import store
from fracjax.runtime.sharding import check_batch
from fracjax.training import checkpoint, freeze, starting_run
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import (
    MEMBER,
    is_sweep,
    joined_runs,
    member_configs,
    subset_dirs,
    swept_dirs,
)
from fracjax.training.model import TrainableModel, abstract
from fracjax.training.optimizer import has_rates
from fracjax.training.schedule import next_epoch

# Fields that may differ between the runs that share a workdir: where things lie, and for how long.
# Detector and weights may lie elsewhere: `CheckpointMetadata.check_continues` knows what they are.
# Both modes, and every number of workers and of steps at a time, give the same batches.
MAY_CHANGE = (
    "workdir:",
    "data.dir:",
    "data.filter:",
    "model.weights:",
    "data.mode:",
    "data.workers:",
    "train.steps_per_dispatch:",
    "train.checkpoint_steps:",
)
_KEPT = ("last", "best")


def check_before_training(config: Config, mesh: Mesh) -> None:
    """Refuse what can be refused without a dataset and without a detector."""
    check_config(config)
    weights = config.model.weights
    if starting_run.starting_run(config) is None and weights is not None:
        store.check(weights, model=config.model.name)  # their arrays are not read
    check_batch(config.data.batch_size, mesh)
    check_workdir(config)


def check_config(config: Config) -> None:
    """Refuse what can be refused without a file: rule, network, cuts, rates, cached views."""
    problems = []
    checks = (
        lambda: parse_rule(config.threshold),
        lambda: check_cached_views(config),
        lambda: check_rates(config),
        lambda: check_second_task(config),
    )
    for check in checks:
        try:
            check()
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(dict.fromkeys(problems)))


def check_rates(config: Config) -> None:
    """Refuse learning rates of head and blocks where nothing but the head trains."""
    if not any(map(has_rates, config.phases)):
        return
    network, blocks = _network_and_blocks(config)
    problems = [
        f"phases.{number}.{name} sets learning rates of blocks apart, and none trains: write 1.0, "
        f"or another phases.{number}.cut than {phase.cut}"
        for number, (phase, spec) in enumerate(zip(config.phases, network.freezes, strict=True))
        for name in ("head_rate", "block_decay")
        if getattr(phase, name) != 1 and blocks <= spec.frozen
    ]
    if problems:
        raise InputError("; ".join(problems))


def check_second_task(config: Config) -> None:
    """Refuse a second task where no phase trains what it shares with the class."""
    if not config.loss.second_task:
        return
    network, blocks = _network_and_blocks(config)
    if all(blocks <= spec.frozen for spec in network.freezes):
        raise InputError(
            "loss.second_task is for features that both tasks share, and no phase trains any: "
            "write another phases.0.cut than head, or leave out the second task"
        )


def _network_and_blocks(config: Config) -> tuple[TrainableModel, set[str]]:
    """The network without its arrays, and the parameters of its backbone by path."""
    network = abstract(config)
    paths = freeze.sizes(network.model, nnx.Param)
    return network, {path for path in paths if path.startswith("backbone")}


def check_cached_views(config: Config) -> None:
    """Refuse an impossible network or cut, and cached views where no prefix is frozen."""
    prefix = abstract(config).frozen_prefix
    if not config.freeze.cached_views:
        return
    if prefix is None:
        raise InputError(
            "freeze.cached-views needs a prefix that is wholly frozen in every phase: set their "
            "cut to a block and freeze.batch-norm to above_cut or frozen, or write "
            "--freeze.cached-views 0"
        )
    if config.augment.mixup or config.augment.cutmix:
        raise InputError(
            "freeze.cached-views keeps features of single images, which cannot be mixed: write "
            "--augment.mixup 0 --augment.cutmix 0, or --freeze.cached-views 0"
        )
    if ":" in config.model.name:
        raise InputError(
            "freeze.cached-views keeps what is constant, and nothing is known of "
            f"{config.model.name}: write --freeze.cached-views 0"
        )
    if config.model.name == "efficientnet_b0" and config.model.drop_path > 0:
        raise InputError(
            "freeze.cached-views keeps what is constant, but EfficientNet-B0 drops branches below "
            "the cut, too: write --model.drop-path 0, or --freeze.cached-views 0"
        )


def check_workdir(config: Config) -> None:
    """Refuse a workdir of another config, or of other networks than those of this one."""
    configs = member_configs(config)
    if runs := joined_runs(config.workdir):
        raise InputError(
            f"{config.workdir} stands for other runs ({', '.join(map(str, runs))}); name another "
            "--workdir"
        )
    expected = {one.workdir for one in configs}
    there = {config.workdir, *config.workdir.glob(f"{MEMBER}*")}
    if not is_sweep(config):  # one may grow by rates and by seeds
        there.update(swept_dirs(config.workdir))
    if not config.sweep.subsets:  # one may grow by fractions and by seeds
        there.update(subset_dirs(config.workdir))
    others = [p.name for p in there - expected if any(checkpoint.newest(p, w) for w in _KEPT)]
    if others:
        raise InputError(
            f"{config.workdir} holds a run of other networks ({', '.join(sorted(others))}) than "
            f"the {len(configs)} of this config; name another --workdir"
        )
    for one in configs:
        _check_same_config(one)


def _check_same_config(config: Config) -> None:
    workdir = config.workdir
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir {workdir} is a file; name a folder")
    # A run without a finished epoch has nothing to lose: its config may be mended.
    kept = [which for which in _KEPT if checkpoint.newest(workdir, which)]
    if not kept:
        return
    saved = checkpoint.read_meta(workdir, kept[0]).config
    # A cycle is drawn over all epochs of a phase: another number of them is another schedule.
    last, whole = f"phases.{len(config.phases) - 1}.epochs:", ("one_cycle", "cosine")
    may_change = MAY_CHANGE + (() if config.phases[-1].schedule in whole else (last,))
    changed = [d for d in io.differences(config, saved) if not d.startswith(may_change)]
    if changed:
        raise InputError(
            f"{workdir} is the run of another config ({'; '.join(changed)}, this one "
            "first); name another --workdir, or train with that config to continue it"
        )


def finished_run(new: CheckpointMetadata) -> CheckpointMetadata | None:
    """What a network that needs no further epoch says of itself; None if there is work to do."""
    if checkpoint.newest(new.config.workdir, "last") is None:
        return None
    meta = checkpoint.read_meta(new.config.workdir, "last")
    meta.check_continues(new)
    return meta if next_epoch(meta.history, new.config) is None else None


def shared_facts(new: list[CheckpointMetadata]) -> dict[str, str]:
    """What all processes of a run must see alike."""
    facts = {"devices": str(jax.local_device_count())}
    for meta in new:
        name = meta.config.workdir.name
        saved = checkpoint.newest(meta.config.workdir, "last")
        facts |= {
            f"config of {name}": json.dumps(io.to_dict(meta.config)),
            f"split of {name}": meta.split_hash,
            f"images of {name}": str(meta.form),
            f"weights of {name}": meta.weights_digest,
            f"second task of {name}": json.dumps(meta.second_task),
            f"checkpoint of {name}": saved.name if saved else "none",
        }
    return facts
