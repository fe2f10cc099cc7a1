"""A page as one HTML file: no network, no script, readable on a phone, in print and in the dark."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, groupby
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from fracjax.report import svg
from fracjax.report.page import KINDS, Chart, Gallery, Page, Photo, Section
from fracjax.report.table import Grid, Table, format_estimate

LARGEST = 640  # pixels of a side; a photo is shown no larger than that
_MANY = 40  # rows; a longer table behind a chart stays closed in print


@dataclass(frozen=True)
class _Figure:
    """A chart as the template wants it."""

    svg: Markup
    grid: Grid
    caption: str
    many: bool


@dataclass(frozen=True)
class _Picture:
    """A photo as the template wants it; sizes in pixels."""

    source: str
    width: int
    height: int
    alt: str
    caption: str


def render(page: Page) -> str:
    """One self-contained file; its policy forbids it to fetch or run anything."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fracjax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["format_estimate"] = format_estimate
    numbers = count(1)
    return environment.get_template("page.html").render(
        page=page,
        sections=[(section, list(_runs(section, numbers))) for section in page.sections],
        light=Markup(svg.css("light")),
        dark=Markup(svg.css("dark")),
    )


def _runs(section: Section, numbers: Iterator[int]) -> Iterator[tuple[str, Any]]:
    """Kind and content of each block; charts that follow each other are one run, side by side."""
    for kind, blocks in groupby(section.blocks, key=lambda block: KINDS[type(block)]):
        if kind == "chart":
            yield kind, [_figure(chart, next(numbers)) for chart in blocks]  # pyright: ignore[reportArgumentType]
            continue
        for block in blocks:
            match block:
                case Table():
                    yield kind, block.grid()
                case Gallery():
                    yield kind, ([_picture(photo) for photo in block.photos], block.empty)
                case _:
                    yield kind, block


def _figure(chart: Chart, number: int) -> _Figure:
    # Ids of sections begin with a letter, so that none is like these.
    element = svg.inline(chart.svg, f"_c{number}", title=chart.table.title, alt=chart.alt)
    rows = len(chart.table.rows)
    return _Figure(Markup(element), chart.table.grid(), chart.caption, rows > _MANY)


def _picture(photo: Photo) -> _Picture:
    with Image.open(io.BytesIO(photo.png)) as image:
        png, size = photo.png, image.size
        if max(size) > LARGEST:
            image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
            smaller = io.BytesIO()
            image.save(smaller, format="PNG", optimize=True)
            png, size = smaller.getvalue(), image.size
    source = "data:image/png;base64," + base64.b64encode(png).decode()
    return _Picture(source, *size, photo.alt, photo.caption)
