"""What no run can have: refused field by field, all of them at once."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fracjax.config import Bound, Config, Loss, Phase
from fracjax.config.class_names import class_key, flag_words, roles, says_the_opposite
from fracjax.errors import InputError

_Field = tuple[str, Any, Any, list[Bound]]
"""Name, as `phases.0.epochs`, value, type and bounds of a field, or of one item of a tuple."""


def check(config: Config) -> Config:
    """Return `config` if every field is possible by itself.

    Raises:
      InputError: listing every field that is not, with what it must be.
    """
    fields = list(_fields("", config, Config))
    problems = [problem for name, value, hint, _ in fields if (problem := _type(name, value, hint))]
    if not problems:
        problems = [
            f"{name} is {value}, {bound.broken}"
            for name, value, _, bounds in fields
            for bound in bounds
            if not bound.holds(value)
        ]
        problems += _joint_problems(config)
    if problems:
        raise InputError("bad config: " + "; ".join(problems))
    return config


def _joint_problems(config: Config) -> list[str]:
    """What fields cannot be together."""
    seed, folds, members = config.train.seed, config.folds, config.ensemble.members
    rates, seeds = config.sweep.learning_rates, config.sweep.seeds
    classes, subsets = config.data.classes, config.sweep.subsets
    fractions = ", ".join(map(str, subsets))
    rules = {
        f"data.classes makes {roles(classes)}, the opposite of what the names say: write "
        f"data.classes {flag_words(classes[::-1])}": says_the_opposite(classes),
        f"data.classes is {', '.join(classes)}: two names that differ in case or Unicode form only "
        "are one class": len(set(map(class_key, classes))) < len(set(classes)),
        f"train.seed is {seed}: with one for each network it must stay below {2**31:,}": (
            seed + max(members, seeds) > 2**31
        ),
        f"folds is {folds} and ensemble.members {members}: the networks of a run are one or the "
        "other": folds != 0 and members > 1,
        f"folds is {folds}, so data.fold must be none": folds != 0 and config.data.fold is not None,
        f"sweep.learning_rates is {', '.join(map(str, rates))} alone: write it as "
        "phases.0.learning_rate, or more of them to compare": len(rates) == seeds == 1,
        "a sweep compares runs of one network: leave out folds and ensemble.members, and train "
        "them with what the sweep finds": not subsets
        and (rates or seeds > 1)
        and (folds != 0 or members > 1),
        f"sweep.subsets is {fractions} alone: write it as data.subset, or more of them for a "
        "learning curve": len(subsets) == 1,
        f"data.subset is {config.data.subset} and sweep.subsets {fractions}: they are one or the "
        "other": bool(subsets) and config.data.subset != 1,
        f"sweep.subsets is {fractions}, a learning curve of one network for each, and for each of "
        "sweep.seeds: leave out sweep.learning_rates, folds and ensemble.members": bool(subsets)
        and bool(rates or folds != 0 or members > 1),
        "data.oversample and loss.class_weights balanced both make up for rare classes: choose one "
        "of them": config.data.oversample and config.loss.class_weights == "balanced",
        f"train.keep is highest_auc, and of {len(classes)} classes there is no such AUC: write "
        "train.keep lowest_loss or last": config.train.keep == "highest_auc" and len(classes) != 2,
        f"loss.second_weight is {config.loss.second_weight}, and there is no second task: name its "
        "columns in loss.second_task, or leave out the weight": not config.loss.second_task
        and config.loss.second_weight != Loss.second_weight,
        **{
            f"phases.{number}.warm_up is {phase.warm_up}, but a {phase.schedule} schedule has no "
            f"such warm-up: write phases.{number}.schedule cosine, or leave out warm_up": True
            for number, phase in enumerate(config.phases)
            if phase.warm_up != Phase.warm_up and phase.schedule != "cosine"
        },
        **_outline_problems(config),
        **_share_problems(config),
    }
    return [problem for problem, broken in rules.items() if broken]


def _outline_problems(config: Config) -> dict[str, bool]:
    """Of what a map learns, where there is no map."""
    fields = ("outline_weight", "outline_positive_weight", "outline_shape")
    changed = {name: getattr(config.loss, name) for name in fields}
    return {
        f"loss.{name} is {value}, and there is no map to learn outlines: write model.localise, or "
        f"leave out {name}": not config.model.localise and value != getattr(Loss, name)
        for name, value in changed.items()
    }


def _share_problems(config: Config) -> dict[str, bool]:
    """Of a batch with a fixed share of positives."""
    data, share = config.data, config.data.positive_share
    size, positives = data.batch_size, data.positives_per_batch
    others = {
        "data.oversample": data.oversample,
        "loss.class_weights balanced": config.loss.class_weights == "balanced",
    }
    problems = {
        f"it and {other} both make up for rare classes: choose one of them": on
        for other, on in others.items()
    }
    problems |= {
        f"data.classes has {len(data.classes)}, and only of two is one positive: write 0, or "
        "data.oversample": len(data.classes) > 2,
        f"of data.batch_size {size} that is {positives}, rounded: write what makes 1 to "
        f"{size - 1}": share < 1 and not 0 < positives < size,
    }
    return {f"data.positive_share is {share}: {p}": share > 0 and on for p, on in problems.items()}


def _fields(name: str, value: Any, hint: Any) -> Iterator[_Field]:
    """Every value under `value`, with its declared type and bounds; groups are walked into."""
    hint, *bounds = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, hint):
        for field, inner in typing.get_type_hints(hint, include_extras=True).items():
            dotted = f"{name}.{field}" if name else field
            yield from _fields(dotted, getattr(value, field), inner)
        return
    yield name, value, hint, bounds
    if typing.get_origin(hint) is tuple and isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _fields(f"{name}.{i}", item, typing.get_args(hint)[0])


def _type(name: str, value: Any, hint: Any) -> str | None:
    """What to say if a field holds something else than it is declared to."""
    found = f"{name} is {value!r}"
    if typing.get_origin(hint) is Literal:
        options = [str(option) for option in typing.get_args(hint)]
        if value in options:
            return None
        near = difflib.get_close_matches(str(value), options, 1)
        guess = f"; perhaps you meant {near[0]}" if near else ""
        return f"{found}, not one of {', '.join(options)}{guess}"
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        return f"{found}, not a finite number"
    if _is(value, hint):
        return None
    return f"{found}, a {type(value).__name__}, not {_words(hint)}"


def _words(hint: Any) -> str:
    """What a field may hold."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union, Literal):
        return " or ".join(map(_words, typing.get_args(hint)))
    if hint is types.NoneType:
        return "none"
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _is(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return any(_is(value, option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    if hint in (int, float) and isinstance(value, bool):
        return False
    if hint is float:
        return isinstance(value, (int, float))
    return isinstance(value, typing.get_origin(hint) or hint)
