"""Where charts without axes are drawn: rectangles, lines and words in the page's colours.

The same units and colours as `canvas`. Text is given as it is; nothing in it is markup.
"""

import re
import unicodedata
import xml.etree.ElementTree as ET

from fracjax.report.charts.canvas import FONT, WIDTH
from fracjax.report.palette import INK, PALETTE
from fracjax.report.svg import SVG

# Widths by size, in DejaVu Sans, a font wider than most; other letters are 0.61.
_WIDTHS = dict.fromkeys("ijl|' .,:;!I()[]ft", 0.36) | dict.fromkeys("mwMW@%…", 0.95)


Number = int | float
Point = tuple[Number, Number]


class Drawing:
    """An `<svg>` element that grows; sizes are in its units, y goes down."""

    def __init__(self, height: Number, width: Number = WIDTH):
        self._root = ET.Element(f"{{{SVG}}}svg", {"viewBox": f"0 0 {width:g} {height:g}"})

    @property
    def svg(self) -> str:
        """What was drawn."""
        return ET.tostring(self._root, encoding="unicode")

    def rectangle(
        self,
        x: Number,
        y: Number,
        width: Number,
        height: Number,
        *,
        fill: str = "none",
        opacity: Number = 1,
        stroke: str = "none",
        radius: Number = 0,
    ) -> None:
        """Its upper left corner is at (x, y)."""
        place = _numbers(x=x, y=y, width=width, height=height, rx=radius)
        self._add("rect", place, _paint(fill, opacity, stroke, 1))

    def line(
        self,
        *points: Point,
        colour: str = INK,
        width: Number = 1,
        dash: str = "none",
        opacity: Number = 1,
    ) -> None:
        """Through all points."""
        path = " ".join(f"{'L' if i else 'M'} {x:.2f} {y:.2f}" for i, (x, y) in enumerate(points))
        style = f"{_paint('none', opacity, colour, width)}; stroke-dasharray: {dash}"
        self._add("path", {"d": path}, style)

    def polygon(self, *points: Point, fill: str) -> None:
        """Filled, through all points."""
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        self._add("polygon", {"points": path}, _paint(fill, 1, "none", 1))

    def circle(self, x: Number, y: Number, radius: Number, *, fill: str) -> None:
        """Filled, around (x, y)."""
        self._add("circle", _numbers(cx=x, cy=y, r=radius), _paint(fill, 1, "none", 1))

    def text(
        self,
        x: Number,
        y: Number,
        text: str,
        *,
        colour: str = INK,
        anchor: str = "start",
        bold: bool = False,
        italic: bool = False,
        size: Number = FONT,
    ) -> None:
        """One line on the base line at y; `anchor` is start, middle or end."""
        style = f"font-size: {size:g}px; text-anchor: {anchor}; fill: {_variable(colour)}"
        style += "; font-weight: 650" if bold else ""
        style += "; font-style: italic" if italic else ""
        self._add("text", _numbers(x=x, y=y), style).text = text

    def _add(self, kind: str, attributes: dict[str, str], style: str) -> ET.Element:
        return ET.SubElement(self._root, f"{{{SVG}}}{kind}", {**attributes, "style": style})


def arrow(drawing: Drawing, start: Point, end: Point, c: str) -> None:
    """A line that points straight down or to the right."""
    (_, y1), (x2, y2) = start, end
    drawing.line(start, (x2 - 3, y2) if y1 == y2 else (x2, y2 - 3), colour=c)
    right = ((x2, y2), (x2 - 5, y2 - 3), (x2 - 5, y2 + 3))
    down = ((x2, y2), (x2 - 3, y2 - 5), (x2 + 3, y2 - 5))
    drawing.polygon(*(right if y1 == y2 else down), fill=c)


def width_of(text: str, size: Number = FONT) -> float:
    """About how wide a text is; letters of East Asia are as wide as they are high."""
    return size * sum(_width(letter) for letter in text)


def wrapped(text: str, width: Number, *, lines: int = 2, size: Number = FONT) -> list[str]:
    """A text in lines of at most `width`, broken at spaces and hyphens; "…" for what is left."""
    pieces = re.findall(r"\s?[^\s-]*-|\s?[^\s-]+", " ".join(text.split()))
    done = [""]
    while pieces:
        piece = pieces.pop(0)
        if width_of(done[-1] + piece, size) <= width:
            done[-1] += piece
        elif done[-1] and len(done) < lines:
            done.append("")
            pieces.insert(0, piece.lstrip())
        else:
            line = done[-1] + piece
            end = "…" if len(done) == lines else ""
            fits = (k for k in range(len(line), 1, -1) if width_of(line[:k] + end, size) <= width)
            cut = next(fits, 1)
            done[-1] = line[:cut].rstrip() + end
            if end:
                break
            pieces.insert(0, line[cut:])
            done.append("")
    return done


def _width(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    return _WIDTHS.get(letter, 0.68 if letter.isupper() else 0.61)


def _numbers(**values: Number) -> dict[str, str]:
    return {name: f"{round(value, 2):g}" for name, value in values.items() if value or name != "rx"}


def _paint(fill: str, opacity: Number, stroke: str, width: Number) -> str:
    parts = {
        "fill": _variable(fill),
        "stroke": _variable(stroke),
        "stroke-width": f"{width:g}",
        "opacity": f"{opacity:.3g}",
    }
    plain = {"stroke": "none", "stroke-width": "1", "opacity": "1"}
    return "; ".join(f"{k}: {v}" for k, v in parts.items() if plain.get(k) != v)


def _variable(colour: str) -> str:
    for name, shade in PALETTE.items():
        if shade.light == colour:
            return f"var(--{name})"
    return re.sub(r"[^\w]", "", colour)
