"""What became of inputs, runs and commands that something was done to."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from rich.console import Console
from rich.table import Table

HANG = 10.0  # seconds


@dataclass
class Count:
    """How often which."""

    tried: int = 0
    refused: int = 0
    taken: int = 0
    wrong: int = 0  # taken, and the result is not that of the sound one
    noted: int = 0  # of these, with a note that says so
    tracebacks: int = 0
    hangs: int = 0  # over `HANG` longer than the sound one
    lost: int = 0  # what was whole before and cannot be used after

    def add(self, other: "Count") -> None:
        """Count those of another one, too."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def show(counts: Mapping[str, Count], what: str, console: Console) -> None:
    """A row for each, and one for all."""
    columns = [field.name for field in fields(Count)]
    table, total = Table(what, *columns), Count()
    for name, count in counts.items():
        table.add_row(name, *(str(getattr(count, column)) for column in columns))
        total.add(count)
    if len(counts) > 1:
        table.add_row("all", *(str(getattr(total, column)) for column in columns))
    console.print(table)
