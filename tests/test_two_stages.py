"""The whole job on a handful of phantoms: what is written, read, refused."""

import csv
import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console
from scipy.special import logit

from fracjax.datasets.make_split import make_split
from fracjax.datasets.splits import PARTS, Split
from fracjax.errors import InputError
from fracjax.evaluation import Predictions, auc, cascade_report, precision_shift
from fracjax.inference import calibration, trained_dataset
from fracjax.inference.evaluate_run import evaluate_run
from fracjax.inference.evaluation_request import EvaluationRequest
from fracjax.inference.looks import LOOKS, read_looks
from fracjax.inference.stages import open_detector_gate, open_stages
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.atomic_files import to_json
from fracjax.runtime.sharding import data_mesh
from fracjax.training import loop, starting_run, training_data
from fracjax.training.checkpoint import read_meta
from fracjax.workflows import train, two_stages
from fracjax.workflows.compare import compare
from fracjax.workflows.evaluate import evaluate
from fracjax.workflows.two_stages import run_two_stages

QUIET = Console(quiet=True)
TYPES = ("Comminuted fracture", "Fracture Dislocation", "Impacted fracture")


def _metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_every_promised_file_is_there_and_not_empty(world):
    stage1, stage2, folder = world
    report = ("report.html", "report.json", "markdown/report.md", "metrics.json")
    for workdir in (stage1.workdir, stage2.workdir):
        for part in ("validation", "test"):
            made = workdir / "evaluation" / part
            assert all((made / name).stat().st_size > 0 for name in ("predictions.csv", *report))
    assert all((folder / name).stat().st_size > 0 for name in ("detector.csv", "classifier.csv"))
    assert all((folder / name).stat().st_size > 0 for name in report)


def test_the_threshold_is_chosen_on_validation_and_only_read_on_test(world):
    stage1, *_ = world
    stored = json.loads(calibration.path(stage1.workdir).read_text())
    assert stored["chosen_on"] == "validation"
    parts = {p: _metrics(stage1.workdir / "evaluation" / p) for p in ("validation", "test")}
    assert parts["test"]["operating_point"] == parts["validation"]["operating_point"]
    assert parts["test"]["operating_point"] == stored["operating_point"]
    found = parts["validation"]["figures"]["at_operating_point"]["sensitivity"]
    assert found["value"] >= 0.75
    assert found["n"] == 6


def test_any_figure_can_be_redone_from_the_csv(world):
    stage1, *_ = world
    folder = stage1.workdir / "evaluation" / "test"
    predictions = Predictions.from_csv(folder / "predictions.csv")
    assert predictions.n == 12
    expected = _metrics(folder)["figures"]["auc"]["value"]
    assert auc(predictions.label, predictions.fracture_score) == pytest.approx(expected, abs=1e-12)


def test_evaluation_is_on_the_studies_of_the_split_and_nothing_else(world):
    stage1, *_ = world
    dataset = open_dataset(stage1.data)
    for part in ("validation", "test"):
        with (stage1.workdir / "evaluation" / part / "predictions.csv").open() as file:
            rows = [row["study"] for row in csv.DictReader(file)]
        index = dataset.split.indices(dataset.prepared, part)
        assert sorted(rows) == sorted(dataset.prepared.study[index].tolist())


def test_the_cascade_is_what_its_two_csv_files_say(world):
    _, stage2, folder = world
    detector = Predictions.from_csv(folder / "detector.csv")
    classifier = Predictions.from_csv(folder / "classifier.csv")
    assert classifier.classes == TYPES
    written = _metrics(folder)
    report = cascade_report(detector, float(written["operating_point"]["threshold"]), classifier)
    accuracy = {"end_to_end_accuracy": to_json(report.total.found)}
    assert to_json(report) | accuracy == written["figures"]
    assert written["source"]["stage2"]["split_hash"] == read_meta(stage2.workdir).split_hash


def test_the_classifier_trains_on_what_the_detector_calls_fractured(
    world_copy, tmp_path, monkeypatch
):
    """At a threshold in the middle of the scores, half of the studies must be gone."""
    stage2, copy = world_copy.stage2, world_copy.stage1.workdir
    dataset, before = open_dataset(stage2.data), open_detector_gate(copy, data_mesh())
    parts = {part: dataset.part(part) for part in ("train", "validation")}
    scores = {part: before.bundle.detect(e).fracture_score for part, e in parts.items()}
    middle = float(np.median(scores["train"]))
    point = dataclasses.replace(before.point, threshold=middle)
    settled = calibration.read(copy, before.bundle.metas)
    calibration.store(copy, dataclasses.replace(settled, point=point), before.bundle.metas)
    given = {}

    def caught(config, network, train, validation, mesh, console, folder):
        given.update(train=train, validation=validation)
        raise InterruptedError

    monkeypatch.setattr(loop, "make_training_data", caught)
    monkeypatch.setattr(training_data, "_check_classes", lambda *_, **parts: None)
    config = dataclasses.replace(stage2, workdir=tmp_path / "run")
    with pytest.raises(InterruptedError):
        train.fit(config, QUIET)
    for part, examples in parts.items():
        kept = examples.study[scores[part] >= middle].tolist()
        assert given[part].study.tolist() == kept
    assert 0 < len(given["train"]) < len(parts["train"])


def test_a_classifier_does_not_go_on_behind_another_threshold(world, world_copy):
    stage1, stage2, _ = world_copy
    front = open_detector_gate(stage1.workdir, data_mesh())
    point = dataclasses.replace(front.point, threshold=front.point.threshold / 2)
    settled = calibration.read(stage1.workdir, front.bundle.metas)
    calibration.store(stage1.workdir, dataclasses.replace(settled, point=point), front.bundle.metas)
    with pytest.raises(InputError, match=r"was trained on what the detector .* lets through"):
        train.fit(stage2, QUIET)
    assert not open_stages(stage1.workdir, stage2.workdir, data_mesh()).matched
    assert open_stages(world.stage1.workdir, world.stage2.workdir, data_mesh()).matched


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"chosen_on": '])
def test_a_damaged_threshold_is_refused(world_copy, text):
    copy = world_copy.stage1.workdir
    calibration.path(copy).write_text(text)
    with pytest.raises(InputError, match=r"run .*--split validation"):
        evaluate(copy, "test", data_mesh(), QUIET)


@pytest.mark.parametrize("threshold", ["NaN", 7, -0.1])
def test_a_threshold_that_is_no_probability_is_refused(world_copy, threshold):
    """Compared with NaN, every fracture would be healthy."""
    copy = world_copy.stage1.workdir
    record = json.loads(calibration.path(copy).read_text())
    record["operating_point"]["threshold"] = threshold
    calibration.path(copy).write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"is damaged .*not a probability"):
        open_detector_gate(copy, data_mesh())


def test_another_rule_may_be_chosen_on_validation_only(world_copy):
    copy = world_copy.stage1.workdir
    evaluate_run(
        EvaluationRequest(copy, "validation", calibrate=True, rule="fixed:0.25"), data_mesh()
    )
    assert open_detector_gate(copy, data_mesh()).point.threshold == 0.25
    with pytest.raises(InputError, match=r"on validation only"):
        evaluate(copy, "test", data_mesh(), QUIET, rule="youden")
    with pytest.raises(InputError, match=r"no threshold rule 'best'"):
        evaluate(copy, "validation", data_mesh(), QUIET, rule="best")


def test_the_temperature_of_validation_scales_what_leaves_the_run(world, world_copy):
    """In an evaluation and in the filter alike; the threshold is one of scaled scores."""
    stage1, stage2, _ = world
    copy = world_copy.stage1.workdir
    before = evaluate_run(EvaluationRequest(copy, "test"), data_mesh())
    fitted = before.calibration.temperature
    assert fitted.n == 12
    warmer = dataclasses.replace(fitted, value=2.0 * fitted.value)
    stored = dataclasses.replace(before.calibration, temperature=warmer)
    calibration.store(copy, stored, before.bundle.metas)
    after = evaluate_run(EvaluationRequest(copy, "test"), data_mesh())
    odds = [
        np.log(p / (1 - p)) for p in (one.predictions.fracture_score for one in (before, after))
    ]
    np.testing.assert_allclose(odds[1], odds[0] / 2, rtol=1e-9)
    np.testing.assert_array_equal(after.each[0].probabilities, before.each[0].probabilities)
    types = open_dataset(stage2.data).part("test")
    front, other = (open_detector_gate(where, data_mesh()) for where in (stage1.workdir, copy))
    raw, scaled = (it.bundle.detect(types).fracture_score for it in (front, other))
    np.testing.assert_allclose(logit(scaled), logit(raw) / 2, rtol=1e-9)
    assert front.identity != other.identity


def test_a_classifier_has_a_temperature_of_validation_and_no_threshold(world):
    _, stage2, _ = world
    evaluated = evaluate_run(EvaluationRequest(stage2.workdir, "test"), data_mesh())
    assert evaluated.calibration.point is None
    assert (
        evaluated.calibration.temperature.n
        == _metrics(stage2.workdir / "evaluation" / "validation")["figures"]["n"]
    )
    with pytest.raises(InputError, match=r"views is 2, but the temperature was fitted"):
        evaluate_run(EvaluationRequest(stage2.workdir, "test", views=2), data_mesh())


def test_studies_that_have_leaked_are_named_and_no_figure_is_made(world, monkeypatch):
    stage1, *_ = world
    opened = open_dataset(stage1.data)
    prepared = opened.prepared
    first, other = opened.indices("train")[0], opened.indices("test")[0]
    sha256 = prepared.sha256.copy()
    sha256[other] = sha256[first]
    leaky = dataclasses.replace(opened, prepared=dataclasses.replace(prepared, sha256=sha256))
    monkeypatch.setattr(trained_dataset, "open_dataset", lambda *_: leaky)
    names = f"{prepared.study[other]} and {prepared.study[first]}: identical files"
    with pytest.raises(InputError, match=names):
        evaluate(stage1.workdir, "test", data_mesh(), QUIET)


def test_the_audit_compares_all_that_either_stage_has_seen(world):
    stage1, stage2, folder = world
    counts = {
        data.name: {part: len(open_dataset(data).indices(part)) for part in PARTS}
        for data in (stage1.data, stage2.data)
    }
    seen = {name: its["train"] + its["validation"] for name, its in counts.items()}

    def audited(where):
        return [
            (one["seen"], one["n_seen"], one["evaluated"], one["n_evaluated"])
            for one in _metrics(where)["source"]["leakage"]
        ]

    def row(before, evaluated):
        words = f"train and validation of {before}"
        return words, seen[before], f"test of {evaluated}", counts[evaluated]["test"]

    own = stage1.workdir / "evaluation"
    assert audited(own / "test") == [row("phantom", "phantom")]
    n = counts["phantom"]
    assert audited(own / "validation") == [
        ("train of phantom", n["train"], "validation of phantom", n["validation"])
    ]
    types = "phantom_types"
    assert audited(folder) == [
        row(types, types),
        row("phantom", types),
        row("phantom", "phantom"),
        row(types, "phantom"),
    ]


def _report(folder):
    page = json.loads((folder / "report.json").read_text())
    return page, {section["id"]: section["blocks"] for section in page["sections"]}


def test_the_report_says_what_the_figures_say(world):
    stage1, stage2, folder = world
    made = stage1.workdir / "evaluation" / "test"
    page, sections = _report(made)
    figures = _metrics(made)["figures"]
    assert page["title"] == "Detector on phantom, test"
    shown = {f["name"]: f["estimate"] for f in sections["summary"][0]["figures"]}
    assert shown["AUC"] == figures["auc"]
    assert shown["Sensitivity"] == figures["at_operating_point"]["sensitivity"]
    names = ("threshold", "ranking", "calibration", "training", "mistakes", "data", "card", "claim")
    assert set(names) < sections.keys()
    assert len(sections["claim"][1]["rows"]) == 44
    assert sections["summary"][-1]["tone"] == "warning"
    kinds = {"prose", "key figures", "facts", "chart", "table", "gallery"}
    assert {block["kind"] for blocks in sections.values() for block in blocks} == kinds
    _, of_types = _report(stage2.workdir / "evaluation" / "test")
    assert "classes" in of_types
    assert "threshold" not in of_types
    _, of_both = _report(folder)
    assert list(of_both) == ["summary", "fates", "filter", "end-to-end", "sweep", "data"]


def test_a_report_on_validation_says_that_its_figures_are_too_good(world):
    stage1, *_ = world
    for part, words in (("validation", "a little too good"), ("test", "No network was trained on")):
        _, sections = _report(stage1.workdir / "evaluation" / part)
        assert any(words in text for text in sections["summary"][1]["paragraphs"])


def test_two_runs_are_compared_study_by_study(world, world_copy, tmp_path):
    """A run and itself at another threshold: the ranking is one, the calls are not."""
    stage1, stage2, _ = world
    copy = world_copy.stage1.workdir
    own = evaluate_run(EvaluationRequest(copy, "test"), data_mesh())
    assert own.calibration.point is not None
    point = dataclasses.replace(own.calibration.point, threshold=0.0)
    calibration.store(copy, dataclasses.replace(own.calibration, point=point), own.bundle.metas)
    shown = Console(file=io.StringIO(), record=True)
    compare(stage1.workdir, copy, "test", data_mesh(), shown, tmp_path / "out")
    assert "negative: healthy, positive: fracture\n" in shown.export_text()
    rows = {row["name"]: row for row in _metrics(tmp_path / "out")["figures"]["rows"]}
    assert rows["AUC"]["difference"]["value"] == 0
    assert rows["sensitivity"]["second"]["value"] == 1
    assert rows["specificity"]["second"]["value"] == 0
    assert (tmp_path / "out" / "report.html").stat().st_size > 0
    with pytest.raises(
        InputError, match=r"cannot be compared.*classes: healthy, fracture and Commi"
    ):
        compare(stage1.workdir, stage2.workdir, "test", data_mesh(), QUIET, tmp_path / "out")


def test_every_look_at_the_test_part_is_counted(world_copy):
    copy = world_copy.stage1.workdir
    first, *_ = before = read_looks(copy)  # by the run of both stages
    meta = read_meta(copy)
    assert (first["epoch"], first["split_hash"]) == (meta.best_epoch, meta.split_hash)
    evaluate(copy, "validation", data_mesh(), QUIET, gallery=0)
    assert read_looks(copy) == before
    evaluate(copy, "test", data_mesh(), QUIET, gallery=0)
    assert len(read_looks(copy)) == len(before) + 1
    (copy / LOOKS).write_text("{}")
    with pytest.raises(InputError, match=r"test_looks\.json is damaged .*restore that file"):
        read_looks(copy)


def test_test_before_validation_is_refused(world_copy):
    copy = world_copy.stage1.workdir
    calibration.path(copy).unlink()
    with pytest.raises(InputError, match=r"no threshold yet; run .*--split validation"):
        evaluate(copy, "test", data_mesh(), QUIET)


@pytest.mark.parametrize(
    ("field", "value"),
    [("chosen_on", "test"), ("epoch", 99), ("split_hash", "0" * 64), ("validation_loss", 9.0)],
)
def test_a_threshold_chosen_elsewhere_is_refused(world_copy, field, value):
    copy = world_copy.stage1.workdir
    record = json.loads(calibration.path(copy).read_text()) | {field: value}
    calibration.path(copy).write_text(json.dumps(record))
    with pytest.raises(InputError, match=rf"not this checkpoint's: {field} is {value}"):
        evaluate(copy, "test", data_mesh(), QUIET)


def test_another_split_than_that_of_training_is_refused(world, tmp_path, monkeypatch):
    """Its test studies may have been trained on."""
    stage1, *_ = world
    dataset = open_dataset(stage1.data)
    prepared = dataset.prepared
    names = [prepared.classes[i] for i in prepared.label]
    make_split(prepared.study.tolist(), names, prepared.group.tolist(), seed=7).save(tmp_path / "s")
    other = dataclasses.replace(dataset, split=Split.load(tmp_path / "s"))
    monkeypatch.setattr(trained_dataset, "open_dataset", lambda *_: other)
    with pytest.raises(InputError, match=r"was trained on split .*, but the split file of phantom"):
        evaluate(stage1.workdir, "validation", data_mesh(), QUIET)


def test_stages_in_the_wrong_order_are_refused(world):
    stage1, stage2, _ = world
    with pytest.raises(InputError, match=r"expected a detector of two classes, found in .* of 3"):
        open_stages(stage2.workdir, stage1.workdir, data_mesh())
    with pytest.raises(InputError, match=r"name a run of stage 2"):
        open_stages(stage1.workdir, stage1.workdir, data_mesh())
    with pytest.raises(InputError, match=r"stage 1 is a detector and needs two classes, not 3"):
        run_two_stages(stage2, stage1, QUIET)


def test_the_threshold_holds_for_as_many_views_as_it_was_chosen_on(world, world_copy):
    copy = world_copy.stage1.workdir
    with pytest.raises(
        InputError, match=r"views is 3, but .* mean of 1 view\(s\); run `fracjax evaluate"
    ):
        evaluate(copy, "test", data_mesh(), QUIET, views=3)
    with pytest.raises(InputError, match=r"views is 0; write 1"):
        evaluate(copy, "validation", data_mesh(), QUIET, views=0)
    evaluate_run(EvaluationRequest(copy, "validation", calibrate=True, views=3), data_mesh())
    assert evaluate_run(EvaluationRequest(copy, "test"), data_mesh()).bundle.test_views == 3
    front = open_detector_gate(copy, data_mesh())
    assert front.bundle.test_views == 3
    assert front.identity != open_detector_gate(world.stage1.workdir, data_mesh()).identity
    with pytest.raises(InputError, match=r"--views 1` first, or leave views out"):
        evaluate(copy, "test", data_mesh(), QUIET, views=1)


def test_fixed_views_go_with_the_threshold_that_was_chosen_on_them(world_copy):
    copy = world_copy.stage1.workdir
    with pytest.raises(InputError, match=r"views is flip, but .* mean of 1 view\(s\)"):
        evaluate(copy, "test", data_mesh(), QUIET, views="flip")
    evaluate_run(EvaluationRequest(copy, "validation", calibrate=True, views="flip"), data_mesh())
    gate = open_detector_gate(copy, data_mesh())
    assert (gate.bundle.test_views, gate.identity["test_views"]) == ("flip", "flip")
    with pytest.raises(InputError, match=r"views is 1, but .* on the mean of the fixed views flip"):
        evaluate(copy, "test", data_mesh(), QUIET, views=1)
    record = json.loads(calibration.path(copy).read_text())
    assert record["test_views"] == "flip"
    for wrong in ("flop", 0, 2.5):
        calibration.path(copy).write_text(json.dumps({**record, "test_views": wrong}))
        with pytest.raises(InputError, match=rf"is damaged \(the views are {wrong}\)"):
            open_detector_gate(copy, data_mesh())


def test_the_threshold_holds_for_the_precision_it_was_chosen_in(world_copy, monkeypatch):
    copy = world_copy.stage1.workdir
    with pytest.raises(
        InputError,
        match=r"precision is bfloat16, but the threshold .* in float32; run `fracjax evaluate",
    ):
        evaluate(copy, "test", data_mesh(), QUIET, precision="bfloat16")
    before = open_detector_gate(copy, data_mesh()).identity
    evaluate_run(
        EvaluationRequest(copy, "validation", calibrate=True, precision="bfloat16"), data_mesh()
    )
    folder = evaluate(copy, "test", data_mesh(), QUIET, gallery=0)
    source = _metrics(folder)["source"]
    assert (source["precision"], source["precision_of_training"]) == ("bfloat16", "float32")
    report = (folder / "markdown" / "report.md").read_text()
    assert "bfloat16 in convolutions and matrix products, float32 elsewhere" in report
    between = source["moved_by_precision"]
    assert (between["precision"], between["other"]) == ("bfloat16", "float32")
    assert 0 < between["mean"] < between["largest"] < precision_shift.MOST_MOVED
    assert "trained in float32; probabilities in float32 differ by up to" in report
    assert f"{between['largest']:.4f}, {between['mean']:.4f} on average" in report
    after = open_detector_gate(copy, data_mesh()).identity
    assert after["precision"] == "bfloat16"
    assert after != before
    monkeypatch.setattr(precision_shift, "MOST_MOVED", 1e-7)
    chosen = calibration.path(copy).read_bytes()
    refusal = r"trained in float32, and bfloat16 moves probabilities by .*; "
    with pytest.raises(InputError, match=refusal + "evaluate in float32, or train"):
        evaluate_run(
            EvaluationRequest(copy, "validation", calibrate=True, precision="bfloat16"), data_mesh()
        )
    assert calibration.path(copy).read_bytes() == chosen
    with pytest.raises(InputError, match=refusal + "evaluate validation again in float32"):
        evaluate_run(EvaluationRequest(copy, "test"), data_mesh())
    # On a CPU that is float32, and is not compared with it.
    on_cpu = evaluate_run(
        EvaluationRequest(copy, "validation", calibrate=True, precision="tensorfloat32"),
        data_mesh(),
    )
    assert on_cpu.precision_shift is None
    record = json.loads(calibration.path(copy).read_text())
    del record["precision"]  # as an earlier version wrote it
    calibration.path(copy).write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"'precision'.*--split validation"):
        open_detector_gate(copy, data_mesh())


def test_the_run_of_another_user_is_evaluated_into_a_folder_of_ones_own(world_copy, tmp_path):
    """Its workdir stays as it is; test reads the threshold that validation left in the folder."""
    run, out = world_copy.stage1.workdir, tmp_path / "mine"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    how = {"out": out, "gallery": 0}
    folder = evaluate(run, "validation", data_mesh(), QUIET, rule="fixed:0.25", **how)
    assert folder == out / "validation"
    evaluate(run, "test", data_mesh(), QUIET, **how)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert after == before
    figures = json.loads((out / "test" / "metrics.json").read_text())
    assert figures["operating_point"]["threshold"] == 0.25
    assert {path.name for path in out.iterdir()} == {
        "operating_point.json", "training_images.json", "validation", "test", "test_looks.json",
    }  # fmt: skip
    calibration.path(out).unlink()
    assert calibration.stored_at(run, out) == calibration.path(run)


def test_stage_2_may_start_from_the_detector_that_is_trained_before_it(
    world, tmp_path, monkeypatch
):
    stage1 = dataclasses.replace(world.stage1, workdir=tmp_path / "stage1")
    model = dataclasses.replace(world.stage2.model, weights=stage1.workdir)
    stage2 = dataclasses.replace(world.stage2, workdir=tmp_path / "stage2", model=model)
    wide = dataclasses.replace(stage2, model=dataclasses.replace(model, width=0.125))
    started = []

    def fit(config, _):
        """Stands for hours of training: stage 1 comes into being when its turn is."""
        if config.workdir == stage1.workdir:
            assert not stage1.workdir.exists()
            shutil.copytree(world.stage1.workdir, stage1.workdir)
        started.append(starting_run.starts_of(config))
        return []

    monkeypatch.setattr(two_stages, "fit", fit)
    for name in ("show_run", "evaluate", "open_stages", "run_cascade", "report_cascade"):
        monkeypatch.setattr(two_stages, name, lambda *_: None)
    with pytest.raises(InputError, match=r"width is 0\.0625 there and 0\.125 here"):
        run_two_stages(stage1, wide, QUIET)
    assert not started
    run_two_stages(stage1, stage2, QUIET)
    first, ((source),) = started
    assert not first
    assert source["split_hash"] == read_meta(world.stage1.workdir).split_hash
    assert source["new_head"].startswith("other classes")
