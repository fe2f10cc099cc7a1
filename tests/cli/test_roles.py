"""Commands say which class is negative and which positive, before any figure."""

import dataclasses

from fracjax.cli.main import main
from fracjax.workflows import show, two_stages

ROLES = "negative: healthy, positive: fracture\n"


def test_the_cascade_names_the_roles(world, tmp_path, capsys):
    stages = ("--stage1", str(world.stage1.workdir), "--stage2", str(world.stage2.workdir))
    assert main(["cascade", *stages, "--out", str(tmp_path / "out")]) == 0
    assert ROLES in capsys.readouterr().out


def test_the_sheet_of_a_dataset_names_its_roles(phantoms, tmp_path, monkeypatch, capsys):
    """Those of the dataset, whatever the config says, and none of more than two classes."""
    monkeypatch.setattr(show, "panels", lambda *_: [])
    monkeypatch.setattr(show, "contact_sheet_png", lambda *_, **__: None)
    drawn = {}
    for name in ("phantom", "phantom_types"):
        words = ("--config", "phantom_stage1", "--data-dir", str(phantoms))
        assert main(["show", name, *words, "--out", str(tmp_path / "sheet.png")]) == 0
        drawn[name] = capsys.readouterr().out
    assert drawn["phantom"].startswith(ROLES)
    assert drawn["phantom_types"].startswith("wrote ")


def test_both_stages_name_the_roles_of_the_detector(world, monkeypatch, capsys):
    stages = {"stage1": world.stage1, "stage2": world.stage2}
    behind = dataclasses.replace(world.stage2.data, filter=None)
    stages["stage2"] = dataclasses.replace(world.stage2, data=behind)
    monkeypatch.setattr("fracjax.cli.train.io.load", lambda path: stages[str(path)])
    for name in ("evaluate", "run_cascade", "report_cascade"):  # they have tests of their own
        monkeypatch.setattr(two_stages, name, lambda *_: None)
    assert main(["two-stages", "--stage1", "stage1", "--stage2", "stage2"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(ROLES) == 1
    assert shown.index("Stage 1") < shown.index(ROLES) < shown.index("Stage 2")
