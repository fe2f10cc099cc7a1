"""SHA-256 of every file of a checkpoint, written before its folder gets its name.

Two files beside them are Orbax's own, written as the folder gets its name; nothing here reads them.
"""

import functools
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fracjax.errors import InputError
from fracjax.runtime.atomic_files import read_json
from fracjax.runtime.multihost import is_main

DIGESTS, METADATA = "sha256.json", "meta/metadata"
_ORBAX = {"_CHECKPOINT_METADATA", "commit_success.txt"}
_SHOWN = 3


def write_digests(folder: Path) -> None:
    """Keep the digests of all files that lie in a folder by now, in it."""
    digests = {name: _sha256(folder / name) for name in sorted(_names(folder))}
    (folder / DIGESTS).write_text(json.dumps(digests, indent=1) + "\n")


def check_digests(folder: Path, way_out: str, part: str = "") -> None:
    """Refuse a checkpoint of which a file was changed, is missing or was added, by name.

    One of before there were digests is read all the same, and a line says that it is not checked.
    `part` is "meta/" to look at what it says of itself alone.

    Raises:
      InputError: with `way_out`.
    """
    digests = _read_digests(folder, way_out)
    if digests is None:
        return None if part else _note_unchecked(folder)
    expected, there = (
        {name for name in names if name.startswith(part)} for names in (digests, _names(folder))
    )
    problems = {name: "is missing" for name in expected - there}
    problems |= {name: "was added" for name in there - expected}
    for name in expected & there:
        try:
            if _sha256(folder / name) != digests[name]:
                problems[name] = "has changed"
        except OSError as error:
            problems[name] = f"cannot be read ({error.strerror or error})"
    if problems:
        shown = ", ".join(f"{name} {problems[name]}" for name in sorted(problems)[:_SHOWN])
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InputError(f"{folder} is not what its {DIGESTS} says: {shown}{more}; {way_out}")


def _read_digests(folder: Path, way_out: str) -> Mapping[str, Any] | None:
    """The digests in a folder; None where it was written before there were any.

    Those that are gone are no such case: since there are digests, the metadata name their file.
    """
    if (folder / DIGESTS).exists() or DIGESTS in read_json(folder / METADATA, way_out).values():
        return read_json(folder / DIGESTS, way_out)
    return None


@functools.cache  # a command opens its runs more than once
def _note_unchecked(folder: Path) -> None:
    if is_main():
        said = f"note: {folder} is of before checkpoints had digests: its arrays are not checked"
        print(said, file=sys.stderr)


def _names(folder: Path) -> set[str]:
    names = {it.relative_to(folder).as_posix() for it in folder.rglob("*") if not it.is_dir()}
    return names - _ORBAX - {DIGESTS}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
