"""What no run can have: refused field by field, all of them at once."""

import difflib
import math
import re
import typing
from typing import Any, Literal

from fracjax.config import GROUPS, NO_FOLD, Config, Phase
from fracjax.errors import InputError


def check(config: Config) -> Config:
    """Return `config` if every field is possible by itself.

    Raises:
      UserError: listing every field that is not, with what it must be.
    """
    if problems := _type_problems(config):
        raise InputError("bad config: " + "; ".join(problems))
    data, model, augment, train = config.data, config.model, config.augment, config.train
    phases = {f"phases.{i}": phase for i, phase in enumerate(config.phases)}
    fractions = {
        "model.dropout": model.dropout,
        "model.drop-path": model.drop_path,
        "augment.zoom": augment.zoom,
        "augment.translation": augment.translation,
        "augment.brightness": augment.brightness,
        "augment.contrast": augment.contrast,
        "augment.noise": augment.noise,
        "loss.label-smoothing": config.loss.label_smoothing,
    }
    at_least = {
        "data.image-size": (data.image_size, 1),
        "data.batch-size": (data.batch_size, 1),
        **{f"{name}.epochs": (phase.epochs, 1) for name, phase in phases.items()},
        "train.patience": (train.patience, 1),
        "train.plateau-patience": (train.plateau_patience, 1),
        "train.seed": (train.seed, 0),
        "freeze.cached-views": (config.freeze.cached_views, 0),
        "augment.rotation": (augment.rotation, 0),
        "augment.mixup": (augment.mixup, 0),
        "augment.cutmix": (augment.cutmix, 0),
        "augment.test-views": (augment.test_views, 1),
        "data.workers": (data.workers, 0),
        "train.steps-per-dispatch": (train.steps_per_dispatch, 0),
        "train.checkpoint-steps": (train.checkpoint_steps, 0),
        "ensemble.members": (config.ensemble.members, 1),
        "sweep.seeds": (config.sweep.seeds, 1),
        "folds": (config.folds, 0),
        "loss.focal-gamma": (config.loss.focal_gamma, 0),
    }
    above_zero = {
        **{f"{name}.learning-rate": phase.learning_rate for name, phase in phases.items()},
        **{f"sweep.learning-rates.{i}": r for i, r in enumerate(config.sweep.learning_rates)},
        "model.width": model.width,
        "data.subset": data.subset,
        "train.plateau-factor": train.plateau_factor,
    }
    problems = [f"{n} is {v}, not in [0, 1)" for n, v in fractions.items() if not 0 <= v < 1]
    problems += [f"{n} is {v}, below {least}" for n, (v, least) in at_least.items() if v < least]
    problems += [f"{n} is {v}, not above 0" for n, v in above_zero.items() if not v > 0]
    problems += _joint_problems(config)
    if not config.phases:
        problems.append("phases is empty: a run has one Phase at least")
    if not data.subset <= 1:
        problems.append(f"data.subset is {data.subset}, above 1, which is all studies")
    if train.seed + max(config.ensemble.members, config.sweep.seeds) > 2**31:
        problems.append(
            f"train.seed is {train.seed}: with one for each network it must stay below {2**31:,}"
        )
    if train.plateau_factor >= 1:
        problems.append(f"train.plateau-factor is {train.plateau_factor}, not below 1")
    if 0 < config.loss.focal_gamma < 1:
        problems.append(
            f"loss.focal-gamma is {config.loss.focal_gamma}: between 0 and 1 its gradient is "
            "infinite; write 0 for none, or 1 or more"
        )
    if len(set(augment.colours)) != len(augment.colours):
        problems.append(f"augment.colours names one twice: {augment.colours}")
    if len(data.classes) < 2:
        problems.append(f"data.classes is {data.classes}: name two classes or more, in index order")
    if len(set(data.classes)) != len(data.classes):
        problems.append(f"data.classes names a class twice: {data.classes}")
    if problems:
        raise InputError("bad config: " + "; ".join(problems))
    return config


def _joint_problems(config: Config) -> list[str]:
    """What cannot be together, of folds, members and the balance of classes."""
    problems = []
    if config.folds == 1:
        problems.append("folds is 1: there must be something to train on; write 0, or 2 or more")
    if config.folds > 1 and config.ensemble.members > 1:
        problems.append(
            f"folds is {config.folds} and ensemble.members {config.ensemble.members}: the networks "
            "of a run are one or the other"
        )
    rates, seeds = config.sweep.learning_rates, config.sweep.seeds
    if len(set(rates)) != len(rates):
        problems.append(f"sweep.learning-rates names one twice: {rates}")
    if len(rates) == 1 and seeds == 1:
        problems.append(
            f"sweep.learning-rates is {rates[0]} alone: write --phases.0.learning-rate {rates[0]}, "
            "or more of them to compare"
        )
    if (rates or seeds > 1) and (config.folds or config.ensemble.members > 1):
        problems.append(
            "a sweep compares runs of one network: leave out folds and ensemble.members, and "
            "train them with what the sweep finds"
        )
    if config.data.oversample and config.loss.class_weights == "balanced":
        problems.append(
            "data.oversample and loss.class-weights balanced both make up for rare classes: choose "
            "one of them"
        )
    if config.data.fold != NO_FOLD:
        found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", config.data.fold)
        if not found or int(found[2]) < 2 or int(found[1]) > int(found[2]):
            problems.append(
                f"data.fold is {config.data.fold!r}, neither {NO_FOLD} nor like 2/5, the second of "
                "five folds"
            )
        if config.folds > 1:
            problems.append(f"folds is {config.folds}, so data.fold must be {NO_FOLD}")
    return problems


def _type_problems(config: Any, prefix: str = "") -> list[str]:
    """Name the fields that hold something else than they are declared to."""
    problems = []
    for name, hint in typing.get_type_hints(type(config)).items():
        value, flag = getattr(config, name), f"{prefix}{name.replace('_', '-')}"
        if hint in GROUPS and isinstance(value, hint):
            problems += _type_problems(value, f"{flag}.")
        elif name == "phases" and isinstance(value, tuple):
            for i, phase in enumerate(value):
                if isinstance(phase, Phase):
                    problems += _type_problems(phase, f"{flag}.{i}.")
                else:
                    problems.append(f"{flag}.{i} is {phase!r}, not a Phase")
        elif typing.get_origin(hint) is Literal:
            problems += _not_among(flag, value, hint)
        elif name == "colours" and isinstance(value, tuple):
            for item in value:
                problems += _not_among(flag, item, typing.get_args(hint)[0])
        elif hint is float and isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{flag} is {value}, not a finite number")
        elif hint == tuple[float, ...] and isinstance(value, tuple):
            for i, item in enumerate(value):
                if not _is(item, float) or not math.isfinite(item):
                    problems.append(f"{flag}.{i} is {item!r}, not a finite number")
        elif not _is(value, hint):
            wanted = hint.__name__ if isinstance(hint, type) else str(hint)
            problems.append(f"{flag} is {value!r}, a {type(value).__name__}, not {wanted}")
    return problems


def _not_among(flag: str, value: Any, hint: Any) -> list[str]:
    options = [str(option) for option in typing.get_args(hint)]
    if value in options:
        return []
    near = difflib.get_close_matches(str(value), options, 1)
    guess = f"; perhaps you meant {near[0]}" if near else ""
    return [f"{flag} is {value!r}, not one of {', '.join(options)}{guess}"]


def _is(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if hint is float else hint)
