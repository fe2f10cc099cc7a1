"""A detector with a map: trained, and evaluated on validation and test: figures, files, report."""

import contextlib
import csv
import io
import json

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console

from fracjax.config import Config, Data, Freeze, Model, Phase
from fracjax.errors import InputError
from fracjax.evaluation import Estimate
from fracjax.inference import model_bundle
from fracjax.report.results_page import render
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import read_meta
from fracjax.workflows.evaluate import evaluate
from fracjax.workflows.system_state import result_of
from fracjax.workflows.systems import System
from fracjax.workflows.train import fit


@pytest.fixture(scope="module")
def run(phantoms, tmp_path_factory):
    """Trained for an epoch, and evaluated on both parts."""
    config = Config(
        workdir=tmp_path_factory.mktemp("localising") / "run",
        data=Data(dir=phantoms, image_size=32, batch_size=8),
        model=Model(width=0.0625, dropout=0.0, localise=True),
        freeze=Freeze(batch_norm="above_cut"),
        phases=(Phase(epochs=1, learning_rate=1e-2),),
    )
    with jax.default_device(jax.devices()[0]):
        fit(config, Console(quiet=True))
        for part in ("validation", "test"):
            evaluate(config.workdir, part, data_mesh(), Console(quiet=True), gallery=4)
    return config.workdir


def _metrics(run, part):
    return json.loads((run / "evaluation" / part / "metrics.json").read_text())


def test_the_threshold_of_marks_is_chosen_on_validation_and_used_on_test(run):
    stored = json.loads((run / "operating_point.json").read_text())["marks"]
    assert stored["rule"] == "false_marks:0.25"
    for part in ("validation", "test"):
        found = _metrics(run, part)["localisation"]
        assert found["threshold"] == stored
        assert found["figures"]["at"]["threshold"] == stored["threshold"]
        assert found["left_out"] == 0
    at = _metrics(run, "validation")["localisation"]["figures"]["at"]
    assert at["false_marks"]["value"] <= 0.25
    assert at["sensitivity"] == stored["sensitivity"]


def test_the_network_sees_each_study_once(run, tmp_path, monkeypatch):
    passes = []
    predict = model_bundle.predict_logits
    monkeypatch.setattr(
        model_bundle, "predict_logits", lambda *a, **how: passes.append(a) or predict(*a, **how)
    )
    evaluate(run, "test", data_mesh(), Console(quiet=True), gallery=0, out=tmp_path)
    assert len(passes) == 1


def test_pycocotools_redoes_average_precision_from_the_files(run):
    folder = run / "evaluation" / "test"
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "coco_truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "coco_results.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    each = evaluation.eval["precision"][:, :, 0, 0, -1].mean(axis=1)
    figures = _metrics(run, "test")["localisation"]["figures"]
    assert_allclose(each[0], figures["average_precision_50"]["value"], atol=1e-9)
    assert_allclose(each.mean(), figures["mean_average_precision"]["value"], atol=1e-9)
    assert len(truth.getAnnIds()) == figures["n_fractures"] > 0


def test_every_mark_has_a_row(run):
    folder = run / "evaluation" / "test"
    with (folder / "marks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    marks = json.loads((folder / "coco_results.json").read_text())
    assert len(rows) == len(marks) > 0
    assert [float(row["score"]) for row in rows] == [one["score"] for one in marks]
    x, y, width, height = marks[0]["bbox"]
    box = [float(rows[0][name]) for name in ("xmin", "ymin", "xmax", "ymax")]
    assert_allclose(box, [x, y, x + width, y + height], atol=0.011)
    assert np.max([float(row["ymax"]) for row in rows]) <= 32


def test_the_report_says_how_often_it_points_right(run):
    page = json.loads((run / "evaluation" / "test" / "report.json").read_text())
    sections = {section["id"]: section for section in page["sections"]}
    assert "localisation" in sections
    game = _metrics(run, "test")["localisation"]["figures"]["pointing_game"]["marks"]
    hits = round(game["value"] * game["n"])
    for part in ("summary", "localisation"):
        assert f"points right in {hits} of {game['n']} pictures" in json.dumps(sections[part])
    assert "Points right" in json.dumps(sections["summary"])
    assert "highest mark right" in json.dumps(sections["card"])
    kinds = [block["kind"] for block in sections["localisation"]["blocks"]]
    assert kinds.count("gallery") == 2
    assert not any("patients" in json.dumps(b) for b in sections["localisation"]["blocks"])


@pytest.mark.parametrize(
    "part, rule, message",
    [
        ("validation", "youden", "expected false_marks:X"),
        ("test", "false_marks:1", "on validation only; leave it out"),
    ],
)
def test_rules_that_cannot_be_are_refused_before_any_prediction(run, part, rule, message):
    with pytest.raises(InputError, match=message):
        evaluate(run, part, data_mesh(), Console(quiet=True), marks=rule)


def test_the_page_of_results_says_how_often_it_points_right(run):
    system = System("here", (), (read_meta(run).config,))
    page = render([result_of(system, None, "")], made_by=["fracjax"])
    figures = _metrics(run, "test")["localisation"]["figures"]
    assert f"| here | {Estimate(**figures['pointing_game']['marks'])} |" in page
    assert page.count("## Where is the fracture?") == 1
