"""A page as one HTML file: no network, no script, readable on a phone, in print and in the dark."""

import base64
import io
from collections.abc import Iterator
from itertools import count, groupby
from typing import Any

import jinja2
from PIL import Image

from fracjax.report import svg
from fracjax.report.page import Chart, Page, Photo, Section
from fracjax.report.table import format_estimate

LARGEST = 640  # pixels of a side; a photo is shown no larger than that


def templates() -> jinja2.Environment:
    """Those of the package: what is put into them is escaped, what is missing is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("fracjax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(page: Page) -> str:
    """One self-contained file; its policy forbids it to fetch or run anything."""
    environment, numbers = templates(), count(1)
    environment.filters |= {
        "format_estimate": format_estimate,
        # Ids of sections begin with a letter, so that none is like these.
        "drawing": lambda chart: svg.inline(chart, f"_c{next(numbers)}"),
        "image": _image,
        "runs": _runs,
    }
    return environment.get_template("page.html").render(page=page, colours=svg.css)


def _runs(section: Section) -> Iterator[tuple[str, Any]]:
    """Kind and content of each block; charts that follow each other are one run, side by side."""
    for of_charts, blocks in groupby(section.blocks, key=lambda block: isinstance(block, Chart)):
        if of_charts:
            yield "charts", list(blocks)
        else:
            yield from ((block.kind, block) for block in blocks)


def _image(photo: Photo) -> dict[str, Any]:
    """Attributes of the `<img>` of a photo; sizes in pixels."""
    with Image.open(io.BytesIO(photo.png)) as image:
        png = photo.png
        if max(image.size) > LARGEST:
            image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
            smaller = io.BytesIO()
            image.save(smaller, format="PNG", optimize=True)
            png = smaller.getvalue()
        source = "data:image/png;base64," + base64.b64encode(png).decode()
        return {"src": source, "width": image.width, "height": image.height, "alt": photo.alt}
