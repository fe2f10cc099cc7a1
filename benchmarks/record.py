"""What a benchmark of this process keeps: machine, settings, load, and every row as it is made."""

import os
from pathlib import Path
from typing import Any

import jax
from machine import describe, in_huge_pages, machine_line, settings

from fracjax.runtime.atomic_files import write_json


class Record:
    """The measurements of one command; begin it before the first.

    Args:
      flags: a dataclass of the command's.
      path: file for all that is kept, written after each row; None for none.
    """

    def __init__(self, flags: Any, path: Path | None):
        huge = in_huge_pages(os.environ)
        self.machine = machine_line(describe(jax.devices()[0]))
        self.pages = "huge pages" if huge else "small pages"
        self._path = path
        self._found: dict[str, Any] = {
            "machine": self.machine,
            "settings": {**settings(flags), "huge_pages": huge},
            "load": [os.getloadavg()[0]],
            "rows": [],
        }

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, and the load after it."""
        self._found["rows"].append(row)
        self._found["load"].append(os.getloadavg()[0])
        if self._path:
            write_json(self._path, self._found)

    def load(self) -> str:
        """The load before the first row and after the last, in words."""
        first, *_, last = self._found["load"]
        return f"load average {first:.1f} before, {last:.1f} after (ours included)"
