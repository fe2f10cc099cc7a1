"""Small JSON files of a run: written whole or not at all, refused by name when they are damaged.

Of several processes the first one writes.
"""

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fracjax.errors import DAMAGE, InputError
from fracjax.runtime.disk_space import naming_full_disk
from fracjax.runtime.multihost import run_on_main


def to_json(value: Any) -> Any:
    """`value` as strict JSON holds it.

    A dataclass becomes a dict of its fields, a tuple or an array a list, an infinite number "inf"
    or "-inf" (`float` is the way back), NaN None.
    """
    match value:
        case np.ndarray() | np.generic():
            return to_json(value.tolist())
        case dict():
            return {key: to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
        case float() if not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        case _ if is_dataclass(value):
            return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    return value


@contextmanager
def replacing(path: Path, way_out: str = "make room there and start it again") -> Iterator[Path]:
    """Where to write what is to replace `path`: renamed to it at the end, removed on an error.

    A full disk is `DiskFull`, with the way out.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        with naming_full_disk(path, way_out):
            yield unfinished
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in place of what was there."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON in place of what was there; no process goes on before it is there.

    Its folder is made if there is none.
    """

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            unfinished.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")

    run_on_main(write, path.name)


def read_json(path: Path, way_out: str) -> dict[str, Any]:
    """Read a JSON object; refused with `way_out` where it is missing or something else."""
    try:
        value = json.loads(path.read_text())
    except DAMAGE as error:
        said = str(error) or type(error).__name__
        raise InputError(f"{path} cannot be read as JSON ({said}); {way_out}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}, not a JSON object; {way_out}")
    return value


def refuse_existing(folder: Path, names: Sequence[str], overwrite: bool) -> None:
    """Refuse a folder that is a file, or that holds results which may not be replaced."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"{folder} already holds {', '.join(there)}; name another folder, or set overwrite to "
            "replace them"
        )
