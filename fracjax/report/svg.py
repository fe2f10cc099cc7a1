"""From a chart to where it is shown: within a page, or as a file of its own."""

import re
import xml.etree.ElementTree as ET

from fracjax.report.palette import PALETTE

SVG = "http://www.w3.org/2000/svg"
_FONTS = "system-ui, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_VARIABLE = re.compile(r"var\(--(\w+)\)")

ET.register_namespace("", SVG)


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
    root.insert(2, ET.Element(f"{{{SVG}}}rect", {**box, "fill": PALETTE["paper"].light}))
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _VARIABLE.sub(lambda match: PALETTE[match[1]].light, value))
    return ET.tostring(root, encoding="unicode") + "\n"


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
