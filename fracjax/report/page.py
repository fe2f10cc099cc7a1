"""A report as data: sections of words, tables, charts and pictures, in the order of reading.

`html`, `markdown` and `to_dict` each write the same page. Text is plain: no markup, no HTML.
"""

from dataclasses import dataclass
from typing import Literal

from fracjax.evaluation import Estimate
from fracjax.report.tables import Table


@dataclass(frozen=True)
class Prose:
    """Paragraphs; `tone` says how loud: a remark in the text, or a box that nobody overlooks."""

    paragraphs: tuple[str, ...]
    tone: Literal["text", "note", "warning"] = "text"


@dataclass(frozen=True)
class KeyFigure:
    """A figure so important that it is shown large, with a sentence of plain words."""

    name: str
    estimate: Estimate
    meaning: str


@dataclass(frozen=True)
class KeyFigures:
    """Some figures side by side."""

    figures: tuple[KeyFigure, ...]


@dataclass(frozen=True)
class Chart:
    """A drawn figure.

    Attributes:
      svg: an `<svg>` element that takes its colours from the page (light, dark, print).
      alt: what it shows, in a sentence or two, for who cannot see it.
      caption: below it.
      table: the numbers behind it.
    """

    svg: str
    alt: str
    caption: str
    table: Table


@dataclass(frozen=True)
class Photo:
    """A radiograph or another picture of pixels; `png` is an encoded file."""

    png: bytes
    alt: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side; `empty` is said when there are none."""

    photos: tuple[Photo, ...]
    empty: str


Block = Prose | KeyFigures | Chart | Table | Gallery


@dataclass(frozen=True)
class Section:
    """One heading and what stands below it; `id` names it in links and in JSON."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole report; `facts` stand below the title: date, checkpoint, dataset, split hash."""

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
