"""What no run can have: refused field by field, all of them at once."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from fracjax.config import Bound, Config
from fracjax.errors import InputError


class _Field(NamedTuple):
    """One value of a config, as `phases.0.epochs`, or one item of a tuple."""

    name: str
    value: Any
    hint: Any
    bounds: tuple[Bound, ...]


def check(config: Config) -> Config:
    """Return `config` if every field is possible by itself.

    Raises:
      InputError: listing every field that is not, with what it must be.
    """
    fields = list(_fields("", config, Config))
    problems = [problem for field in fields for problem in _type_problems(field)]
    if not problems:
        problems = [
            f"{field.name} is {field.value}, {bound.broken}"
            for field in fields
            for bound in field.bounds
            if not bound.holds(field.value)
        ]
        problems += _joint_problems(config)
    if problems:
        raise InputError("bad config: " + "; ".join(problems))
    return config


def _joint_problems(config: Config) -> list[str]:
    """What fields cannot be together."""
    seed, folds, members = config.train.seed, config.folds, config.ensemble.members
    rates, seeds = config.sweep.learning_rates, config.sweep.seeds
    rules = {
        f"train.seed is {seed}: with one for each network it must stay below {2**31:,}": (
            seed + max(members, seeds) > 2**31
        ),
        f"folds is {folds} and ensemble.members {members}: the networks of a run are one or the "
        "other": folds > 1 and members > 1,
        f"folds is {folds}, so data.fold must be none": folds > 1 and config.data.fold is not None,
        f"sweep.learning_rates is {', '.join(map(str, rates))} alone: write it as "
        "phases.0.learning_rate, or more of them to compare": len(rates) == seeds == 1,
        "a sweep compares runs of one network: leave out folds and ensemble.members, and train "
        "them with what the sweep finds": (rates or seeds > 1) and (folds or members > 1),
        "data.oversample and loss.class_weights balanced both make up for rare classes: choose one "
        "of them": config.data.oversample and config.loss.class_weights == "balanced",
    }
    return [problem for problem, broken in rules.items() if broken]


def _fields(name: str, value: Any, hint: Any) -> Iterator[_Field]:
    """Every value under `value`, with its declared type and bounds; groups are walked into."""
    hint, *bounds = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        for field, inner in hints.items():
            dotted = f"{name}.{field}" if name else field
            yield from _fields(dotted, getattr(value, field), inner)
        return
    yield _Field(name, value, hint, tuple(bounds))
    if typing.get_origin(hint) is tuple and isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _fields(f"{name}.{i}", item, typing.get_args(hint)[0])


def _type_problems(field: _Field) -> Iterator[str]:
    """What to say if a field holds something else than it is declared to."""
    value, hint = field.value, field.hint
    found = f"{field.name} is {value!r}"
    if typing.get_origin(hint) is Literal:
        options = [str(option) for option in typing.get_args(hint)]
        if value not in options:
            near = difflib.get_close_matches(str(value), options, 1)
            guess = f"; perhaps you meant {near[0]}" if near else ""
            yield f"{found}, not one of {', '.join(options)}{guess}"
    elif hint is float and isinstance(value, float) and not math.isfinite(value):
        yield f"{found}, not a finite number"
    elif not _is(value, hint):
        expected = hint.__name__ if isinstance(hint, type) else str(hint)
        yield f"{found}, a {type(value).__name__}, not {expected}"


def _is(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_is(value, option) for option in typing.get_args(hint))
    if hint in (int, float) and isinstance(value, bool):
        return False
    if hint is float:
        return isinstance(value, (int, float))
    return isinstance(value, typing.get_origin(hint) or hint)
