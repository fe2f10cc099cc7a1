import itertools
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from fracjax.report import html
from fracjax.report.page import Page, Prose, Section, to_dict
from fracjax.report.svg import HEAT_MOST, PALETTE
from fracjax.runtime.atomic_files import write_json
from tests.report.sample_page import EVIL, page

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Tree(HTMLParser):
    """Every element with its attributes and text; refuses tags that are not closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def text():
    return html.render(page())


@pytest.fixture(scope="module")
def tree(text):
    return Tree(text)


def test_one_file_that_fetches_and_runs_nothing(text, tree):
    assert not re.search(r"https?:|//[a-z]|@import|javascript:", text)
    assert not tree.all("script", "link", "iframe", "object", "form")
    policy = [m["content"] for m in tree.all("meta") if "http-equiv" in m]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not [a for _, a in tree.elements for name in a if name.startswith("on")]
    links = [a["href"] for _, a in tree.elements if "href" in a]
    assert links
    ids = {a["id"] for _, a in tree.elements if "id" in a}
    assert {link.removeprefix("#") for link in links} <= ids
    assert all(i["src"].startswith("data:image/png;base64,") for i in tree.all("img"))


def test_every_id_is_there_once_and_every_reference_leads_to_one(text, tree):
    ids = [a["id"] for _, a in tree.elements if "id" in a]
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]+)\)", text)
    used += [i for _, a in tree.elements for i in a.get("aria-labelledby", "").split()]
    assert set(used) <= set(ids)


def test_the_same_chart_twice_shares_no_id():
    chart = page().sections[1].blocks[0]
    tree = Tree(html.render(Page("t", (), (Section("a", "A", (chart, chart)),))))
    ids = [a["id"] for _, a in tree.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_every_picture_says_what_it_shows(text, tree):
    assert len(tree.all("svg")) == 12
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        root = ET.fromstring(svg)
        names = (root.get("aria-labelledby") or "").split()
        words = {
            child.get("id"): child.text or "" for child in root if child.tag in ("title", "desc")
        }
        assert root.get("role") == "img"
        assert [bool(words[name]) for name in names] == [True, True]
    assert all(image["alt"] and image["width"] for image in tree.all("img"))
    assert max(int(image["width"]) for image in tree.all("img")) == html.LARGEST


def test_headings_go_down_one_by_one_from_a_single_first(tree):
    levels = [int(tag[1]) for tag, _ in tree.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_sections_are_named_and_listed(tree):
    assert [s["id"] for s in tree.all("section")] == [
        "words",
        "charts",
        "tables",
        "images",
        "none",
    ]
    assert {a["href"] for a in tree.all("a")} >= {f"#{s['id']}" for s in tree.all("section")}
    [language] = tree.all("html")
    assert language["lang"] == "en"


def test_tables_have_captions_and_scopes(text, tree):
    tables = len(tree.all("table"))
    assert tables == len(tree.all("caption")) == 12 + 3
    assert {h["scope"] for h in tree.all("th")} == {"col", "row"}
    assert text.count("The numbers behind this chart") == 12


def test_names_that_look_like_markup_are_text(text, tree):
    assert "<b>" not in text
    assert "b" not in {tag for tag, _ in tree.elements}
    assert f"Report {EVIL}" in "".join(tree.text)
    assert any(EVIL in image["alt"] for image in tree.all("img"))


def test_what_is_undefined_says_so_and_why(tree):
    words = " ".join("".join(tree.text).split())
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", words)
    assert "undefined: no positive study" in words
    # Equal reasons share a note: of four rows, one is whole, one has no interval, and two are 0/0.
    notes = [li["id"] for li in tree.all("li") if li.get("id", "").startswith("_t-tables-1-")]
    assert notes == ["_t-tables-1-1", "_t-tables-1-2"]


def test_figures_are_set_in_parts(text):
    assert '<span class="v">0.912</span> <span class="ci">[0.88, 0.94]</span>' in text
    assert '<span class="n">n=613</span>' in text


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_have_the_contrast_of_wcag_aa(mode):
    colours = {name: getattr(shade, mode) for name, shade in PALETTE.items()}
    shaded = _mixed(colours["heat"], colours["paper"], HEAT_MOST)
    text = [(i, p) for i in ("ink", "muted", "link") for p in ("paper", "panel", "warning")]
    assert {pair: c for pair in text if (c := _contrast(*(colours[n] for n in pair))) < 4.5} == {}
    assert _contrast(colours["ink"], shaded) >= 4.5
    marks = ("blue", "orange", "green", "purple", "muted")
    assert {m: c for m in marks if (c := _contrast(colours[m], colours["paper"])) < 3} == {}


def test_colours_are_told_apart_by_their_light_value():
    assert len({shade.light for shade in PALETTE.values()}) == len(PALETTE)


def test_json_is_strict_and_whole(tmp_path):
    write_json(tmp_path / "page.json", to_dict(page()))
    read = json.loads((tmp_path / "page.json").read_text())
    assert read["title"] == f"Report {EVIL}"
    kinds = [block["kind"] for section in read["sections"] for block in section["blocks"]]
    assert kinds[:4] == ["prose", "prose", "prose", "key figures"]
    assert kinds.count("chart") == 12
    table = read["sections"][2]["blocks"][0]
    assert table["rows"][0][1]["value"] == 0.912
    assert table["rows"][1][1]["value"] is None
    assert table["rows"][1][1]["note"] == "no positive study"
    assert "png" not in json.dumps(read)
    assert read["sections"][1]["blocks"][0]["alt"].startswith("ROC curve of")


def test_two_sections_of_one_id_are_refused():
    section = Section("a", "A", (Prose(("x",)),))
    with pytest.raises(ValueError, match="sections of a page share an id: a, a"):
        Page("t", (), (section, section))


def _contrast(one: str, other: str) -> float:
    a, b = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mixed(above: str, below: str, opacity: float) -> str:
    parts = [
        opacity * int(above[i : i + 2], 16) + (1 - opacity) * int(below[i : i + 2], 16)
        for i in (1, 3, 5)
    ]
    return "#" + "".join(f"{round(part):02x}" for part in parts)
