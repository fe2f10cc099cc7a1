"""The page of predictions in a headless browser: quick, lazy, and moved by keys."""

import html as entities
import json
import os
import re
import subprocess
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from fracjax.report.prediction_page import PredictionPage, image_tag, need, write
from tests.datasets.trees import picture
from tests.report.sample_page import EVIL
from tests.report.test_browser import BROWSER

COUNT = 2_000
CALLED, UNREAD, ODD = range(0, COUNT, 4), range(1, COUNT, 100), range(2, COUNT, 200)


def result(row: int) -> dict:
    read, called = row not in UNREAD, row in CALLED
    probability = 0.5 + row / 2 / COUNT if called else 0.5 * row / COUNT
    return {
        "path": f"/films/{EVIL}/IM{row:04d}",
        "status": "read" if read else "unreadable",
        "probability": probability if read else None,
        "decision": ("fracture" if called else "healthy") if read else None,
        "type": "Spiral" if called else None,
        "types": {"Spiral": 0.9, "Oblique": 0.1} if called else None,
        "reason": "" if read else f"truncated: {EVIL}",
        "note": f"darker {EVIL}" if row in ODD else "",
        "unlike": row in ODD,
    }


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    results = [result(row) for row in range(COUNT)]
    images = [picture(seed, 299, 299)[..., None] for seed in range(4)]
    kinds = [[image_tag(0, image, overlay=over) for image in images] for over in (False, True)]
    with (folder / "tags").open("w") as file:
        for row, one in enumerate(results, 1):
            if one["status"] == "read":
                file.write(kinds[0][row % 4].replace('"i0"', f'"i{row}"'))
            if one["decision"] == "fracture":
                file.write(kinds[1][row % 4].replace('"o0"', f'"o{row}"'))
    facts = [("Threshold", f"0.5, chosen on validation {EVIL}")]
    made = PredictionPage(facts, [f"unlike {EVIL}"], ("healthy", "fracture"), 0.5, results)
    write(folder / "predictions.html", made, folder / "tags")
    return folder / "predictions.html"


PROBE = """<!doctype html><body><script>
const seen = {}, frame = document.createElement("iframe");
const wait = () => new Promise(done => setTimeout(done, 400));
frame.style = "width: WIDTHpx; height: 900px; border: 0";
frame.onload = async () => {
  const window = frame.contentWindow, page = frame.contentDocument;
  const press = key => (page.activeElement || page.body).dispatchEvent(
    new window.KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const cards = () => [...page.querySelectorAll("article")].filter(one => !one.hidden);
  const loaded = () => [...page.querySelectorAll("article:not([hidden]) img[src]")];
  const titles = () => cards().map(one => parseInt(one.querySelector("h2").textContent));
  await wait();
  seen.wide = page.documentElement.scrollWidth;
  seen.cards = cards().length;
  seen.lazy = loaded().length;
  seen.broken = loaded().filter(one => !one.naturalWidth).length;
  seen.first = titles().slice(0, 3);
  seen.last = titles().slice(-1)[0];
  seen.filters = [...page.querySelectorAll("#filters button")].map(one => one.textContent);
  press("j"); press("j");
  seen.focus = parseInt(page.activeElement.querySelector("h2").textContent);
  const before = cards()[0].querySelector("img").src;
  press("o");
  seen.plain = cards()[0].querySelector("img").src !== before;
  press("Enter");
  seen.large = page.querySelector("dialog").open;
  page.querySelector("dialog").close();
  const shown = [];
  for (let i = 0; i < 6; i++) { shown.push(page.getElementById("shown").textContent); press("f"); }
  seen.shown = shown;
  for (let i = 0; i < 4; i++) press("f");
  window.dispatchEvent(new window.Event("beforeprint"));
  seen.printed = [cards().length, loaded().length];
  press("f"); press("f");
  page.getElementById("order").value = "file";
  page.getElementById("order").dispatchEvent(new window.Event("change"));
  seen.byFile = titles().slice(0, 3);
  page.getElementById("search").value = "IM0041";
  page.getElementById("search").dispatchEvent(new window.Event("input"));
  seen.found = titles();
  document.body.textContent = "<" + JSON.stringify(seen) + ">";
};
frame.src = "predictions.html";
document.body.append(frame);
</script>"""


needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome here"
)


def browse(page: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["--headless", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
    words += [f"--user-data-dir={folder / 'profile'}"]
    words += ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [str(BROWSER), *words, *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@needs_browser
@pytest.mark.parametrize("width", [320, 1200])
def test_two_thousand_images_open_at_once_and_answer_to_keys(page, tmp_path, width):
    probe = page.with_name(f"probe{width}.html")
    probe.write_text(PROBE.replace("WIDTH", str(width)))
    options = ["--virtual-time-budget=20000", "--dump-dom"]
    out = browse(probe, tmp_path, "--enable-logging=stderr", *options)
    assert "CONSOLE" not in out.stderr, out.stderr
    found = re.search(r"<(\{.*\})>", entities.unescape(out.stdout))
    assert found, out.stdout[:500]
    seen = json.loads(found[1])
    unlike = len(ODD)
    assert seen["wide"] == width
    assert seen["cards"] == COUNT
    assert 0 < seen["lazy"] < 100
    assert seen["broken"] == 0
    assert seen["first"] == [1997, 1993, 1989]  # called, the most probable first; rows from 1
    assert seen["last"] == 3
    assert seen["focus"] == 1993
    assert seen["plain"]
    assert seen["large"]
    called, unread = len(CALLED), len(UNREAD)
    counts = [COUNT, called, COUNT - called - unread, unread, unlike, unlike]
    assert [int(text.split()[-1]) for text in seen["filters"]] == counts
    assert seen["shown"] == [f"{count} of {COUNT} shown" for count in counts]
    assert seen["printed"] == [unlike, unlike]
    assert seen["byFile"] == [1, 2, 3]
    assert seen["found"] == [42]


@needs_browser
def test_two_thousand_images_open_in_two_seconds(page, tmp_path):
    """More than an empty page, to a picture of the screen."""

    def seconds(of: Path) -> float:
        start = perf_counter()
        browse(of, tmp_path, f"--screenshot={tmp_path / 'screen.png'}")
        return perf_counter() - start

    empty = page.with_name("empty.html")
    empty.write_text("<p>nothing")
    seconds(empty)  # which makes the profile
    assert seconds(page) - seconds(empty) < 2


def test_the_page_fetches_nothing_and_runs_one_script(page):
    text = page.read_text("utf-8")
    assert re.search(r"default-src 'none'; img-src data:; [^\"]*script-src 'sha256-[^ ']+'\"", text)
    assert "http" not in text.split("</head>")[1].replace("http-equiv", "")
    assert EVIL not in text  # what looks like markup is text
    assert "Warning.</strong> unlike" in text


def test_the_order_of_need():
    rows = {
        "sure": {"status": "read", "decision": "fracture", "probability": 0.9},
        "near": {"status": "read", "decision": "fracture", "probability": 0.6},
        "lost": {"status": "unreadable", "decision": None, "probability": None},
        "below": {"status": "read", "decision": "healthy", "probability": 0.4},
        "far": {"status": "read", "decision": "healthy", "probability": 0.1},
        "loop": {"status": "not entered", "decision": None, "probability": None},
    }
    shuffled = np.random.default_rng(0).permutation(list(rows))
    assert sorted(shuffled, key=lambda name: need(rows[name], "fracture")) == list(rows)
