"""A page as Markdown for GitHub: report.md, with its charts (SVG) and photos (PNG) beside it."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

from fracjax.report import svg
from fracjax.report.page import Block, Chart, Facts, Gallery, KeyFigure, KeyFigures, Page, Prose
from fracjax.report.table import Cell, Table, format_estimate

_IMAGE = re.compile(r"[a-z][a-z0-9-]*-\d+\.(svg|png)")
_MARKUP = re.compile(r"[\\`*\[\]|$~]|(?<![^\W_])_|_(?![^\W_])")
_STARTS_BLOCK = re.compile(r"(\d+(?=[.)](?:\s|$))|(?=#+(?:\s|$))|(?=[-+](?:\s|$))|(?=[-=]{2}))")


def write(page: Page, folder: Path) -> Path:
    """Write report.md, whose path is returned, and its images, linked relatively."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "report.md").exists():
        # Images of an earlier report must not outlive it: they may be of patients.
        for path in folder.iterdir():
            if _IMAGE.fullmatch(path.name):
                path.unlink()
    parts = [f"# {escape(page.title)}"]
    if page.facts:
        parts.append(_facts(page.facts))
    for section in page.sections:
        parts.append(f"## {escape(section.title)}")
        for number, block in enumerate(section.blocks, 1):
            parts += _block(block, folder, f"{section.id}-{number}")
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n", "utf-8", "backslashreplace")
    return path


def escape(text: str) -> str:
    """Text on one line that Markdown, its tables, its formulas and its HTML leave as it is."""
    line = _MARKUP.sub(lambda match: "\\" + match[0], " ".join(text.split()))
    line = html.escape(line, quote=False)
    return _STARTS_BLOCK.sub(r"\1" + "\\\\", line, count=1) if _STARTS_BLOCK.match(line) else line


def _block(block: Block, folder: Path, name: str) -> Iterator[str]:
    match block:
        case Prose():
            paragraphs = [escape(paragraph) for paragraph in block.paragraphs]
            if block.tone == "text":
                yield from paragraphs
            else:
                lines = (f"[!{block.tone.upper()}]", *"\n\n".join(paragraphs).split("\n"))
                yield "\n".join(f"> {line}".rstrip() for line in lines)
        case KeyFigures():
            yield "\n".join(map(_key_figure, block.figures))
        case Facts():
            yield _facts(block.rows)
        case Chart():
            (folder / f"{name}.svg").write_text(svg.standalone(block), encoding="utf-8")
            yield f"### {escape(block.table.title)}"
            yield f"![{escape(block.alt)}]({name}.svg)"
            yield escape(block.caption)
            summary = "<summary>The numbers behind this chart</summary>"
            yield "\n\n".join((f"<details>{summary}", *table_lines(block.table), "</details>"))
        case Table():
            yield f"**{escape(block.title)}**"
            yield from table_lines(block)
        case Gallery():
            for number, photo in enumerate(block.photos, 1):
                (folder / f"{name}-{number}.png").write_bytes(photo.png)
                yield f"![{escape(photo.alt)}]({name}-{number}.png)\n{escape(photo.caption)}"
            if not block.photos:
                yield f"*{escape(block.empty)}*"


def _key_figure(figure: KeyFigure) -> str:
    cell = format_estimate(figure.estimate)
    reason = f" ({escape(cell.reason)})" if cell.reason else ""
    shown = " ".join(filter(None, (f"**{cell.text}**", cell.interval, f"n={cell.n}")))
    return f"- {escape(figure.name)}: {shown}{reason}. {escape(figure.meaning)}"


def _facts(rows: tuple[tuple[str, str], ...]) -> str:
    return "\n".join(f"- **{escape(name)}**: {escape(value)}" for name, value in rows)


def table_lines(table: Table) -> Iterator[str]:
    """A table without its title: its rows, and notes if there are any."""
    grid = table.grid()
    rows = [
        [escape(name) for name in table.header],
        ["--:" if kind == "number" else "---" for kind in grid.kinds],
        *(map(_cell, row) for row in grid.rows),
    ]
    yield "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = [f"<sup>{i}</sup> {escape(note)}  " for i, note in enumerate(grid.notes, 1)]
    notes += [escape(grid.methods)] if grid.methods else []
    if notes:
        yield "\n".join(notes)


def _cell(cell: Cell) -> str:
    if cell.kind != "figure":
        return escape(cell.text)
    note = f"<sup>{cell.note}</sup>" if cell.note else ""
    return " ".join(filter(None, (cell.text + note, cell.interval, f"n={cell.n}")))
