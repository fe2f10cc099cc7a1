"""Where charts are drawn: matplotlib in the page's colours and its font, small.

A chart is as wide as a phone, and its text as large as the text around it there.
"""

import io
import re
import textwrap
import unicodedata
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from fracjax.evaluation import Estimate
from fracjax.report.svg import INK, MUTED, PALETTE, RULE, SVG

Number = int | float

WIDTH = 302.4  # units of the drawing; at 340 CSS pixels a unit is 1.12 pixels
FONT = 10  # units
_FAMILY = "DejaVu Sans"  # wide: what fits in it fits in the reader's font
_XLINK = "{http://www.w3.org/1999/xlink}href"
_STYLE: dict[Any, Any] = {
    "font.family": _FAMILY,
    "font.size": FONT,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "a$b$"
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "fracjax",
}


@contextmanager
def canvas(height: Number, *, constrained: bool = True) -> Iterator[Figure]:
    """A figure of the width of a phone and so many units high, to be drawn on in the block.

    Its axes are placed by matplotlib for their labels to fit, unless it is not `constrained`.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        FigureCanvasSVG(figure)
        if constrained:
            figure.set_layout_engine("constrained", w_pad=2 / 72, h_pad=3 / 72)
        yield figure


def whiskers(*estimates: Estimate) -> np.ndarray | None:
    """Lengths of the whiskers, for `Axes.errorbar`; None if one of them has no interval."""
    ends = np.array([(e.value, e.low, e.high) for e in estimates], float).reshape(-1, 3)
    lengths = np.abs(ends[:, 1:] - ends[:, :1]).T
    return lengths if np.isfinite(lengths).all() else None


def text_width(text: str, size: Number = FONT) -> float:
    """How wide a text is in the widest font, in units."""
    # The font has no letters of East Asia, which are about as wide as an M.
    wide = "".join("M" if unicodedata.east_asian_width(c) in "WF" else c for c in text)
    font = FontProperties(family=_FAMILY, size=size)
    return TextToPath().get_text_width_height_descent(wide, font, ismath=False)[0]


def wrapped(text: str, width: Number, *, lines: int = 2) -> list[str]:
    """A text in lines of at most `width`, broken at spaces and hyphens; "…" for what is left."""
    for letters in range(len(text), 1, -1):
        broken = textwrap.wrap(text, letters)
        if len(broken) > lines:
            broken[lines - 1 :] = [broken[lines - 1][: letters - 1].rstrip() + "…"]
        if all(text_width(line) <= width for line in broken):
            return broken
    return [text[:1]]


def to_svg(figure: Figure) -> str:
    """The figure of a `canvas`, within its block, with a legend of what is labelled: an `<svg>`."""
    pairs = [axes.get_legend_handles_labels() for axes in figure.axes]
    if named := {label: mark for pair in pairs for mark, label in zip(*pair, strict=True)}:
        place = {"loc": "outside lower left", "labelspacing": 0.45, "borderpad": 0.4}
        figure.legend(named.values(), named, **place)
    written = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():
        # Text stays text: whoever reads it has the font.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(written, format="svg", transparent=True, metadata=no_metadata)
    root = ET.fromstring(written.getvalue())
    root.remove(root[0])  # its rule for `*` would reach all of the page around; what it says:
    root.set("stroke-linejoin", "round")
    used = set(re.findall(r"#(\w+)", written.getvalue()))
    for element in root.iter():
        _tidy(element, used)
    return ET.tostring(root, encoding="unicode")


def _tidy(element: ET.Element, used: set[str]) -> None:
    """Colours become variables, the font the reader's; digits below a hundredth go, and ids."""
    if element.tag != f"{{{SVG}}}text":
        element.text = None  # white space
    element.tail = None
    if element.get("id") not in used:
        element.attrib.pop("id", None)
    if link := element.attrib.pop(_XLINK, None):
        element.set("href", link)
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for name, value in element.attrib.items():
        if name == "style":
            value = re.sub(r"font-family: [^;]*;? ?", "", value)
            for variable, shade in PALETTE.items():
                value = value.replace(shade.light, f"var(--{variable})")
        value = re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", value)
        element.set(name, " ".join(value.split()))
