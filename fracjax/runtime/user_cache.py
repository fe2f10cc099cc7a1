"""The folder of what one user keeps from run to run: compiled programs, decoded images."""

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "FRACJAX_CACHE_DIR"
"""Names another folder; `--cache-dir` sets it for a command and the processes that it starts."""


def user_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """That folder; RuntimeError where there is no home.

    Source: XDG Base Directory Specification, which says to ignore relative paths.
    """
    if named := environment.get(VARIABLE):
        return Path(named).absolute()
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "fracjax"
