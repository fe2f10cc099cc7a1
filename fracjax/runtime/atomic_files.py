"""Small JSON files of a run: written whole or not at all, refused by name when they are damaged.

Of several processes the first one writes.
"""

import json
import os
from pathlib import Path
from typing import Any

from fracjax.errors import InputError
from fracjax.runtime.multihost import run_on_main


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON in place of what was there; no process goes on before it is there."""

    def write() -> None:
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
        unfinished.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")
        unfinished.replace(path)

    run_on_main(write, path.name)


def read_json(path: Path, way_out: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
      UserError: the file is missing or holds something else; the message ends with `way_out`.
    """
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); {way_out}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}, not a JSON object; {way_out}")
    return value
