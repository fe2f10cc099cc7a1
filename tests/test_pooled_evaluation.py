"""`evaluate --per COLUMN`: a threshold of its own, chosen on validation, read on test."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from rich.console import Console

from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.pool_by import pool_by
from fracjax.inference.evaluate_run import _pooled_point, evaluate_run
from fracjax.inference.evaluation_request import EvaluationRequest
from fracjax.runtime.sharding import data_mesh
from fracjax.workflows.evaluate import evaluate

QUIET = Console(quiet=True)


def test_a_threshold_per_group_is_chosen_on_validation_and_read_on_test(world_copy):
    """Every phantom is a group of its own, so that nothing is pooled."""
    workdir, mesh = world_copy.stage1.workdir, data_mesh()
    largest: dict[str, Any] = {"per": "group", "pool": "max"}
    command = r"fracjax evaluate .* --split validation --per group --pool max"
    with pytest.raises(InputError, match=rf"no threshold per group \(max\) .*run `{command}`"):
        evaluate_run(EvaluationRequest(workdir, "test", **largest), mesh)
    chosen = evaluate_run(EvaluationRequest(workdir, "validation", True, **largest), mesh)
    pooled, point = chosen.calibration.pooled, chosen.calibration.point
    assert pooled is not None
    assert point is not None
    assert pooled.point is not None
    assert (pooled.column, pooled.pool) == ("group", "max")
    assert pooled.point.threshold == pytest.approx(point.threshold, abs=1e-12)
    with pytest.raises(InputError, match=r"no threshold per group \(mean\)"):
        evaluate_run(EvaluationRequest(workdir, "test", per="group"), mesh)

    folder = evaluate(workdir, "test", mesh, QUIET, gallery=0, **largest)
    found = json.loads((folder / "metrics.json").read_text())
    per, figures = found["per"], found["figures"]
    assert per["point"]["threshold"] == pooled.point.threshold
    assert_allclose(per["figures"]["auc"]["value"], figures["auc"]["value"])
    kept = Predictions.from_csv(folder / "predictions_pooled.csv")
    assert np.unique(kept.study).size == per["figures"]["n"] == figures["n"]
    assert "Per group" in (folder / "report.html").read_text()


def test_what_lies_in_several_groups_is_not_pooled(world_copy):
    request = EvaluationRequest(world_copy.stage1.workdir, "validation", True, per="bones")
    with pytest.raises(InputError, match=r"of 2 values lie in several .*with --group-by bones"):
        evaluate_run(request, data_mesh())


def test_a_classifier_has_no_threshold_to_choose(world_copy):
    folder = evaluate(world_copy.stage2.workdir, "test", data_mesh(), QUIET, gallery=0, per="group")
    found = json.loads((folder / "metrics.json").read_text())
    assert found["per"]["point"] is None
    assert found["per"]["figures"]["accuracy"]["value"] == found["figures"]["accuracy"]["value"]


def test_patients_who_all_have_a_fracture_leave_no_threshold_to_choose():
    score, label = np.array([0.2, 0.9, 0.6, 0.4]), np.array([0, 1, 1, 0])
    patient = np.array(["a", "a", "b", "b"])
    p = np.stack([1 - score, score], axis=1)
    columns = {"patient": patient, "group": patient}
    images = Predictions(np.array(list("wxyz")), label, p, ("healthy", "fracture"), columns)
    request = EvaluationRequest(Path("run"), "validation", True, per="patient")
    with pytest.raises(InputError, match=r"by patient all 2 of validation are fracture \(one is"):
        _pooled_point(request, pool_by(images, "patient", "mean"), "youden")
