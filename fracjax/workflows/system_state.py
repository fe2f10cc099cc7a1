"""How far a system is, read from the files of its runs alone: no network is opened for it."""

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fracjax.config import Config, Data, io
from fracjax.errors import InputError
from fracjax.evaluation import Estimate
from fracjax.inference import calibration
from fracjax.inference.ensemble_folder import in_order
from fracjax.inference.looks import read_looks
from fracjax.inference.model_bundle import epochs_of
from fracjax.loading.dataset_view import open_dataset
from fracjax.report.results_page import Result, Trained
from fracjax.runtime.atomic_files import read_json
from fracjax.training import checkpoint, checks
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import member_configs, member_dirs
from fracjax.training.schedule import kept_epoch, next_epoch
from fracjax.training.training_record import read_sessions
from fracjax.workflows.systems import System

_DETECTOR = {
    "AUC": ("auc",),
    "average precision": ("average_precision",),
    "sensitivity": ("at_operating_point", "sensitivity"),
    "specificity": ("at_operating_point", "specificity"),
}
_CLASSIFIER = {"accuracy": ("accuracy",), "macro F1": ("macro_f1",)}
_MARKS = {
    "highest mark hits": ("pointing_game", "marks"),
    "the middle of the picture": ("pointing_game", "middle"),
    "by chance": ("pointing_game", "chance"),
    "fractures marked": ("at", "sensitivity"),
    "false marks per picture": ("at", "false_marks"),
    "CPM": ("cpm",),
    "AP at IoU 0.5": ("average_precision_50",),
}
_CASCADE = {
    "let through": ("passed",),
    "accuracy without the filter": ("without_filter", "accuracy"),
    "accuracy behind it": ("with_filter", "accuracy"),
    "accuracy end to end": ("total", "found"),
    "missed by the detector": ("total", "missed"),
}


def is_record(system: System) -> bool:
    """Whether the figures are here and the networks are not: the JSON of runs on another machine.

    The config that lies with them may be of an earlier version: fields that it does not have are as
    they are by default, or it is another recipe.
    """
    for config in system.configs:
        saved = _read(checkpoint.config_path(config.workdir))
        if not saved or any(checkpoint.newest(d, "last") for d in member_dirs(config.workdir)):
            return False
        try:
            then = io.from_dict(_completed(saved, io.to_dict(Config())))
        except InputError:
            return False
        if any(not d.startswith(checks.MAY_CHANGE) for d in io.differences(config, then)):
            return False
    parts = ("validation", "test")
    return all(_as_calibrated(system, **_origin(system, part)) for part in parts)


def _completed(saved: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """A config's JSON with the fields that it lacks, as they are by default."""
    made = {**default, **saved}
    for name, value in default.items():
        if isinstance(value, dict):
            made[name] = _completed(made[name], value)
    if "phases" in default:
        made["phases"] = [_completed(phase, default["phases"][0]) for phase in made["phases"]]
    return made


def is_trained(system: System) -> bool:
    """Whether every network of it needs no further epoch, and is of the config as it is now."""
    try:
        for config in system.configs:
            checks.check_workdir(config)
            for one in member_configs(config):
                if next_epoch(checkpoint.read_meta(one.workdir, "last").history, one) is not None:
                    return False
            _kept(config.workdir)
    except InputError:  # no checkpoint yet, another config, no dataset to take folds from
        return False
    return True


def is_evaluated(system: System, part: str) -> bool:
    """Whether the figures of a part are of the networks and the calibration that are there now."""
    chosen = _read(calibration.path(system.folder))
    try:
        runs = in_order(config.workdir for config in system.configs)
        metas = [meta for run in runs for meta in _kept(run)]
    except InputError:
        return False
    now = {
        "epoch": epochs_of(metas),
        "validation_loss": [meta.best_loss for meta in metas],
        "split_hash": metas[0].split_hash,
    }
    known = {key: chosen.get(key) for key in now} == now
    return known and _as_calibrated(system, **_origin(system, part))


def is_cascaded(stage1: System, stage2: System) -> bool:
    """Whether the cascade's figures are of both stages as they are evaluated now."""
    metrics = _read(_cascade(stage2))
    point, source = metrics.get("operating_point"), metrics.get("source", {})
    return all(
        (is_record(system) or is_evaluated(system, "validation"))
        and _as_calibrated(system, source.get(name, {}), own)
        for name, system, own in (("stage1", stage1, point), ("stage2", stage2, None))
    )


def _origin(system: System, part: str) -> dict[str, Any]:
    """What the figures of a part say of where they come from."""
    metrics = _read(system.results(part) / "metrics.json")
    return {"source": metrics.get("source", {}), "point": metrics.get("operating_point")}


def _as_calibrated(system: System, source: dict[str, Any], point: dict[str, Any] | None) -> bool:
    """Whether figures are of the networks, the scores and the threshold that validation has now."""
    chosen = _read(calibration.path(system.folder))
    now = {**chosen, "temperature": chosen.get("temperature", {}).get("value")}
    same = ("temperature", "split_hash", "test_views", "precision")
    epochs = [run.get("epoch") for run in source.get("runs", [source])]  # some runs have several
    return (
        None not in (now["temperature"], now.get("split_hash"), now.get("epoch"))
        and all(source.get(key) == now.get(key) for key in same)
        and np.hstack(epochs).tolist() == np.ravel(now["epoch"]).tolist()
        and point == chosen.get("operating_point")
    )


def result_of(system: System, detector: System | None, status: str) -> Result:
    """What is known of a system: its figures where they are current, else `status` says why not."""
    first = system.configs[0]
    known = Result(system.name, first.data.name, system.classes, _network(system), status)
    try:
        return _with_figures(known, system, detector)
    except InputError as error:  # a damaged record: a line on the page
        return replace(known, status=str(error))
    except (KeyError, TypeError, ValueError) as error:
        return replace(known, status=f"a record of it is damaged ({error!r}); evaluate it again")


def _with_figures(known: Result, system: System, detector: System | None) -> Result:
    done = is_record(system) or (is_trained(system) and is_evaluated(system, "test"))
    metrics = _read(system.results("test") / "metrics.json") if done else {}
    names = _DETECTOR if system.is_detector else _CLASSIFIER
    cascade, matched = {}, True
    if done and detector is not None and is_cascaded(detector, system):
        both = _read(_cascade(system))
        cascade = _estimates(both["figures"], _CASCADE)
        matched = both["source"]["trained_behind_this_detector"]
    point, marked = metrics.get("operating_point") or {}, metrics.get("localisation")
    complete = done and (detector is None or cascade)
    return replace(
        known,
        figures=_estimates(metrics["figures"], names) if done else {},
        marks=_estimates(marked["figures"], _MARKS) if marked else {},
        rule=point.get("rule", ""),
        detector="" if detector is None else detector.name,
        matched=matched,
        cascade=cascade,
        parts=_parts(replace(system.configs[0].data, filter=None, fold=None)) if done else {},
        split_hash=metrics.get("source", {}).get("split_hash", ""),
        trained=_trained(system),
        looks=len(read_looks(system.folder)) or None,
        status="" if complete else known.status,
    )


def _network(system: System) -> str:
    sizes = dict.fromkeys(
        f"{one.model.name} at {one.data.image_size}"
        + (f", {one.ensemble.members} of them" if one.ensemble.members > 1 else "")
        for one in system.configs
    )
    return "; ".join(sizes)


def _trained(system: System) -> list[Trained]:
    """Each config's training so far."""
    found = []
    for config in system.configs:
        epochs, kept = [], []
        for folder in member_dirs(config.workdir):
            if checkpoint.newest(folder, "last"):
                last = checkpoint.read_meta(folder, "last")
                epochs.append(last.epoch)
                kept.append(last.best_epoch)
            elif history := _read_list(folder / "history.json"):  # a record without its networks
                epochs.append(len(history))
                kept.append(kept_epoch(history, config))
        most = sum(phase.epochs for phase in config.phases)
        sessions = read_sessions(config.workdir)
        if epochs:
            devices = dict.fromkeys((one.device, one.devices, one.jax) for one in sessions)
            seconds = sum(one.seconds for one in sessions)
            how = (tuple(devices), seconds, tuple(epochs), tuple(kept), most)
            found.append(Trained(config.workdir.name, *how))
    return found


@functools.cache
def _parts(data: Data) -> dict[str, int]:
    """How many studies each part has, before a detector filters any; none where data are gone."""
    try:
        dataset = open_dataset(data)
    except InputError:
        return {}
    return {part: len(dataset.indices(part)) for part in ("train", "validation", "test")}


def _estimates(figures: dict[str, Any], names: dict[str, tuple[str, ...]]) -> dict[str, Estimate]:
    found = {}
    for name, path in names.items():
        value: Any = figures
        for key in path:
            value = value[key]
        found[name] = Estimate(**value)
    return found


def _kept(workdir: Path) -> list[CheckpointMetadata]:
    return [checkpoint.read_meta(folder) for folder in member_dirs(workdir)]


def _cascade(stage2: System) -> Path:
    return stage2.folder / "cascade" / "test" / "metrics.json"


def _read_list(path: Path) -> list[Any]:
    return json.loads(path.read_text()) if path.is_file() else []


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is none."""
    try:
        return read_json(path, "")
    except InputError:
        return {}
