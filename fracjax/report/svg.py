"""The colours of a page, and the way of a chart to where it is shown: in a page, or in a file.

The colours are Okabe and Ito's, distinguished by everyone. A chart is drawn in the light ones, and
`charts.canvas.to_svg` makes each the CSS variable of its name. What colour says, marks or numbers
say too.
"""

import re
import xml.etree.ElementTree as ET
from typing import Literal, NamedTuple

from fracjax.report.page import Chart

SVG = "http://www.w3.org/2000/svg"
_FONTS = "system-ui, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

ET.register_namespace("", SVG)


class Shade(NamedTuple):
    """One colour on white paper and its counterpart on a dark screen, as #rrggbb."""

    light: str
    dark: str


PALETTE = {
    "paper": Shade("#ffffff", "#14181d"),
    "panel": Shade("#f4f6f8", "#1d232a"),
    "ink": Shade("#1b1f24", "#e6e9ec"),
    "muted": Shade("#57606a", "#a3adb8"),
    "rule": Shade("#d5dbe1", "#3a434d"),
    "blue": Shade("#0072b2", "#5ab7ec"),
    "orange": Shade("#d55e00", "#ff9350"),
    "green": Shade("#009e73", "#2fc7a0"),
    "purple": Shade("#a8557f", "#d78fb5"),
    # Below dark text on paper and light text on a dark screen, at up to 0.65 of its strength.
    "heat": Shade("#0a72b0", "#1c78b8"),
    "link": Shade("#005a8f", "#7cc4f0"),
    "warning": Shade("#fff4e5", "#33261a"),
}
"""All of them differ in light, for a colour to be known by its name."""

PAPER, PANEL, INK, MUTED, RULE, BLUE, ORANGE, GREEN, PURPLE, HEAT = (
    shade.light for shade in list(PALETTE.values())[:10]
)
HEAT_MOST = 0.65
_VARIABLE = re.compile(rf"var\(--({'|'.join(PALETTE)})\)")


def css(mode: Literal["light", "dark"]) -> str:
    """Declarations of all colours in one mode, as CSS variables."""
    return " ".join(f"--{name}: {getattr(shade, mode)};" for name, shade in PALETTE.items())


def inline(chart: Chart, name: str) -> str:
    """An element for a page of HTML; its ids begin with `name`, so that charts share none."""
    root = _described(chart, name)
    del root.attrib["width"], root.attrib["height"]
    # The namespace is the parser's business in HTML.
    return ET.tostring(root, encoding="unicode").replace(f' xmlns="{SVG}"', "", 1)


def standalone(chart: Chart) -> str:
    """A file that any viewer can show: real colours on white paper."""
    root = _described(chart, "chart")
    root.set("font-family", _FONTS)
    _, _, width, height = root.get("viewBox", "").split()
    root.insert(2, ET.Element(f"{{{SVG}}}rect", {"width": width, "height": height, "fill": PAPER}))
    text = ET.tostring(root, encoding="unicode")
    return _VARIABLE.sub(lambda match: PALETTE[match[1]].light, text) + "\n"


def _described(chart: Chart, name: str) -> ET.Element:
    """The chart with its text alternative, and `name` before its ids and what refers to them."""
    root = ET.fromstring(chart.svg)
    for element in root.iter():
        for key, value in element.attrib.items():
            before = {"id": "", "href": "#", "clip-path": "url(#"}.get(key)
            if before is not None:
                element.set(key, f"{before}{name}-{value.removeprefix(before)}")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for place, (kind, text) in enumerate((("title", chart.table.title), ("desc", chart.alt))):
        element = ET.Element(f"{{{SVG}}}{kind}", {"id": f"{name}-{kind}"})
        element.text = text
        root.insert(place, element)
    return root
