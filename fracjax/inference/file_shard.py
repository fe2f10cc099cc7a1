"""A part of the files for each of several processes, and one result of them all.

Each process predicts a stretch of the files on its own devices and writes beside the result of the
first one, which puts theirs after its own at the end. So results keep the files' order.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FileShard:
    """The part of the files that is one process's.

    Attributes:
      process: which of how many processes it is.
      files: how many there are, those of the others included.
    """

    process: tuple[int, int]
    files: int

    @property
    def first(self) -> int:
        """Place of its first file."""
        return self._begin(self.process[0])

    def of(self, files: Sequence[Path]) -> Sequence[Path]:
        """Its files."""
        return files[self.first : self._begin(self.process[0] + 1)]

    def path(self, path: Path, number: int | None = None) -> Path:
        """Where this process, or another, writes what belongs into `path`."""
        number = self.process[0] if number is None else number
        return path if number == 0 else path.with_name(f"{path.name}.{number:04d}")

    def kept(self, table: Path, results: Path, done: int) -> str:
        """What to say when this process ends early: where its files are, and those of the others.

        Args:
          table: as the first process names it.
          results: likewise.
          done: files of this process that are done.
        """
        ours, count = self.process
        own = (
            f"{done} of {self.files} files are in {self.path(table)} and {self.path(results).name}"
        )
        others = [self.path(table, number).name for number in range(count) if number != ours]
        if not others:
            return own
        named = ", ".join(others) if len(others) < 4 else f"{others[0]} to {others[-1]}"
        return f"{own}; what other processes finished is beside them in {named}"

    def join(self, table: Path, results: Path) -> list[dict[str, Any]]:
        """Append what the others wrote to the table of the first; return their results."""
        joined: list[dict[str, Any]] = []
        with table.open("ab") as file:
            for number in range(1, self.process[1]):
                its_table, its_results = self.path(table, number), self.path(results, number)
                with its_table.open("rb") as part:
                    part.readline()  # the names of the columns
                    while block := part.read(2**20):
                        file.write(block)
                joined += json.loads(its_results.read_text())["results"]
                its_table.unlink()
                its_results.unlink()
        return joined

    def _begin(self, number: int) -> int:
        return self.files * number // self.process[1]


def parts_of(path: Path) -> list[Path]:
    """What processes other than the first left beside `path`, when a run was cut short."""
    part = re.compile(re.escape(path.name) + r"\.\d{4,}")
    return sorted(one for one in path.parent.glob(f"{path.name}.*") if part.fullmatch(one.name))
