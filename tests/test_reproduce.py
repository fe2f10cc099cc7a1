"""`fracjax reproduce`: which systems, what is left of them, what runs, and the page of it."""

import dataclasses
import json
import re
import shutil

import pytest
from rich.console import Console

from fracjax.config import Config, Data, Model, io
from fracjax.config.io import packaged
from fracjax.errors import InputError
from fracjax.evaluation import Estimate
from fracjax.inference import calibration
from fracjax.report import results_page
from fracjax.report.results_page import Result
from fracjax.runtime.jobs import Job, Outcome
from fracjax.runtime.workdir_lock import only_writer
from fracjax.training import training_record
from fracjax.workflows import reproduce, systems
from fracjax.workflows import system_state as state
from fracjax.workflows.reproduce import FOLDER, Request, make_plan
from fracjax.workflows.side_by_side import Limits
from fracjax.workflows.systems import CORE, System, choose_systems
from tests.conftest import World

QUIET = Console(quiet=True)


def _two(world: World) -> tuple[System, System]:
    return tuple(
        System(one.workdir.name, (f"{one.workdir.name}.py",), (one,))
        for one in (world.stage1, world.stage2)
    )  # pyright: ignore[reportReturnType]


def _commands(job: Job) -> list[str]:
    """The command of each step, with the part of an evaluation."""
    every = json.loads(job.command[-1])
    parts = (words[words.index("--split") + 1] if "--split" in words else "" for words in every)
    return [f"{words[0]} {part}".strip() for words, part in zip(every, parts, strict=True)]


# Which systems


def test_sets_and_names_are_those_of_the_configs_folder_and_what_they_need_comes_first():
    assert set(CORE) <= packaged().keys()
    assert {one.name for one in choose_systems(["core"])} == set(CORE)
    names = [one.name for one in choose_systems(["all"])]
    assert set(names) == {n for n in packaged() if not re.search("phantom|_cpu$", n)}
    assert all("_cpu" in one.name for one in choose_systems(["cpu"]))
    of_vit = [(one.name, one.asked) for one in choose_systems(["stage2_vit"])]
    assert of_vit == [("stage1", False), ("stage2_vit", True)]
    assert all(one.asked for one in choose_systems(["stage2_vit", "stage1"]))


def test_several_configs_of_one_file_are_one_system(tmp_path, monkeypatch):
    detector = Config(tmp_path / "runs" / "a_1")
    other = dataclasses.replace(detector, workdir=tmp_path / "runs" / "a_2")
    behind = dataclasses.replace(
        detector,
        workdir=tmp_path / "runs" / "b",
        data=Data(classes=("x", "y", "z"), filter=tmp_path / "runs" / "a_best"),
    )
    known = {"a_best:1": detector, "a_best:2": other, "b": behind}
    several = {"a_best": ["a_best:1", "a_best:2"], "b": ["b"]}
    monkeypatch.setattr(systems.io, "packaged", lambda: several)
    monkeypatch.setattr(systems.io, "each", several.__getitem__)
    monkeypatch.setattr(systems.io, "load", known.__getitem__)
    first, second = choose_systems(["b"])  # the detector in front of it comes along
    assert (first.name, first.folder) == ("a_best", tmp_path / "runs" / "a_best")
    *training, validation, _ = reproduce.system_words(first)
    assert training == [("train", "--config", "a_best:1"), ("train", "--config", "a_best:2")]
    runs = tuple(str(config.workdir) for config in first.configs)
    assert validation[:4] == ("evaluate", "--checkpoint", *runs)
    assert validation[-4:-2] == ("--out", str(first.folder))
    assert reproduce.cascade_words(first, second)[2] == str(first.folder)


def test_everything_wrong_is_said_at_once(tmp_path):
    request = Request(("stag1", "cores"), Limits(-1.0, 0, (tmp_path / "nowhere",)), tmp_path)
    with pytest.raises(InputError) as error:
        request.check()
    for words in (
        "no system 'stag1'; perhaps you meant stage1",
        "no system 'cores'; perhaps you meant core",
        "--minutes is -1; write 0",
        "--jobs is 0",
        f"--out {tmp_path} is a folder",
        f"no folder {tmp_path / 'nowhere'}",
    ):
        assert words in str(error.value)


# What is left


def test_what_is_done_is_not_planned_again(world):
    plan = make_plan(_two(world), ())
    assert (plan.jobs, plan.reasons) == ([], {})
    assert plan.of_system == {"stage1": [], "stage2": []}


def test_what_is_left_is_planned_in_its_order(world_copy):
    stage1, stage2 = _two(world_copy)
    (stage1.results("test") / "metrics.json").unlink()
    (only,) = make_plan([stage1, stage2], ()).jobs
    assert (only.name, _commands(only)) == ("stage1_test", ["evaluate test"])
    calibration.path(stage1.folder).unlink()
    first, second, cascade = make_plan([stage1, stage2], ()).jobs
    assert (first.name, _commands(first)) == ("stage1", ["evaluate validation"])
    assert (second.name, second.after) == ("stage1_test", ("stage1",))
    assert (cascade.name, _commands(cascade)) == ("stage2_cascade", ["cascade"])
    assert set(cascade.after) == {"stage1", "stage1_test", "stage2", "stage2_test"}
    longer = dataclasses.replace(world_copy.stage2.phases[0], epochs=2)
    goes_on = dataclasses.replace(world_copy.stage2, phases=(longer,))
    jobs = make_plan([stage1, dataclasses.replace(stage2, configs=(goes_on,))], ()).jobs
    last = next(job for job in jobs if job.name == "stage2")
    assert _commands(last) == ["train", "evaluate validation", "evaluate test"]
    assert "stage1" in last.after


def test_figures_of_what_is_there_no_longer_are_not_taken_for_it(world_copy):
    stage1, stage2 = _two(world_copy)
    model = dataclasses.replace(world_copy.stage1.model, dropout=0.25)
    other = dataclasses.replace(world_copy.stage1, model=model)
    changed = dataclasses.replace(stage1, configs=(other,))
    assert not state.is_trained(changed)
    result = state.result_of(changed, None, "failed: another config")
    assert (result.figures, result.status) == ({}, "failed: another config")
    path = calibration.path(stage1.folder)
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"validation_loss": [9.0]}))  # of another network
    assert not state.is_evaluated(stage1, "validation")
    warmer = record["temperature"] | {"value": 1 + record["temperature"]["value"]}
    point = record["operating_point"]
    other_rule = point | {"rule": "youden", "threshold": point["threshold"] / 2}
    for change in (
        {"temperature": warmer}, {"operating_point": other_rule}, {"test_views": "flip"}
    ):  # fmt: skip
        path.write_text(json.dumps(record | change))
        assert not state.is_evaluated(stage1, "test")
        assert not state.is_cascaded(stage1, stage2)
    path.write_text(json.dumps(record))
    assert state.is_evaluated(stage1, "test")
    assert state.is_cascaded(stage1, stage2)
    figures = stage1.results("test") / "metrics.json"
    metrics = json.loads(figures.read_text())
    of_epoch = {**metrics, "source": metrics["source"] | {"epoch": 2}}
    figures.write_text(json.dumps(of_epoch))  # validation was redone at another epoch since
    assert not state.is_evaluated(stage1, "test")
    (stage1.folder / "training.json").write_text("{}")
    assert "training.json is damaged" in state.result_of(stage1, None, "").status


def test_figures_that_were_brought_from_another_machine_are_a_record(world_copy):
    """Without checkpoints, and with a config of a version that had a field less."""
    stage1, stage2 = _two(world_copy)
    for one in (stage1, stage2):
        shutil.rmtree(one.folder / "checkpoints")
    path = stage1.folder / "config.json"
    config = json.loads(path.read_text())
    assert config["augment"].pop("erase") == 0.0
    assert config["phases"][0].pop("warm_up") == 0.1
    path.write_text(json.dumps(config))
    assert make_plan([stage1, stage2], ()).jobs == []
    result = state.result_of(stage2, stage1, "")
    assert result.figures
    assert result.cascade
    assert [(one.epochs, one.kept) for one in result.trained] == [((1,), (1,))]
    path.write_text(json.dumps(config | {"threshold": "youden"}))
    assert not state.is_record(stage1)
    config["augment"]["erase"] = 0.5
    path.write_text(json.dumps(config))
    assert not state.is_record(stage1)


def test_missing_data_and_weights_are_prepared_where_they_are_or_said(tmp_path):
    data = Data("fracatlas", tmp_path / "data", ("normal", "fracture"))
    weights = Model("inception_v3", tmp_path / "inception_v3.npz")
    detector = System("one", ("one.py",), (Config(tmp_path / "one", data=data, model=weights),))
    types = Data("bone_break", tmp_path / "data", ("a", "b", "c"), filter=tmp_path / "one")
    behind = System("two", ("two.py",), (Config(tmp_path / "two", data=types),))
    plan = make_plan([detector, behind], ())
    assert plan.jobs == []
    assert "fracjax prepare fracatlas" in plan.reasons["one"]
    assert "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5" in plan.reasons["one"]
    assert "needs the system one, which is not run either" in plan.reasons["two"]
    raw = tmp_path / "raw"
    for name in ("FracAtlas.zip", "bone_break", "inception_v3_weights_notop.h5"):
        (raw / name).mkdir(parents=True)
    third = dataclasses.replace(
        behind, name="three", configs=(Config(tmp_path / "three", data=types),)
    )
    jobs = {job.name: job for job in make_plan([detector, behind, third], [raw]).jobs}
    assert [*jobs] == [
        "prepare_fracatlas", "convert_inception_v3", "one", "one_test",
        "prepare_bone_break", "two", "three", "two_cascade", "three_cascade",
    ]  # fmt: skip
    assert jobs["one"].after == ("prepare_fracatlas", "convert_inception_v3")
    (raw / "bone_break").rmdir()
    unasked = [dataclasses.replace(detector, asked=False), behind]
    plan = make_plan(unasked, [raw])
    assert (plan.jobs, plan.of_system) == ([], {})
    assert plan.reasons["one"] == "not run: only two would need it, and cannot run"
    assert [job.name for job in make_plan([detector, behind], [raw]).jobs][-2:] == [
        "one", "one_test",
    ]  # fmt: skip
    (raw / "bone_break").mkdir()
    assert [job.name for job in make_plan(unasked, [raw]).jobs][-1] == "two_cascade"
    assert jobs["two"].after == ("prepare_bone_break", "one")
    ((*_, source),) = json.loads(jobs["prepare_fracatlas"].command[-1])
    assert source == str(raw / "FracAtlas.zip")


def test_a_failure_is_named_where_it_stopped_others():
    bad, blocked, late = Job("stage1", ()), Job("stage2", (), ("stage1",)), Job("x", ())
    outcomes = {
        "stage1": Outcome(bad, "failed", 3.0, "RESOURCE_EXHAUSTED: Out of memory"),
        "stage2": Outcome(blocked, "blocked", why="stage1"),
        "x": Outcome(late, "stopped", 3.0),
    }
    failure = f"stage1 failed: RESOURCE_EXHAUSTED: Out of memory ({FOLDER / 'stage1.log'})"
    assert reproduce._status(["stage1"], outcomes) == failure
    assert reproduce._status(["stage2"], outcomes) == f"not run: {failure}"
    assert "the same command goes on" in reproduce._status(["x"], outcomes)


# The page


def test_the_page_says_what_the_runs_say(world):
    stage1, stage2 = _two(world)
    results = [state.result_of(stage1, None, ""), state.result_of(stage2, stage1, "")]
    page = results_page.render(results, made_by=["fracjax", "reproduce"])
    metrics = json.loads((stage1.results("test") / "metrics.json").read_text())["figures"]
    auc, sensitivity = metrics["auc"], metrics["at_operating_point"]["sensitivity"]
    row = next(line for line in page.splitlines() if line.startswith("| stage1 |"))
    assert str(Estimate(**auc)) in row
    assert str(Estimate(**sensitivity)) in row
    assert row.endswith("| sensitivity:0.75 |")
    both = json.loads((world.cascade / "metrics.json").read_text())["figures"]
    assert f"| stage2 | stage1 | {Estimate(**both['passed'])} |" in page
    assert "not as the classifier was trained behind" not in page
    (session,) = training_record.read_sessions(stage1.folder)
    said = f"| stage1 | basic_cnn at 16 | 1 of 1 (at most 1) | cpu | {session.seconds:.0f} |"
    assert said in page
    assert "| phantom: healthy, fracture | 56 | 12 | 12 |" in page
    assert "What is not here" not in page


def test_a_cascade_behind_another_detector_than_that_of_training_is_marked(world_copy):
    stage1, stage2 = _two(world_copy)
    path = world_copy.cascade / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["source"]["trained_behind_this_detector"] = False
    path.write_text(json.dumps(metrics))
    page = results_page.render([state.result_of(stage2, stage1, "")], made_by=["fracjax"])
    assert "| stage2 | stage1 (not as the classifier was trained behind) |" in page


def test_others_figures_stand_below_ours_as_they_were_published():
    auc = Estimate(0.9, 0.85, 0.95, 510, "DeLong")
    ours = {n: auc for n in ("AUC", "average precision", "sensitivity", "specificity")}
    detector = Result(
        "stage1", "fracatlas", ("normal", "fracture"), "x", "", ours, "youden",
        parts={"train": 3, "validation": 2, "test": 1},
    )  # fmt: skip
    types = dataclasses.replace(
        detector,
        name="stage2",
        dataset="bone_break",
        classes=("a", "b", "c"),
        figures={"accuracy": auc, "macro F1": auc},
    )
    absent = Result("stage2_vit", "bone_break", ("a", "b"), "x", "not run: needs | a card")
    page = results_page.render([detector, types, absent], made_by=["fracjax"])
    assert "| the paper, InceptionV3 | – | – | 0.678 | 0.884 |" in page
    assert "| logistic regression on frozen features | 0.88 | 0.67 | – | – |" in page
    assert "| the paper, InceptionV3 | 0.674 [0.53, 0.79] n=46 | – |" in page
    assert r"| stage2_vit | not run: needs \| a card |" in page
    assert len(re.findall(r"\n\n\n", page)) == 0


# All of it


def test_one_that_fails_is_a_line_and_the_others_go_on(world_copy, tmp_path, monkeypatch):
    """One command is left of the first, and the second has a split file that is not there."""
    monkeypatch.chdir(tmp_path)
    good = world_copy.stage1
    data = dataclasses.replace(good.data, split=tmp_path / "nowhere.json")
    bad = dataclasses.replace(good, workdir=tmp_path / "bad", data=data)
    for name, config in (("good", good), ("bad", bad)):
        text = json.dumps(io.to_dict(config))
        lines = ["import json", "from fracjax.config import io", f"TEXT = {text!r}"]
        lines += ["def get_config():", "    return io.from_dict(json.loads(TEXT))"]
        (tmp_path / f"{name}.py").write_text("\n".join(lines))
    page = tmp_path / "docs" / "page.md"
    tests = good.workdir / "evaluation" / "test" / "metrics.json"
    tests.unlink()
    request = Request(("good.py", "bad.py"), Limits(5.0, 2, ()), page)
    FOLDER.mkdir(parents=True)
    with only_writer(FOLDER), pytest.raises(InputError, match="runs jobs in runs/reproduce"):
        reproduce.reproduce(request, QUIET)
    assert not reproduce.reproduce(request, QUIET)
    text = page.read_text()
    assert str(Estimate(**json.loads(tests.read_text())["figures"]["auc"])) in text
    (line,) = (line for line in text.splitlines() if line.startswith("| bad |"))
    assert re.search(r"bad failed: .*nowhere\.json.*runs/reproduce/bad\.log", line)
    assert (FOLDER / "good.log").read_text().startswith("$ fracjax evaluate --checkpoint")
    assert reproduce.reproduce(Request(("good.py",), Limits(0.0, 2, ()), page), QUIET)
