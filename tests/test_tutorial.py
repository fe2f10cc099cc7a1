"""The tutorial does what it says: its blocks are run in their order, in an empty folder."""

import re
import shlex

import pytest

from fracjax.cli.main import main
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(python|bash)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
WRITTEN = (
    "data/mine/manifest.csv",
    "data/mine/splits.json",
    "runs/mine/history.json",
    "runs/mine/operating_point.json",
    "runs/mine/evaluation/test/report.html",
    "runs/mine/evaluation/test/metrics.json",
    "runs/mine/evaluation/test/predictions.csv",
    "predictions/predictions.csv",
    "predictions/predictions.html",
)
# The page's network shows no more; that of docs/api.md is compiled by its test, too.
SMALL = shlex.split("--phases.0.epochs 1 --data.image-size 32 --model.width 0.05")


def test_every_command_of_the_tutorial_runs_and_leaves_what_the_page_names(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for language, block in BLOCKS:
        if language == "python":
            fewer = block.replace("range(160)", "range(60)").replace("side=96", "side=48")
            assert len(fewer) == len(block) - 1
            exec(compile(fewer, "docs/tutorial.md", "exec"), {})
            continue
        for line in block.splitlines():
            program, *words = shlex.split(line)
            assert program == "fracjax"
            if words[0] == "train":
                words += SMALL
            code, shown = main(words), capsys.readouterr()
            assert code == 0, f"{line}\n{shown.err}"
            assert "negative: healthy, positive: fracture\n" in shown.out, line
    assert [name for name in WRITTEN if not (tmp_path / name).exists()] == []
    assert list((tmp_path / "predictions" / "overlays").glob("*.png"))


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_stands_on_the_page(name):
    assert name in PAGE or name.rpartition("/")[2] in PAGE
