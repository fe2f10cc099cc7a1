"""A table of text and estimates, and how it is set in type: on a screen, in HTML, in Markdown.

Every cell of a figure reads `0.912 [0.88, 0.94] n=613`: value, 95 % interval, and what it was
counted over. What is undefined says so, and a numbered note below the table says why.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import rich.table
from rich import box
from rich.text import Text

from fracjax.evaluation import Estimate

_NUMBER = re.compile(r"[-−–+<>≤≥~]?\s*\d[\d\s.,/%:e+−-]*|[–—-]?")
_LONG = 40  # characters; a text that may break over lines
_NAME_WIDTH = 14  # letters that the names of rows keep on a narrow screen


@dataclass(frozen=True)
class Cell:
    """A text, or an estimate in its parts."""

    kind: str  # how it is set: "text", "long" (it may break), "number" or "figure"
    text: str  # what it says; of a figure the value in three decimals, or "undefined"
    interval: str = ""  # "[0.88, 0.94]", or "" where there is none
    n: int = 0  # what a figure was counted over
    reason: str = ""  # why value or interval is missing; "" where neither is
    note: int = 0  # number of the reason below the table; 0 for none


class Grid(NamedTuple):
    """The cells of a table, ready to be written down."""

    rows: list[list[Cell]]
    kinds: list[str]  # of each column, for its header to stand above its cells
    notes: list[str]  # numbered from 1: why something is missing
    methods: str  # how the intervals were made, as a sentence; "" if there are none


@dataclass(frozen=True)
class Table:
    """Rows of text and estimates under a header; the first column names the row."""

    kind: ClassVar = "table"
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | Estimate, ...], ...]

    def grid(self) -> Grid:
        """All cells in their parts; equal reasons share a note."""
        notes: dict[str, int] = {}
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.header)
        kinds = [_kind(column, first=i == 0) for i, column in enumerate(columns)]

        def cell(content: str | Estimate, kind: str) -> Cell:
            if isinstance(content, str):
                return Cell("text" if kind == "figure" else kind, content)
            made = format_estimate(content)
            note = notes.setdefault(made.reason, len(notes) + 1) if made.reason else 0
            return replace(made, note=note)

        estimates = [c for row in self.rows for c in row if isinstance(c, Estimate)]
        # Of "bootstrap of 46 groups, 2000 resamples, 3 undefined" the first part is enough here.
        methods = dict.fromkeys(e.method.partition(",")[0] for e in estimates if e.low is not None)
        of_intervals = f"95 % intervals: {', '.join(methods)}." if methods else ""
        rows = [list(map(cell, row, kinds)) for row in self.rows]
        return Grid(rows, kinds, list(notes), of_intervals)

    def rich(self) -> rich.table.Table:
        """For a screen of 80 columns: three figures side by side have their n on a second line."""
        grid = self.grid()
        stacked = any(sum(cell.kind == "figure" for cell in row) > 2 for row in grid.rows)
        notes = [f"({number}) {note}" for number, note in enumerate(grid.notes, 1)]
        # Text, not strings: rich would read the brackets of a class name as markup.
        table = rich.table.Table(
            title=Text(self.title),
            title_justify="left",
            title_style="bold",
            caption=Text("\n".join(filter(None, (grid.methods, *notes)))),
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            show_edge=False,
        )
        for i, (column, kind) in enumerate(zip(self.header, grid.kinds, strict=True)):
            side = "left" if i == 0 or kind == "figure" else "right"
            least = None if i else _NAME_WIDTH
            table.add_column(Text(column), justify=side, no_wrap=i > 0, min_width=least)
        for row in grid.rows:
            table.add_row(*(Text(_on_screen(cell, "\n" if stacked else " ")) for cell in row))
        return table


def format_estimate(estimate: Estimate) -> Cell:
    """One estimate in its parts."""
    value, _, interval = estimate.figure.replace("-", "−").partition(" ")
    interval = "" if estimate.low is None else interval
    return Cell("figure", value, interval, estimate.n, missing_reason(estimate))


def missing_reason(estimate: Estimate) -> str:
    """Why an estimate lacks its value or its interval; "" where it lacks neither."""
    if estimate.value is not None and estimate.low is not None:
        return ""
    what = "undefined" if estimate.value is None else "no interval"
    if estimate.note.startswith(what):
        return estimate.note
    return f"{what}: {estimate.note}" if estimate.note else what


def threshold_text(threshold: float) -> str:
    """A threshold for reading; infinite ones say what they do."""
    if math.isinf(threshold):
        return "∞ (calls none)" if threshold > 0 else "−∞ (calls all)"
    return f"{threshold:.4g}"


def pluralise(n: int, one: str) -> str:
    """`1 fracture`, `2 fractures`, `4,083 studies`."""
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{n:,} {one if n == 1 else many}"


def studies_of(n: int, name: str) -> str:
    """`1 fracture study`, `9 fracture studies`, of a class by its name."""
    return pluralise(n, f"{name} study")


def _kind(cells: tuple[str | Estimate, ...], *, first: bool) -> str:
    texts = [cell for cell in cells if isinstance(cell, str)]
    if len(texts) < len(cells):
        return "figure"
    if not first and any(texts) and all(_NUMBER.fullmatch(text.strip()) for text in texts):
        return "number"
    return "long" if max(map(len, texts), default=0) > _LONG else "text"


def _on_screen(cell: Cell, before_n: str) -> str:
    if cell.kind != "figure":
        return cell.text
    note = f"({cell.note})" if cell.note else ""
    return " ".join(filter(None, (cell.text, cell.interval, note))) + f"{before_n}n={cell.n}"
