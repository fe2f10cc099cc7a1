"""`evaluate --on DATASET`: a run on another dataset, at its own threshold and temperature."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from rich.console import Console
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score

from fracjax.config import io
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import open_prepared
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.inference.calibration import path as calibration_path
from fracjax.inference.evaluate_run import evaluate_run
from fracjax.inference.evaluation_request import EvaluationRequest
from fracjax.inference.external import match_classes, open_external
from fracjax.loading.dataset_view import open_dataset, seen_files
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import read_meta
from fracjax.workflows.evaluate import evaluate
from tests.cli_runner import run_cli

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    """Other limbs under the same name, and as a labelled folder; prepared once."""
    root = tmp_path_factory.mktemp("others")
    prepare(Request("phantom", data_dir=root, count=60, side=32, seed=1))
    prepare(Request("phantom_types", data_dir=root, count=40, side=32, seed=5))
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


@pytest.fixture(scope="module")
def tested(world, others, tmp_path_factory) -> tuple[dict, Path]:
    """The detector on the other limbs: metrics.json, and the folder of its report."""
    before = calibration_path(world.stage1.workdir).read_bytes()
    found = on(world, others / "phantom", out=tmp_path_factory.mktemp("tested"))
    assert calibration_path(world.stage1.workdir).read_bytes() == before
    return found


def test_figures_are_those_of_scikit_learn_from_the_predictions(world, tested):
    found, folder = tested
    assert folder.name == "on_phantom"
    assert not calibration_path(folder.parent).exists()
    stored = json.loads(calibration_path(world.stage1.workdir).read_text())
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


def test_a_labelled_folder_gives_the_same_figures_whatever_its_names_alphabet(
    world, others, tested, tmp_path
):
    """`broken` comes first in the alphabet, and is the second class of the run."""
    folder = shutil.copytree(others / "clinic", tmp_path / "clinic")
    (folder / "healthy" / "empty.png").write_bytes(b"")
    (folder / "implant").mkdir()
    shutil.copy(next((folder / "broken").iterdir()), folder / "implant" / "x.png")
    words = ["evaluate", "--checkpoint", world.stage1.workdir, "--on", folder, "--gallery", "0"]
    refused = run_cli(*words, "--out", tmp_path)
    assert refused.returncode == 2
    assert "there is no class 'fracture'; it has 'broken', 'healthy', 'implant'" in refused.stderr
    assert refused.stderr.rstrip().endswith("in this order: --classes healthy broken")
    said = run_cli(*words, "--out", tmp_path, "--classes", "healthy", "broken")
    assert said.returncode == 0, said.stderr
    assert "Folders of no class of the run were not read: implant." in said.stdout
    assert "files refused: 1 (" in said.stdout
    found = json.loads((tmp_path / "on_clinic" / "metrics.json").read_text())
    same = Predictions.from_csv(tested[1] / "predictions.csv")
    kept = Predictions.from_csv(tmp_path / "on_clinic" / "predictions.csv")
    order = np.argsort([Path(name).stem for name in kept.study])
    assert kept.label[order].tolist() == same.label[np.argsort(same.study)].tolist()
    assert_allclose(
        kept.fracture_score[order], same.fracture_score[np.argsort(same.study)], rtol=1e-6
    )
    assert found["source"]["external"]["classes"] == ["healthy", "broken"]
    assert "empty.png" in (tmp_path / "on_clinic" / "manifest.csv").read_text()


def test_of_fractures_alone_there_is_a_sensitivity_and_no_auc(world, others, tmp_path):
    shutil.copytree(others / "clinic" / "broken", tmp_path / "clinic" / "broken")
    classes = ("healthy", "broken")
    found, folder = on(world, tmp_path / "clinic", out=tmp_path, classes=classes, gallery=2)
    kept = Predictions.from_csv(folder / "predictions.csv")
    point = found["operating_point"]["threshold"]
    at = found["figures"]["at_operating_point"]
    assert kept.label.tolist() == [1] * 30
    assert_allclose(at["sensitivity"]["value"], np.mean(kept.fracture_score >= point))
    for name, figures in (("auc", found["figures"]), ("specificity", at), ("youden_j", at)):
        assert figures[name]["value"] is None
        assert "no negative study" in figures[name]["note"]
    names = [row["name"] for row in found["drift"]["shifts"]]
    assert "score of fracture, fracture studies" in names
    assert "score of fracture, healthy studies" not in names
    page = (folder / "report.html").read_text()
    assert "All 30 studies are fracture: of the figures sensitivity alone says something" in page
    assert "There are no curves: no negative study among 30." in page
    assert found["source"]["external"]["notes"][0].startswith("No study of healthy: figures")


def test_a_classifier_is_tested_elsewhere_too(world, others, tmp_path):
    folder = evaluate(
        world.stage2.workdir,
        None,
        data_mesh(),
        QUIET,
        gallery=2,
        out=tmp_path,
        on=others / "phantom_types",
    )
    found = json.loads((folder / "metrics.json").read_text())
    kept = Predictions.from_csv(folder / "predictions.csv")
    assert kept.n == 12  # of its ten classes the run has three
    assert kept.classes == world.stage2.data.classes
    assert found["figures"]["accuracy"]["value"] == accuracy_score(kept.label, kept.called)
    names = [row["name"] for row in found["drift"]["fractions"]]
    assert [f"prevalence of {name}" for name in kept.classes] == names[:3]


def test_what_the_run_has_seen_is_refused_or_left_out(world, phantoms, tmp_path):
    workdir, mesh = world.stage1.workdir, data_mesh()
    with pytest.raises(
        InputError, match=r"is the dataset that the run was trained on.*--split tes"
    ):
        evaluate_run(EvaluationRequest(workdir, "all", on=Path("phantom")), mesh)
    copy = shutil.copytree(phantoms / "phantom", tmp_path / "copy")
    with pytest.raises(
        InputError, match=r"(?s)68 pair\(s\).*Write --leave-out-seen.*identical fil"
    ):
        evaluate_run(EvaluationRequest(workdir, "all", on=copy), mesh)
    meta = read_meta(workdir)
    left = open_external(copy, "all", (), meta, leave_out=True)
    own = left.trained
    assert own is not None
    kept = left.dataset.prepared.study[left.dataset.indices("test")].tolist()
    assert kept == own.prepared.study[own.indices("test")].tolist()
    assert sorted([*kept, *left.left_out]) == sorted(own.prepared.study.tolist())
    assert left.notes == ("12 of these studies are files of the test part of phantom, too.",)
    with pytest.raises(InputError, match="has no study of a class of the run: name"):
        open_external(copy, "validation", (), meta, leave_out=True)


def test_without_the_dataset_of_training_files_are_compared_and_drift_is_not_measured(
    world, others, phantoms, tmp_path
):
    """A run that came without its studies: it knows their digests."""
    found, folder = on(world, others / "phantom", out=tmp_path, data_dir=tmp_path)
    assert found["figures"]["n"] == 60
    assert found["drift"] is None
    (audit,) = found["source"]["leakage"]
    assert (audit["n_seen"], audit["similarity"]) == (68, None)
    assert audit["gone"].startswith(f"dataset 'phantom' is not prepared: no {tmp_path}")
    (note,) = found["source"]["external"]["notes"]
    assert note.startswith("phantom is not at hand as the run was trained on it, so drift was not")
    page = (folder / "report.html").read_text()
    assert "Not measured: phantom, on which the networks were trained, is not at hand" in page
    assert "near duplicates not audited: dataset" in page
    assert "56 studies of phantom" in page  # training, in the model card
    copy = shutil.copytree(phantoms / "phantom", tmp_path / "copy")
    meta = read_meta(world.stage1.workdir)
    with pytest.raises(
        InputError, match=r"(?s)68 pair\(s\).*--leave-out-seen.*identical to a file"
    ):
        open_external(copy, "all", (), meta, data_dir=tmp_path)
    left = open_external(copy, "all", (), meta, data_dir=tmp_path, leave_out=True)
    assert (len(left.left_out), left.trained) == (68, None)


def test_what_the_run_was_started_from_has_seen_is_left_out_too(world, others, tmp_path):
    meta = read_meta(world.stage1.workdir)
    config = dataclasses.replace(
        meta.config, data=dataclasses.replace(meta.config.data, dir=others)
    )
    hashed = json.loads((others / "phantom" / "splits.json").read_text())["sha256"]
    files = seen_files(open_dataset(config.data))
    start = {"config": io.to_dict(config), "split_hash": hashed, "epoch": 1, "new_head": ""}
    start["seen_files"] = files
    meta = dataclasses.replace(meta, started_from=[start])
    copy = shutil.copytree(others / "phantom", tmp_path / "copy")
    with pytest.raises(InputError, match=r"(?s)pair\(s\).*Write --leave-out-seen"):
        open_external(copy, "all", (), meta)
    found = open_external(copy, "all", (), meta, leave_out=True)
    split = json.loads((others / "phantom" / "splits.json").read_text())["studies"]
    seen = {study for study, its in split.items() if its["part"] != "test"}
    assert found.left_out.keys() == seen
    assert len(found.leakage) == 2


def test_darker_images_are_found_to_have_drifted(world, others, tested, tmp_path):
    write_folder(tmp_path / "dark", others, ("healthy", "fracture"), lambda grey: grey // 3)
    request = EvaluationRequest(world.stage1.workdir, "all", on=tmp_path / "dark")
    drift = evaluate_run(request, data_mesh()).drift
    assert drift is not None
    dark = {row.name: row for row in drift.shifts}
    fraction = {row.name: row for row in drift.fractions}
    rows = (*tested[0]["drift"]["shifts"], *tested[0]["drift"]["fractions"])
    same = {row["name"]: row for row in rows}
    for name in ("mean grey", "width (pixels)"):
        assert same[name]["ks"] <= same[name]["ks_by_chance"]
    assert dark["mean grey"].beyond_chance
    assert dark["mean grey"].ks == 1
    assert dark["mean grey"].higher.value == 0
    assert fraction["unlike the training images"].here.value == 1
    assert same["width (pixels)"]["ks"] == dark["width (pixels)"].ks == 0
    assert same["prevalence of fracture"]["difference"]["value"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"on": Path("nowhere")},
            r"no prepared dataset of that name .*there are: phantom, phantom",
        ),
        ({"on": Path("clinic"), "part": "train"}, "part is 'train', expected all or validation or"),
        ({"on": Path("clinic"), "part": "test"}, "has no parts: leave --split out for all"),
        ({"on": Path("clinic"), "calibrate": True}, "calibration on another dataset"),
        ({"on": Path("clinic"), "rule": "youden"}, "a rule chooses a detector's threshold, on"),
        (
            {"on": Path("clinic"), "views": 4},
            "views is 4, but the threshold was chosen on the mean",
        ),
        ({"on": Path("clinic"), "per": "group"}, r"no threshold per group \(mean\) was chosen"),
        ({"on": Path("clinic"), "classes": ("a",)}, "--classes names 1, and the run has 2"),
        ({"part": "test", "classes": ("a", "b")}, "--classes without --on"),
        ({"part": "all", "leave_out_seen": True}, "part is 'all'.*--leave-out-seen without --on"),
    ],
)
def test_refusals(world, others, changes, said):
    request = EvaluationRequest(world.stage1.workdir, "all", classes=("healthy", "broken"))
    if "on" not in changes:
        request = dataclasses.replace(request, classes=())
    elif changes["on"] == Path("clinic"):
        changes = changes | {"on": others / "clinic"}
    with pytest.raises(InputError, match=said):
        evaluate_run(dataclasses.replace(request, **changes), data_mesh())


def test_without_a_part_or_another_dataset_the_command_says_what_is_needed(world, tmp_path):
    workdir = world.stage1.workdir
    said = run_cli("evaluate", "--checkpoint", workdir)
    assert said.returncode == 2
    assert "--split validation or test is needed" in said.stderr
    said = run_cli("evaluate", "--compare", workdir, workdir, "--on", tmp_path, "--split", "test")
    assert "evaluate each run --on the other dataset" in said.stderr


def test_a_name_that_is_two_things_is_refused(world, others, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(others / "phantom", tmp_path / "phantom_types")
    with pytest.raises(InputError, match=r"phantom_types, and there is .*, too: write the one"):
        open_external(Path("phantom_types"), "all", (), read_meta(world.stage1.workdir))


RUN = ("normal", "fracture")


@pytest.mark.parametrize(
    ("asked", "known", "in_roles", "found"),
    [
        ((), ("fracture", "normal"), False, ("normal", "fracture")),
        ((), ("NORMAL", "other", "Fracture"), False, ("NORMAL", "Fracture")),
        ((), ("Fracture",), False, ("normal", "Fracture")),  # the other one has no study
        (("healthy", "broken"), ("broken",), False, ("healthy", "broken")),
        (("-", "+"), ("+", "-"), False, ("-", "+")),
        (("healthy", "broken"), ("healthy", "broken"), True, ("healthy", "broken")),
    ],
)
def test_classes_are_matched_by_name(asked, known, in_roles, found):
    assert match_classes(asked, RUN, known, what="--on x", in_roles=in_roles) == found


@pytest.mark.parametrize(
    ("asked", "known", "in_roles", "said"),
    [
        ((), ("a", "b"), True, "has negative: a, positive: b, and .* --classes a b$"),
        ((), ("a", "b"), False, "--classes NEGATIVE POSITIVE$"),
        (
            (),
            ("broken", "intact"),
            False,
            "no class 'normal', 'fracture'.*--classes intact broken$",
        ),
        (("broken", "intact"), ("broken", "intact"), False, "opposite .* --classes intact broken"),
        (("a", "A"), ("a", "b"), False, "named twice"),
        ((), ("fracture", "normal"), True, "prepared with negative: fracture, .* prepare it again"),
        (
            ("b", "a"),
            ("a", "b"),
            True,
            "prepared with negative: a, positive: b, .* prepare it again",
        ),
        (("a", "b", "c"), ("a", "b", "c"), False, "--classes names 3, and the run has 2"),
    ],
)
def test_classes_that_do_not_match_are_refused_with_what_to_type(asked, known, in_roles, said):
    with pytest.raises(InputError, match=said):
        match_classes(asked, RUN, known, what="--on x", in_roles=in_roles)


def test_of_more_classes_those_without_a_counterpart_are_named():
    with pytest.raises(InputError, match=r"--classes a b NAME_OF_C$"):
        match_classes((), ("a", "b", "c"), ("a", "b", "d"), what="--on x")
