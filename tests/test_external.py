"""`evaluate --on DATASET`: a run on another dataset, at its own threshold and temperature."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from rich.console import Console
from sklearn.metrics import brier_score_loss, confusion_matrix, roc_auc_score

from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import open_prepared
from fracjax.datasets.request import Request
from fracjax.evaluation import Predictions
from fracjax.inference.calibration import path as calibration_path
from fracjax.runtime.sharding import data_mesh
from fracjax.workflows.evaluate import evaluate

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    """Other limbs under the same name, and as a labelled folder; prepared once."""
    root = tmp_path_factory.mktemp("others")
    prepare(Request("phantom", data_dir=root, count=60, side=32, seed=1))
    write_folder(root / "clinic", root, ("healthy", "broken"))
    return root


def write_folder(
    folder: Path, data_dir: Path, names: tuple[str, str], change: Callable = lambda grey: grey
) -> None:
    """The phantoms of a data_dir as PNG files, in a folder for each class."""
    prepared = open_prepared("phantom", data_dir)
    for i in range(len(prepared)):
        grey = np.asarray(Image.open(BytesIO(prepared.image_bytes(i))).convert("L"))
        place = folder / names[prepared.label[i]] / f"{prepared.study[i]}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(change(grey)).save(place)


def on(world, where: Path, *, out: Path, **options) -> tuple[dict, Path]:
    workdir = world.stage1.workdir
    options = {"part": None, "gallery": 0} | options
    folder = evaluate(
        workdir, options.pop("part"), data_mesh(), QUIET, out=out, on=where, **options
    )
    return json.loads((folder / "metrics.json").read_text()), folder


def test_figures_are_those_of_scikit_learn_from_the_predictions(world, others, tmp_path):
    before = calibration_path(world.stage1.workdir).read_bytes()
    found, folder = on(world, others / "phantom", out=tmp_path, gallery=2)
    assert folder == tmp_path / "on_phantom"
    assert calibration_path(world.stage1.workdir).read_bytes() == before
    assert not calibration_path(tmp_path).exists()
    stored = json.loads(before)
    predictions = Predictions.from_csv(folder / "predictions.csv")
    assert predictions.n == 60
    y, score = predictions.label, predictions.fracture_score
    figures, at = found["figures"], found["figures"]["at_operating_point"]
    assert found["operating_point"] == stored["operating_point"]
    assert found["temperature"] == stored["temperature"]
    called = score >= stored["operating_point"]["threshold"]
    assert_allclose(figures["auc"]["value"], roc_auc_score(y, score))
    assert at["matrix"] == confusion_matrix(y, called).tolist()
    assert_allclose(found["calibration"]["brier"]["value"], brier_score_loss(y, score))
    page = (folder / "report.html").read_text()
    assert "external test of a run on phantom" in page
    assert "chosen on validation of phantom" in page
    assert "No network was trained on these studies" not in page
