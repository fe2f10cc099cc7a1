"""The schema of a run: frozen dataclasses in which every field stands once.

A file in `configs/` builds a `Config` in `get_config()`; `load` reads it and applies the command
line's overrides. `to_dict` and `from_dict` carry it through a checkpoint's JSON.
"""

import dataclasses
import difflib
import importlib.util
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

from fracjax.errors import UserError

NO_WEIGHTS = Path("none")


@dataclass(frozen=True)
class Data:
    """Which studies, and how they are cut into pictures and batches."""

    name: str = "phantom"
    """Prepared dataset: phantom, phantom_types, fracatlas, bone_break or your own."""
    dir: Path = Path("data")
    """Folder in which `scripts/prepare_data.py` put the prepared datasets."""
    classes: tuple[str, ...] = ("healthy", "fracture")
    """Classes to keep, in index order. With two of them the first is the negative one."""
    split: Path = Path("splits.json")
    """Split file; a relative path is looked up in the prepared dataset's folder."""
    image_size: int = 224
    """Side of the square picture that the network sees, in pixels."""
    batch_size: int = 32
    """Studies per step, over all devices together."""
    filter: Path | None = None
    """Workdir of a trained detector: train and validate on the studies that it calls positive."""


@dataclass(frozen=True)
class Model:
    """Which network, and the weights it starts from."""

    name: Literal["basic_cnn", "inception_v3"] = "basic_cnn"
    """Backbone."""
    weights: Path = NO_WEIGHTS
    """Converted backbone weights (`scripts/convert_weights.py`), or `none` for random ones."""
    dropout: float = 0.5
    """Share of the features dropped in training, 0 to below 1: before the head and, in the basic
    CNN, after each block. The paper has 0.5, and 0.3 for the basic CNN."""
    width: float = 1.0
    """Multiplier of the basic CNN's filters and dense units; 1.0 is the paper's network."""


@dataclass(frozen=True)
class Freeze:
    """Which part of the backbone is held."""

    cut: str = "none"
    """First part that trains: none (all of it), a block (mixed9), a Keras layer (249), or head."""
    batch_norm: Literal["all", "above_cut", "frozen"] = "all"
    """Which BatchNorms train and use batch statistics: everywhere, above the cut, or nowhere."""
    cached_views: int = 0
    """Views of each study (0: off) whose frozen-prefix features are computed once and kept.

    View 0 is the study as it is, the others are augmented; epoch `e` trains on view `e mod n`.
    """


@dataclass(frozen=True)
class Augment:
    """Random changes to a training picture, drawn on the device."""

    flip: bool = False
    """Mirror left and right in half of the cases."""
    rotation: float = 0.0
    """Largest rotation to either side, in degrees."""
    zoom: float = 0.0
    """Largest relative change of size, 0 to below 1."""
    translation: float = 0.0
    """Largest shift to each side, as a share of the picture's side."""
    brightness: float = 0.0
    """Largest shift of the grey values, as a share of the full range."""
    contrast: float = 0.0
    """Largest relative change of contrast about the picture's mean, 0 to below 1."""


@dataclass(frozen=True)
class Optim:
    """Adam (Kingma and Ba 2015)."""

    learning_rate: float = 1e-4
    """Step size of Adam; with a schedule, its largest value."""
    schedule: Literal["constant", "one_cycle"] = "constant"
    """The same step size throughout, or up over the first fifth of all steps, then down to zero."""


@dataclass(frozen=True)
class Train:
    """How long, and from which seed."""

    epochs: int = 50
    """Largest number of passes over the training studies."""
    patience: int = 3
    """Epochs without a lower validation loss after which training stops."""
    seed: int = 0
    """Seed of the initial weights, the order of the studies, augmentation and dropout."""


@dataclass(frozen=True)
class Config:
    """One run: a network trained on one dataset into one workdir."""

    workdir: Path = Path("runs/run")
    """Folder of the run: config, checkpoints, TensorBoard events, history, evaluation."""
    threshold: str = "youden"
    """How the detector's threshold is chosen on validation: youden, sensitivity:X or fixed:X."""
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    freeze: Freeze = field(default_factory=Freeze)
    augment: Augment = field(default_factory=Augment)
    optim: Optim = field(default_factory=Optim)
    train: Train = field(default_factory=Train)


def check(config: Config) -> Config:
    """Return `config` if every field is possible by itself.

    Raises:
      UserError: listing every field that is not, with what it must be.
    """
    if problems := _type_problems(config):
        raise UserError("bad config: " + "; ".join(problems))
    data, model, augment, train = config.data, config.model, config.augment, config.train
    fractions = {
        "model.dropout": model.dropout,
        "augment.zoom": augment.zoom,
        "augment.translation": augment.translation,
        "augment.brightness": augment.brightness,
        "augment.contrast": augment.contrast,
    }
    at_least = {
        "data.image-size": (data.image_size, 1),
        "data.batch-size": (data.batch_size, 1),
        "train.epochs": (train.epochs, 1),
        "train.patience": (train.patience, 1),
        "train.seed": (train.seed, 0),
        "freeze.cached-views": (config.freeze.cached_views, 0),
        "augment.rotation": (augment.rotation, 0),
    }
    above_zero = {"optim.learning-rate": config.optim.learning_rate, "model.width": model.width}
    problems = [f"{n} is {v}, not in [0, 1)" for n, v in fractions.items() if not 0 <= v < 1]
    problems += [f"{n} is {v}, below {least}" for n, (v, least) in at_least.items() if v < least]
    problems += [f"{n} is {v}, not above 0" for n, v in above_zero.items() if not v > 0]
    if len(data.classes) < 2:
        problems.append(f"data.classes is {data.classes}: name two classes or more, in index order")
    if len(set(data.classes)) != len(data.classes):
        problems.append(f"data.classes names a class twice: {data.classes}")
    if problems:
        raise UserError("bad config: " + "; ".join(problems))
    return config


def _type_problems(config: Any, prefix: str = "") -> list[str]:
    """Name the fields that hold something else than they are declared to."""
    problems = []
    for name, hint in typing.get_type_hints(type(config)).items():
        value, flag = getattr(config, name), f"{prefix}{name.replace('_', '-')}"
        if hint in _GROUPS and isinstance(value, hint):
            problems += _type_problems(value, f"{flag}.")
        elif typing.get_origin(hint) is Literal:
            options = [str(option) for option in typing.get_args(hint)]
            if value not in options:
                near = difflib.get_close_matches(str(value), options, 1)
                guess = f"; perhaps you meant {near[0]}" if near else ""
                problems.append(f"{flag} is {value!r}, not one of {', '.join(options)}{guess}")
        elif not _is(value, hint):
            wanted = hint.__name__ if isinstance(hint, type) else str(hint)
            problems.append(f"{flag} is {value!r}, a {type(value).__name__}, not {wanted}")
    return problems


def _is(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if hint is float else hint)


def load(path: Path, overrides: Sequence[str] = (), description: str = "") -> Config:
    """Read `get_config()` of a config file and apply `--group.field value` overrides.

    Args:
      path: the config file.
      overrides: what the command line says of single fields; `--help` prints them all and exits.
      description: opens the help page.

    Raises:
      UserError: no such file, no `get_config`, a field that does not exist, a result that is no
        `Config`, or a value that is out of range.
      SystemExit: from the parser of the overrides, which prints the nearest right field.
    """
    default = _get_config(path)
    return check(tyro.cli(Config, default=default, args=list(overrides), description=description))


def _get_config(path: Path) -> Config:
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.py")], 3)
        hint = f"; near it are {', '.join(near)}" if near else "; see configs/ for examples"
        raise UserError(f"no config file {path}{hint}")
    spec = importlib.util.spec_from_file_location(f"fracjax_config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file; a config is one that defines get_config()")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise UserError(f"{path} defines no get_config(); it must return a fracjax Config")
        config = module.get_config()
    except UserError:
        raise
    except Exception as error:  # whatever the user's own code may raise
        raise UserError(f"{path} does not make a config: {error}{_nearest(error)}") from error
    if not isinstance(config, Config):
        raise UserError(
            f"get_config() in {path} returned {type(config).__name__}, not a fracjax Config; "
            "end it with `return Config(...)`"
        )
    return check(config)


def _nearest(error: Exception) -> str:
    """Name the field that an unknown keyword argument was probably meant to be."""
    found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if not found:
        return ""
    names = {field.name for group in _GROUPS for field in dataclasses.fields(group)}
    near = difflib.get_close_matches(found[1], names, 1, cutoff=0.5)
    return (
        f"; perhaps you meant {near[0]}" if near else f"; the fields are {', '.join(sorted(names))}"
    )


_GROUPS = (Config, Data, Model, Freeze, Augment, Optim, Train)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dicts, lists, numbers and strings, fit for JSON."""
    plain = lambda v: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v  # noqa: E731
    return {
        f.name: to_dict(value) if dataclasses.is_dataclass(value) else plain(value)
        for f in dataclasses.fields(config)
        for value in [getattr(config, f.name)]
    }


def from_dict(values: dict[str, Any], schema: type = Config) -> Any:
    """Inverse of `to_dict`.

    Raises:
      UserError: a field is unknown or missing, as in a checkpoint of another version.
    """
    hints = typing.get_type_hints(schema)
    names = {f.name for f in dataclasses.fields(schema)}
    if names != set(values):
        raise UserError(
            f"a config of another version of fracjax: {schema.__name__} has no field(s) "
            f"{sorted(set(values) - names)} and misses {sorted(names - set(values))}"
        )
    return schema(**{name: _revive(hints[name], value) for name, value in values.items()})


def _revive(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(value, hint)
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is not None and Path in options:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def differences(ours: Config, theirs: Config) -> list[str]:
    """Name every field in which two configs differ, as `data.batch_size: 32 != 16`."""

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        out = {}
        for name, value in values.items():
            path = f"{prefix}{name}"
            out |= flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
        return out

    a, b = flat(to_dict(ours)), flat(to_dict(theirs))
    return [f"{name}: {a[name]} != {b[name]}" for name in a if a[name] != b[name]]
