"""A table as it is set in type: figures in their parts, reasons as numbered notes below it."""

import re
from dataclasses import dataclass

from fracjax.evaluation import Estimate
from fracjax.report.page import finite, why
from fracjax.report.tables import Table

_NUMBER = re.compile(r"[-−–+<>≤≥~]?\s*\d[\d\s.,/%:e+−-]*|[–—-]?")
_LONG = 40  # characters; a text that may break over lines


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


def format_estimate(estimate: Estimate, note: int = 0) -> Figure:
    """One estimate in its parts."""
    estimate = finite(estimate)
    value, _, interval = estimate.figure.partition(" ")
    return Figure(
        value=value.replace("-", "−"),
        interval="" if estimate.low is None else interval.replace("-", "−"),
        n=estimate.n,
        reason=why(estimate),
        note=note,
    )


def grid(table: Table) -> Grid:
    """All cells of a table in their parts; equal reasons share a note."""
    notes: dict[str, int] = {}
    columns = [
        _kind([row[i] for row in table.rows], first=i == 0) for i in range(len(table.header))
    ]

    def cell(content: str | Estimate, kind: str) -> Cell:
        if isinstance(content, str):
            return Cell("text" if kind == "figure" else kind, content)
        reason = why(finite(content))
        note = notes.setdefault(reason, len(notes) + 1) if reason else 0
        return Cell("figure", figure=format_estimate(content, note))

    rows = tuple(tuple(map(cell, row, columns)) for row in table.rows)
    estimates = [finite(c) for row in table.rows for c in row if isinstance(c, Estimate)]
    # Of "bootstrap of 46 groups, 2000 resamples, 3 undefined" the first part is enough here.
    methods = dict.fromkeys(e.method.partition(",")[0] for e in estimates if e.low is not None)
    return Grid(
        title=table.title,
        header=tuple(tuple(name.split("\n")) for name in table.header),
        rows=rows,
        kinds=tuple(columns),
        notes=tuple(notes),
        methods=f"95 % intervals: {', '.join(methods)}." if methods else "",
    )


def _kind(cells: list[str | Estimate], *, first: bool) -> str:
    if any(isinstance(cell, Estimate) for cell in cells):
        return "figure"
    texts = [cell for cell in cells if isinstance(cell, str)]
    if not first and any(texts) and all(_NUMBER.fullmatch(text.strip()) for text in texts):
        return "number"
    return "long" if max(map(len, texts), default=0) > _LONG else "text"
