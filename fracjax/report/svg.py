"""The colours of a page, and the way of a chart to where it is shown: in a page, or in a file.

The colours are Okabe and Ito's, distinguished by everyone. A chart is drawn in the light ones;
`charts.canvas.to_svg` turns each into the CSS variable of its name, so that the page can show it in
the dark ones. What colour says, a mark or a number says too.
"""

import re
import xml.etree.ElementTree as ET
from typing import Literal, NamedTuple

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


def inline(svg: str, name: str, *, title: str, alt: str) -> str:
    """An element for a page of HTML, with its text alternative.

    Args:
      svg: of a `Chart`.
      name: all of its ids begin with it, so that no two charts of a page share one.
      title: in a few words.
      alt: in a sentence or two.
    """
    root = _described(svg, name, title, alt)
    root.attrib.pop("width", None)
    root.attrib.pop("height", None)
    # The namespace is the parser's business in HTML.
    return ET.tostring(root, encoding="unicode").replace(f' xmlns="{SVG}"', "", 1)


def standalone(svg: str, *, title: str, alt: str) -> str:
    """A file that any viewer can show: real colours on white paper."""
    root = _described(svg, "chart", title, alt)
    root.set("font-family", _FONTS)
    box = dict(zip(("x", "y", "width", "height"), root.get("viewBox", "").split(), strict=True))
    root.insert(2, ET.Element(f"{{{SVG}}}rect", {**box, "fill": PAPER}))
    text = ET.tostring(root, encoding="unicode")
    return _VARIABLE.sub(lambda match: PALETTE[match[1]].light, text) + "\n"


def _described(svg: str, name: str, title: str, alt: str) -> ET.Element:
    root = ET.fromstring(svg)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == "href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for place, (kind, text) in enumerate((("title", title), ("desc", alt))):
        element = ET.Element(f"{{{SVG}}}{kind}", {"id": f"{name}-{kind}"})
        element.text = text
        root.insert(place, element)
    return root
