"""A report as data: sections of words, tables, charts and images, in the order of reading.

`html`, `markdown` and `to_dict` each write the same page. Text is plain: no markup, no HTML.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fracjax.evaluation import Estimate
from fracjax.report.table import Table
from fracjax.runtime.atomic_files import to_json


@dataclass(frozen=True)
class Prose:
    """Paragraphs; `tone` says how loud: a remark in the text, or a box that nobody overlooks."""

    kind: ClassVar = "prose"
    paragraphs: tuple[str, ...]
    tone: Literal["text", "note", "warning"] = "text"


def text(*paragraphs: str) -> Prose:
    """Paragraphs that nothing surrounds."""
    return Prose(paragraphs)


@dataclass(frozen=True)
class KeyFigure:
    """A figure so important that it is shown large, with a sentence of plain words."""

    name: str
    estimate: Estimate
    meaning: str


@dataclass(frozen=True)
class KeyFigures:
    """Some figures side by side."""

    kind: ClassVar = "key figures"
    figures: tuple[KeyFigure, ...]


@dataclass(frozen=True)
class Facts:
    """What is so and not measured: a name and its answer in each row, as in a model card."""

    kind: ClassVar = "facts"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Chart:
    """A drawn figure; `table.title` is its title."""

    kind: ClassVar = "chart"
    svg: str  # an `<svg>` element that takes its colours from the page (light, dark, print)
    alt: str  # what it shows, in a sentence or two, for who cannot see it
    caption: str  # below it
    table: Table  # the numbers behind it


@dataclass(frozen=True)
class Photo:
    """A radiograph or another image of pixels; `png` is an encoded file."""

    png: bytes
    alt: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Images side by side; `empty` is said when there are none."""

    kind: ClassVar = "gallery"
    photos: tuple[Photo, ...]
    empty: str


Block = Prose | KeyFigures | Facts | Chart | Table | Gallery


@dataclass(frozen=True)
class Section:
    """One heading and what stands below it; `id` (a-z, 0-9, -) names it in links and in JSON."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole report; `facts` stand below the title: date, checkpoint, dataset, split hash.

    Raises:
      ValueError: sections share an id.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        ids = [section.id for section in self.sections]
        if len(set(ids)) < len(ids):
            raise ValueError(f"sections of a page share an id: {', '.join(ids)}")


def to_dict(page: Page) -> dict[str, Any]:
    """A dict that strict JSON can hold; of an image it has the words and the numbers."""
    made = _words(to_json(page)) | {"facts": dict(page.facts)}
    for section, written in zip(page.sections, made["sections"], strict=True):
        blocks = zip(section.blocks, written["blocks"], strict=True)
        written["blocks"] = [{"kind": block.kind, **words} for block, words in blocks]
    return made


def _words(value: Any) -> Any:
    """What is left of a page, as JSON holds it, without its drawings and pixels."""
    if isinstance(value, list):
        return [_words(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _words(item) for key, item in value.items() if key not in ("svg", "png")}
