"""The tutorials do what they say: their blocks are run in their order, in an empty folder."""

import re
import shlex

import pytest

from fracjax.cli.main import main
from tests.paths import ROOT

BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What each page says is written, by any part of its path; and of what it draws, how much is enough.
PAGES = {
    "tutorial.md": (
        [
            "data/mine/manifest.csv",
            "data/mine/splits.json",
            "runs/mine/history.json",
            "runs/mine/operating_point.json",
            "runs/mine/evaluation/test/report.html",
            "runs/mine/evaluation/test/metrics.json",
            "runs/mine/evaluation/test/predictions.csv",
            "predictions/predictions.csv",
            "predictions/predictions.html",
        ],
        {"range(160)": "range(60)", "side=96": "side=48"},
    ),
    "pacs_tutorial.md": (
        [
            "labels.csv",
            "export/DICOMDIR",
            "first_patients.png",
            "data/pacs/manifest.csv",
            "runs/pacs/evaluation/test/report.html",
            "runs/pacs/evaluation/test/metrics.json",
            "runs/pacs/evaluation/test/predictions.csv",
            "predictions/predictions.csv",
            "predictions/predictions.html",
            "predictions/predictions.json",
        ],
        {"range(80)": "range(30)", "range(80, 90)": "range(80, 82)", "side=96": "side=48"},
    ),
}
# The pages' network shows no more; that of docs/api.md is compiled by its test, too.
SMALL = shlex.split("--phases.0.epochs 1 --data.image-size 32 --model.width 0.05")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_tutorial_runs_and_leaves_what_the_page_names(
    page, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    text, (written, fewer) = (ROOT / "docs" / page).read_text(), PAGES[page]
    for much, little in fewer.items():
        assert text.count(much) == 1
        text = text.replace(much, little)
    printed = ""
    for language, block in BLOCK.findall(text):
        if language == "python":
            exec(compile(block, page, "exec"), {})
            printed += capsys.readouterr().out
            continue
        for line in block.splitlines():
            program, *words = shlex.split(line)
            assert program == "fracjax"
            if words[0] == "train":
                words += SMALL
            code, shown = main(words), capsys.readouterr()
            assert code == 0, f"{line}\n{shown.err}"
            if words[0] != "show":
                assert "negative: healthy, positive: fracture\n" in shown.out, line
            for fact in FACTS.get((page, words[0]), ()):
                assert fact in shown.out, f"{line}\n{shown.out}"
    assert all(fact in printed for fact in FACTS.get((page, "python"), ())), printed
    assert [name for name in written if not (tmp_path / name).exists()] == []
    assert [name for name in written if name not in text and name.split("/")[-1] not in text] == []
    assert list((tmp_path / "predictions" / "overlays").glob("*.png")) or page != "tutorial.md"


# What the commands print of the export, in the small.
FACTS = {
    ("pacs_tutorial.md", "prepare"): (
        "studies taken: 60\n",
        "files refused: 0\n",
        "skipped, without a row: 1 hidden, 1 a DICOM table of contents, 2 no image",
        "groups by patient and near duplicates: 30 (60 studies)",
    ),
    ("pacs_tutorial.md", "evaluate"): ("patient",),
    ("pacs_tutorial.md", "predict"): (
        "4 files: 4 read, 0 unreadable",
        "1 skipped as a DICOM table of contents, 2 skipped as no image",
    ),
    ("pacs_tutorial.md", "python"): (
        "4 images of 2 patients, healthy or fracture\n",
        "sensitivity ",
    ),
}
