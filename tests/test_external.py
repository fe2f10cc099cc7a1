"""`evaluate --on DATASET`: a run on another dataset, at its own threshold and temperature."""

import json
from collections.abc import Callable
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
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.inference.calibration import path as calibration_path
from fracjax.loading.dataset_view import open_dataset
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
    folder: Path, data_dir: Path, names: tuple[str, str], change: Callable | None = None
) -> None:
    """The phantoms of a data_dir in a folder for each class: the same files, or changed ones."""
    prepared = open_prepared("phantom", data_dir)
    for i in range(len(prepared)):
        place = folder / names[prepared.label[i]] / f"{prepared.study[i]}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(prepared.image_bytes(i))
        if change is not None:
            with Image.open(place) as image:
                changed = change(np.asarray(image.convert("L")))
            Image.fromarray(changed).save(place)


def on(world, where: Path | None, *, out: Path, **options) -> tuple[dict, Path]:
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


def test_a_folder_is_matched_by_names_and_darker_images_are_seen_as_drift(world, others, tmp_path):
    def darker(grey: np.ndarray) -> np.ndarray:
        return (grey // 3).astype(np.uint8)

    # In alphabetical order "broken" comes first: names, not places, say which is which.
    names = ("healthy", "broken")
    same, folder = on(world, others / "clinic", out=tmp_path, classes=names)
    predictions = Predictions.from_csv(folder / "predictions.csv")
    broken = [study.startswith("broken/") for study in predictions.study]
    assert predictions.label.tolist() == broken
    assert predictions.classes == ("healthy", "fracture")
    assert (folder / "manifest.csv").is_file()
    write_folder(tmp_path / "dark", others, names, darker)
    dark, _ = on(world, tmp_path / "dark", out=tmp_path, classes=names)

    def grey(found: dict) -> dict:
        return next(one for one in found["drift"]["shifts"] if one["name"] == "mean grey")

    assert grey(same)["ks"] <= grey(same)["ks_by_chance"]
    assert grey(dark)["ks"] > grey(dark)["ks_by_chance"]
    assert grey(dark)["higher"]["value"] < 0.1


def test_what_cannot_be_an_external_test_is_refused_with_what_to_type(world, others, tmp_path):
    own, names = world.stage1.data.dir / "phantom", ("healthy", "broken")
    copy = tmp_path / "copy"
    write_folder(copy, world.stage1.data.dir, ("healthy", "fracture"))
    for where, options, message in (
        (own, {}, "is the dataset that the run was trained on: leave --on out"),
        (copy, {}, r"leakage: \d+ pair.* Write --leave-out-seen"),
        (others / "clinic", {}, r"no class 'fracture'; .* --classes healthy broken"),
        (others / "clinic", {"classes": names[::-1]}, "is the opposite of what the names say"),
        (others / "clinic", {"classes": names, "part": "test"}, "has no parts: leave --split out"),
        (others / "clinic", {"classes": names, "rule": "youden"}, "on validation only; leave it"),
        (tmp_path / "absent", {}, "no prepared dataset of that name in .*, and no such folder"),
    ):
        with pytest.raises(InputError, match=message):
            on(world, where, out=tmp_path / "out", **options)
    with pytest.raises(InputError, match="--classes and --leave-out-seen without --on"):
        on(world, None, out=tmp_path, part="test", classes=names, leave_out_seen=True)


def test_what_the_run_has_seen_is_left_out_with_its_group_if_one_says_so(world, tmp_path):
    """Of a copy of its own dataset the test part remains, and drift is none."""
    write_folder(tmp_path / "copy", world.stage1.data.dir, ("healthy", "fracture"))
    found, folder = on(world, tmp_path / "copy", out=tmp_path, leave_out_seen=True)
    kept = Predictions.from_csv(folder / "predictions.csv")
    dataset = open_dataset(world.stage1.data)
    own = dataset.prepared.study[dataset.indices("test")]
    assert {Path(name).stem for name in kept.study} <= {Path(name).stem for name in own}
    assert kept.n + len(found["source"]["external"]["left_out"]) == len(dataset.prepared)
