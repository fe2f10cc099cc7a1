"""A page as Markdown for GitHub: report.md, with its charts (SVG) and photos (PNG) beside it."""

import re
from collections.abc import Iterator
from pathlib import Path

from fracjax.report import svg
from fracjax.report.page import Block, Chart, Facts, Gallery, KeyFigures, Page, Photo, Prose
from fracjax.report.table import Cell, Table, format_estimate

_PICTURE = re.compile(r"[a-z][a-z0-9-]*-\d+\.(svg|png)")
_MARKUP = re.compile(r"[\\`*\[\]|$~]|(?<![^\W_])_|_(?![^\W_])")
_STARTS_BLOCK = re.compile(r"(\d+(?=[.)](?:\s|$))|(?=#+(?:\s|$))|(?=[-+](?:\s|$))|(?=[-=]{2}))")


def write(page: Page, folder: Path) -> Path:
    """Write report.md and its pictures; links are relative, so that the folder can move.

    Returns:
      The Markdown file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_former(folder)
    parts = [f"# {escape(page.title)}"]
    if page.facts:
        parts.append(_facts(page.facts))
    for section in page.sections:
        parts.append(f"## {escape(section.title)}")
        for number, block in enumerate(section.blocks, 1):
            parts += _block(block, folder, f"{section.id}-{number}")
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _remove_former(folder: Path) -> None:
    """Pictures of an earlier report must not outlive it: they may be of patients."""
    if (folder / "report.md").exists():
        for path in folder.iterdir():
            if _PICTURE.fullmatch(path.name):
                path.unlink()


def escape(text: str) -> str:
    """Text on one line that Markdown, its tables, its formulas and its HTML leave as it is."""
    line = _MARKUP.sub(lambda match: "\\" + match[0], " ".join(text.split()))
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        line = line.replace(character, entity)
    return _STARTS_BLOCK.sub(r"\1" + "\\\\", line, count=1) if _STARTS_BLOCK.match(line) else line


def _block(block: Block, folder: Path, name: str) -> Iterator[str]:
    match block:
        case Prose():
            yield from _prose(block)
        case KeyFigures():
            yield _key_figures(block)
        case Facts():
            yield _facts(block.rows)
        case Chart():
            yield from _chart(block, folder / f"{name}.svg")
        case Table():
            yield from _table(block)
        case Gallery():
            for number, photo in enumerate(block.photos, 1):
                yield _photo(photo, folder / f"{name}-{number}.png")
            if not block.photos:
                yield f"*{escape(block.empty)}*"


def _prose(block: Prose) -> Iterator[str]:
    paragraphs = [escape(paragraph) for paragraph in block.paragraphs]
    if block.tone == "text":
        yield from paragraphs
    else:
        lines = [f"[!{block.tone.upper()}]", *"\n\n".join(paragraphs).split("\n")]
        yield "\n".join(f"> {line}".rstrip() for line in lines)


def _key_figures(block: KeyFigures) -> str:
    lines = []
    for item in block.figures:
        figure = format_estimate(item.estimate)
        reason = f" ({escape(figure.reason)})" if figure.reason else ""
        shown = " ".join(filter(None, (f"**{figure.value}**", figure.interval, f"n={figure.n}")))
        lines.append(f"- {escape(item.name)}: {shown}{reason}. {escape(item.meaning)}")
    return "\n".join(lines)


def _facts(rows: tuple[tuple[str, str], ...]) -> str:
    return "\n".join(f"- **{escape(name)}**: {escape(value)}" for name, value in rows)


def _chart(chart: Chart, path: Path) -> Iterator[str]:
    title = chart.table.title
    path.write_text(svg.standalone(chart.svg, title=title, alt=chart.alt), encoding="utf-8")
    yield f"### {escape(title)}"
    yield f"![{escape(chart.alt)}]({path.name})"
    yield escape(chart.caption)
    table = "\n\n".join(list(_table(chart.table))[1:])
    yield f"<details><summary>The numbers behind this picture</summary>\n\n{table}\n\n</details>"


def _table(table: Table) -> Iterator[str]:
    content = table.grid()
    rule = ["--:" if kind == "number" else "---" for kind in content.kinds]
    lines = [_row([escape(" ".join(lines)) for lines in content.header]), _row(rule)]
    lines += [_row([_cell(cell) for cell in row]) for row in content.rows]
    yield f"**{escape(content.title)}**"
    yield "\n".join(lines)
    notes = [f"<sup>{i}</sup> {escape(note)}  " for i, note in enumerate(content.notes, 1)]
    notes += [escape(content.methods)] if content.methods else []
    if notes:
        yield "\n".join(notes)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell) -> str:
    if cell.figure is None:
        return escape(cell.text)
    note = f"<sup>{cell.figure.note}</sup>" if cell.figure.note else ""
    figure = cell.figure
    return " ".join(filter(None, (figure.value + note, figure.interval, f"n={figure.n}")))


def _photo(photo: Photo, path: Path) -> str:
    path.write_bytes(photo.png)
    return f"![{escape(photo.alt)}]({path.name})\n{escape(photo.caption)}"
