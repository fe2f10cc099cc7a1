"""A table of text and estimates, and how it is set in type: on a screen, in HTML, in Markdown.

Every cell of a figure reads `0.912 [0.88, 0.94] n=613`: value, 95 % interval, and what it was
counted over. What is undefined says so, and a numbered note below the table says why.
"""

import math
import re
from dataclasses import dataclass, replace

import rich.table
from rich import box
from rich.text import Text

from fracjax.evaluation import Estimate

_NUMBER = re.compile(r"[-−–+<>≤≥~]?\s*\d[\d\s.,/%:e+−-]*|[–—-]?")
_LONG = 40  # characters; a text that may break over lines
_NAME_WIDTH = 14  # letters that the names of rows keep on a narrow screen


@dataclass(frozen=True)
class Figure:
    """An estimate in its parts.

    Attributes:
      value: three decimals, or "undefined".
      interval: "[0.88, 0.94]", or "" where there is none.
      n: what it was counted over.
      reason: why value or interval is missing; "" where neither is.
      note: number of the reason below the table; 0 for none.
    """

    value: str
    interval: str
    n: int
    reason: str = ""
    note: int = 0


@dataclass(frozen=True)
class Cell:
    """`kind` says how it is set: "text", "long" (it may break), "number" or "figure"."""

    kind: str
    text: str = ""
    figure: Figure | None = None


@dataclass(frozen=True)
class Grid:
    """A table ready to be written down.

    Attributes:
      header: of each column its lines.
      rows: the cells.
      kinds: of each column, for its header to stand above its cells.
      notes: numbered from 1: why something is missing.
      methods: how the intervals were made, as a sentence; "" if there are none.
    """

    title: str
    header: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[Cell, ...], ...]
    kinds: tuple[str, ...]
    notes: tuple[str, ...]
    methods: str

    @property
    def prose(self) -> bool:
        """Whether it is rather a text in columns than a table of figures."""
        return self.kinds.count("long") > 1


@dataclass(frozen=True)
class Table:
    """Rows of text and estimates under a header; the first column names the row."""

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
            reason = missing_reason(without_nonfinite(content))
            note = notes.setdefault(reason, len(notes) + 1) if reason else 0
            return Cell("figure", figure=format_estimate(content, note))

        rows = tuple(tuple(map(cell, row, kinds)) for row in self.rows)
        known = [c for row in self.rows for c in row if isinstance(c, Estimate) and _has_ends(c)]
        # Of "bootstrap of 46 groups, 2000 resamples, 3 undefined" the first part is enough here.
        methods = dict.fromkeys(estimate.method.partition(",")[0] for estimate in known)
        return Grid(
            title=self.title,
            header=tuple(tuple(name.split("\n")) for name in self.header),
            rows=rows,
            kinds=tuple(kinds),
            notes=tuple(notes),
            methods=f"95 % intervals: {', '.join(methods)}." if methods else "",
        )

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
            table.add_column(
                Text(column),
                justify="left" if i == 0 or kind == "figure" else "right",
                no_wrap=i > 0,
                min_width=None if i else _NAME_WIDTH,
            )
        for row in grid.rows:
            table.add_row(*(Text(_on_screen(cell, stacked=stacked)) for cell in row))
        return table


def format_estimate(estimate: Estimate, note: int = 0) -> Figure:
    """One estimate in its parts."""
    estimate = without_nonfinite(estimate)
    value, _, interval = estimate.figure.partition(" ")
    return Figure(
        value=value.replace("-", "−"),
        interval="" if estimate.low is None else interval.replace("-", "−"),
        n=estimate.n,
        reason=missing_reason(estimate),
        note=note,
    )


def without_nonfinite(estimate: Estimate) -> Estimate:
    """The estimate with NaN and infinity as what they are: undefined, or no interval."""
    if not _is_known(estimate.value):
        note = estimate.note or "not a finite number"
        return replace(estimate, value=None, low=None, high=None, note=note)
    if not _has_ends(estimate):
        return replace(estimate, low=None, high=None, note=estimate.note or "no interval")
    return estimate


def missing_reason(estimate: Estimate) -> str:
    """Why a finite estimate lacks its value or its interval; "" where it lacks neither."""
    if estimate.value is not None and estimate.low is not None:
        return ""
    what = "undefined" if estimate.value is None else "no interval"
    if estimate.note.startswith(what):
        return estimate.note
    return f"{what}: {estimate.note}" if estimate.note else what


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _has_ends(estimate: Estimate) -> bool:
    return all(map(_is_known, (estimate.value, estimate.low, estimate.high)))


def _kind(cells: tuple[str | Estimate, ...], *, first: bool) -> str:
    if any(isinstance(cell, Estimate) for cell in cells):
        return "figure"
    texts = [cell for cell in cells if isinstance(cell, str)]
    if not first and any(texts) and all(_NUMBER.fullmatch(text.strip()) for text in texts):
        return "number"
    return "long" if max(map(len, texts), default=0) > _LONG else "text"


def _on_screen(cell: Cell, *, stacked: bool) -> str:
    if cell.figure is None:
        return cell.text
    figure = cell.figure
    note = f"({figure.note})" if figure.note else ""
    shown = " ".join(filter(None, (figure.value, figure.interval, note)))
    return f"{shown}\nn={figure.n}" if stacked else f"{shown} n={figure.n}"
