import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from fracjax.report import markdown
from tests.report.sample_page import EVIL, page


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return markdown.write(page(), tmp_path_factory.mktemp("report"))


def test_by_hand():
    assert markdown.escape("a|b <i> & $x$") == "a\\|b &lt;i&gt; &amp; \\$x\\$"
    assert markdown.escape("snake_case and _this_") == "snake_case and \\_this\\_"
    assert markdown.escape("1. one\ntwo") == "1\\. one two"
    assert markdown.escape("- x") == "\\- x"
    assert markdown.escape("0.1.0 is −1") == "0.1.0 is −1"


def test_every_picture_lies_beside_it_and_has_words(written):
    text = written.read_text()
    links = re.findall(r"!\[(.+)\]\(([^)]+)\)\n", text)
    assert len(links) == 12 + 2
    for _, name in links:
        assert "/" not in name
        file = written.with_name(name)
        if file.suffix == ".svg":
            ET.parse(file)
        else:
            assert file.read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in written.parent.iterdir()} == {
        "report.md",
        *(name for _, name in links),
    }
    assert not re.search(r"https?://(?!www.w3.org/2000/svg)", text)


def test_names_that_look_like_markup_are_escaped(written):
    text = written.read_text()
    escaped = markdown.escape(EVIL)
    assert f"# Report {escaped}\n" in text
    assert f"| {escaped} | 0.912 [0.88, 0.94] n=613 | 1 |" in text
    html = set(re.findall(r"<[^>]+>", text))
    assert html == {"<details>", "</details>", "<summary>", "</summary>", "<sup>", "</sup>"}
    # Of a table's row all bars that are not escaped stand between cells.
    assert all(
        len(re.findall(r"(?<!\\)\|", line)) == 4
        for line in text.splitlines()
        if line.startswith(f"| {escaped} | 0.912")
    )


def test_what_is_undefined_says_so_and_why(written):
    text = written.read_text()
    assert "| b | undefined<sup>1</sup> n=0 | 2 |" in text
    assert "| c | 0.500<sup>2</sup> n=3 | 3 |" in text
    assert "<sup>1</sup> undefined: no positive study" in text
    assert "<sup>2</sup> no interval: a single group: nothing to resample" in text
    assert "> [!WARNING]\n> loud" in text
    assert not re.search(r"\bnan\b|\bNone\b", text)


def test_pictures_of_an_earlier_report_do_not_outlive_it(tmp_path):
    """They may be of patients, and the new report was to have none."""
    full = page()
    markdown.write(full, tmp_path)
    (tmp_path / "mine-1.txt").write_text("the user's")
    before = {path.name for path in tmp_path.glob("*.[ps][nv]g")}
    shorter = dataclasses.replace(full, sections=full.sections[:1])
    markdown.write(shorter, tmp_path)
    after = {path.name for path in tmp_path.iterdir()}
    assert len(before) > 3
    assert after == {"report.md", "mine-1.txt"}  # the first section has no image
