"""The page in a headless browser: nothing complains, and nothing is wider than a phone."""

import html as entities
import json
import os
import re
import shutil
import subprocess

import pytest

from fracjax.report import html
from fracjax.report.svg import PALETTE
from tests.report.sample_page import page

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WIDTHS = (320, 390, 1200)

# The page has no script and forbids any; this one is around it, with the page in frames.
PROBE = """<!doctype html><body><script>
const seen = {}, text = TEXT;
for (const width of WIDTHS) {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 900px; border: 0`;
  frame.onload = () => {
    const page = frame.contentDocument;
    page.querySelectorAll("details").forEach(one => one.open = true);
    const root = page.documentElement;
    const sizes = [...page.querySelectorAll("svg text")].map(one => {
      const scale = one.getScreenCTM();
      return parseFloat(getComputedStyle(one).fontSize) * Math.hypot(scale.a, scale.b);
    });
    seen[width] = {
      wide: root.scrollWidth,
      seen: root.clientWidth,
      smallest: Math.min(...sizes),
      paper: getComputedStyle(page.body).backgroundColor,
      ink: getComputedStyle(page.querySelector("svg text[style*=ink]")).fill,
      broken: [...page.images].filter(one => !one.naturalWidth).length,
    };
    if (Object.keys(seen).length === WIDTHS.length) {
      document.body.textContent = "<" + JSON.stringify(seen) + ">";
    }
  };
  frame.srcdoc = text;
  document.body.append(frame);
}
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_nothing_complains_and_nothing_is_wider_than_the_screen(tmp_path, mode):
    text = json.dumps(html.render(page())).replace("<", "\\u003c")
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.replace("TEXT", text, 1).replace("WIDTHS", json.dumps(WIDTHS)))
    out = subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if mode == 'dark' else 1}",
            "--virtual-time-budget=20000",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "--dump-dom",
            probe.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in out.stderr
    found = re.search(r"<(\{.*\})>", entities.unescape(out.stdout))
    assert found, out.stdout[:500]
    seen = json.loads(found[1])
    for width in WIDTHS:
        one = seen[str(width)]
        assert one["wide"] == one["seen"] == width
        assert one["broken"] == 0
        assert one["paper"] == _rgb(getattr(PALETTE["paper"], mode))
        assert one["ink"] == _rgb(getattr(PALETTE["ink"], mode))
    assert seen["390"]["smallest"] >= 11


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"
