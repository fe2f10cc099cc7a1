"""A run's config as a file: the Python file of a user, and the JSON of a checkpoint."""

import dataclasses
import difflib
import itertools
import json
import re
import runpy
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro

from fracjax.config import GROUPS, Config, Phase
from fracjax.config.class_names import hide_dashes, show_dashes
from fracjax.config.rules import check
from fracjax.errors import InputError


def load(
    config: Path | str,
    overrides: Sequence[str] = (),
    description: str = "",
    prog: str | None = None,
) -> Config:
    """Read `get_config()` of a config file and apply `--group.field value` overrides.

    Args:
      config: the file, or the name of a packaged one, as `stage1`; `stage1_best:2` is the second of
        a file whose `get_config()` returns several, the networks of an ensemble.
      overrides: what the command line says of single fields; `--help` prints them all and exits.
      description: opens the help page, which calls the command `prog`.
      prog: name of the command.

    Raises:
      InputError: no such file, no `get_config`, a field that does not exist, a result that is no
        `Config`, or several of which none is named, or a value that is out of range.
      SystemExit: from the parser of the overrides, which prints the nearest right field.
    """
    words = hide_dashes(_with_subsets(overrides), "--data.classes")
    page = {"args": words, "description": description, "prog": prog}
    result = tyro.cli(Config, default=_get_config(config), **page)
    data = dataclasses.replace(result.data, classes=show_dashes(result.data.classes))
    result = dataclasses.replace(result, data=data)
    return check(from_dict(to_dict(result)))  # where `none` becomes None


def each(config: Path | str) -> list[str]:
    """What `load` takes for every config of a file: its name, or NAME:1, NAME:2, ... of several."""
    if _numbered(config):
        return [str(config)]
    count = len(_get_configs(find(config)))
    return [str(config)] if count == 1 else [f"{config}:{i + 1}" for i in range(count)]


def _numbered(config: Path | str) -> re.Match[str] | None:
    return None if Path(config).is_file() else re.fullmatch(r"(.+):([1-9]\d*)", str(config))


def _with_subsets(words: Sequence[str]) -> list[str]:
    """A command line whose several values of `--data.subset` are those of `--sweep.subsets`."""
    written: list[str] = []
    for i, word in enumerate(words):
        values = itertools.takewhile(lambda value: not value.startswith("--"), words[i + 1 :])
        several = word == "--data.subset" and len(list(values)) > 1
        written += ["--data.subset=1", "--sweep.subsets"] if several else [word]
    return written


def packaged() -> dict[str, Path]:
    """The configs that come with the package, by name."""
    package = Path(__file__).parents[1]
    inside = package / "configs"  # of a wheel; in a checkout they lie beside the package
    folder = inside if inside.is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def find(config: Path | str) -> Path:
    """The file of a config, by its path or, with or without `.py`, by its name in the package."""
    path, ours = Path(config), packaged()
    if path.is_file():
        return path
    bare = path.parent == Path()
    if bare and path.stem in ours and path.suffix in ("", ".py"):
        return ours[path.stem]
    beside = {} if bare else {p.stem: str(p) for p in path.parent.glob("*.py")}
    choices = beside or {name: name for name in ours}
    near = [choices[stem] for stem in difflib.get_close_matches(path.stem, choices, 3)]
    hint = f"near it are {', '.join(near)}; " if near else ""
    raise InputError(f"no config file {path}; {hint}packaged are {', '.join(ours)}")


def _get_config(config: Path | str) -> Config:
    """The one config that is named."""
    found = _numbered(config)
    name, number = (found[1], int(found[2])) if found else (config, 0)
    configs = _get_configs(find(name))
    if number > len(configs) or (not number and len(configs) > 1):
        raise InputError(
            f"{name} has {len(configs)} config(s), found {config}: name one, {name}:1 to "
            f"{name}:{len(configs)}; `fracjax train --config {name}` trains them all"
        )
    return configs[number - 1]


def _get_configs(path: Path) -> tuple[Config, ...]:
    """What `get_config()` of a file returns: one config, or several with workdirs of their own."""
    if path.suffix != ".py":
        raise InputError(f"{path} is not a Python file; a config is one that defines get_config()")
    try:
        module = runpy.run_path(str(path), run_name=f"fracjax_config_{path.stem}")
        if "get_config" not in module:
            raise InputError(f"{path} defines no get_config(); it must return a fracjax Config")
        made = module["get_config"]()
    except InputError:
        raise
    except Exception as error:  # whatever the user's own code may raise
        raise InputError(f"{path} does not make a config: {error}{_nearest(error)}") from error
    configs = made if isinstance(made, tuple) and made else (made,)
    if wrong := [type(it).__name__ for it in configs if not isinstance(it, Config)]:
        raise InputError(
            f"get_config() in {path} returned {wrong[0]}, not a fracjax Config; "
            "end it with `return Config(...)`"
        )
    if len({config.workdir for config in configs}) < len(configs):
        raise InputError(f"the configs of {path} share a workdir; give each one of its own")
    return tuple(map(check, configs))


def _nearest(error: Exception) -> str:
    """Name the field that an unknown keyword argument was probably meant to be."""
    found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if not found:
        return ""
    names = sorted({field.name for group in GROUPS for field in dataclasses.fields(group)})
    near = difflib.get_close_matches(found[1], names, 1, cutoff=0.5)
    return f"; perhaps you meant {near[0]}" if near else f"; fields are {', '.join(names)}"


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dicts, lists, numbers and strings, fit for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def from_dict(values: dict[str, Any], schema: type = Config) -> Any:
    """Inverse of `to_dict`; refuses an unknown or missing field, as of another version."""
    hints = typing.get_type_hints(schema)
    names = {f.name for f in dataclasses.fields(schema)}
    if names != set(values):
        raise InputError(
            f"a config of another version of fracjax: {schema.__name__} has no field(s) "
            f"{sorted(set(values) - names)} and misses {sorted(names - set(values))}"
        )
    return schema(**{name: _revive(hints[name], value) for name, value in values.items()})


def _revive(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(value, hint)
    if typing.get_origin(hint) is tuple:
        return tuple(_revive(typing.get_args(hint)[0], item) for item in value)
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(None) in options and value == "none":  # of a command line, a file, an old checkpoint
        return None
    return Path(value) if value is not None and Path in options else value


def differences(ours: Config, theirs: Config) -> list[str]:
    """Name every field in which two configs differ, as `data.batch_size: 32 != 16`."""

    def flat(value: Any, name: str) -> dict[str, Any]:
        nested = value.items() if isinstance(value, dict) else ()
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            nested = ((str(i), item) for i, item in enumerate(value))
        out = {k: v for key, item in nested for k, v in flat(item, f"{name}.{key}").items()}
        return out or {name.removeprefix("."): "none" if value is None else value}

    a, b = flat(to_dict(ours), ""), flat(to_dict(theirs), "")
    return [
        f"{name}: {a.get(name, 'absent')} != {b.get(name, 'absent')}"
        for name in dict.fromkeys((*a, *b))
        if name not in a or name not in b or a[name] != b[name]
    ]


def fields_as_flags(message: str) -> str:
    """A message about fields, `data.batch_size`, in a command line's words, `--data.batch-size`."""
    groups = typing.get_type_hints(Config) | {r"phases\.[0-9]+": Phase}
    fields = "|".join(
        rf"{name}\.{field.name.replace('_', '[_-]')}"
        for name, group in groups.items()
        if group in GROUPS
        for field in dataclasses.fields(group)
    )
    flag = rf"(?<![\w.-])({fields})(?!\w)"
    return re.sub(flag, lambda found: f"--{found[0].replace('_', '-')}", message)
