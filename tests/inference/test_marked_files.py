"""Files marked by a detector with a map: as `evaluate` marks them, alone and of several runs."""

import contextlib
import csv
import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from pycocotools.coco import COCO
from rich.console import Console

import fracjax
from fracjax.config import Config, Data, Model
from fracjax.errors import InputError
from fracjax.evaluation.marks import Marked
from fracjax.inference.ensemble_folder import join
from fracjax.inference.evaluate_run import evaluate_run
from fracjax.inference.evaluation_request import EvaluationRequest
from fracjax.inference.finding_maps import finding_maps, map_grid, runs_with_map
from fracjax.inference.model_bundle import open_run
from fracjax.inference.packed_run import unpacked
from fracjax.inference.predict_files import predict_files
from fracjax.inference.stages import Stages, open_detector_gate
from fracjax.loading.dataset_view import open_dataset, seen_files
from fracjax.report.overlay import MARK
from fracjax.runtime.sharding import data_mesh
from fracjax.workflows.marks import write_marks
from fracjax.workflows.pack import pack
from fracjax.workflows.predict import predict_into
from tests.datasets.trees import picture
from tests.inference.conftest import TYPES, save_untrained

QUIET = Console(quiet=True)


def _validated(workdir, **how):
    return evaluate_run(
        EvaluationRequest(workdir, "validation", calibrate=True, **how), data_mesh()
    )


@pytest.fixture(scope="module")
def runs_of_three(phantoms, tmp_path_factory):
    """Two detectors with a map, of two forms, and one without; none is trained."""
    root = tmp_path_factory.mktemp("three")
    small, large = Data(dir=phantoms, image_size=16), Data(dir=phantoms, image_size=24, fit="pad")
    tiny = Model(width=0.0625, dropout=0.0)
    localising = dataclasses.replace(tiny, localise=True)
    configs = (
        Config(workdir=root / "plain", data=small, model=tiny),
        Config(workdir=root / "coarse", data=small, model=localising),
        Config(workdir=root / "fine", data=large, model=localising),
    )
    for seed, config in enumerate(configs):
        dataset = open_dataset(config.data)
        facts: Any = {"split_hash": dataset.split_hash, "seen_files": seen_files(dataset)}
        facts["history"] = [{"epoch": 1, "train_loss": 0.7, "validation_loss": 0.7}]
        save_untrained(config, channels=1, seed=seed, cells=2e4, **facts)
    return [config.workdir for config in configs]


@pytest.fixture(scope="module")
def together(runs_of_three):
    """The folder of all three, and what their evaluation on validation found."""
    workdir = join(runs_of_three)
    return workdir, _validated(workdir)


@pytest.fixture(scope="module")
def alone(runs_of_three):
    """The workdir of a detector with a map, whose marks have a rule of their own."""
    _validated(runs_of_three[2], marks="false_marks:0.5")
    return runs_of_three[2]


@pytest.fixture(scope="module")
def films(together, tmp_path_factory):
    """The studies of validation as files, in the order of their evaluation."""
    folder = tmp_path_factory.mktemp("films")
    prepared = together[1].dataset.prepared
    paths = []
    for place, row in enumerate(together[1].examples[0].rows.tolist()):
        paths.append(folder / f"{place:03d}.png")
        paths[-1].write_bytes(prepared.image_bytes(row))
    return paths


def test_several_runs_mark_by_those_that_have_a_map(together):
    _, found = together
    assert [run.workdir.name for run in runs_with_map(found.bundle)] == ["coarse", "fine"]
    assert found.marked is not None
    assert found.calibration.marks == found.marked.point
    small, large, _ = (one.images() for one in found.examples)
    expected = finding_maps(found.bundle, small, large)
    assert_allclose(found.marked.maps, expected, atol=1e-6)
    coarse, fine, _ = found.bundle.runs
    assert found.marked.grid == map_grid(fine)
    assert np.abs(finding_maps(fine, large) - expected).max() > 1e-3
    assert np.abs(finding_maps(coarse, small).mean() - expected.mean()) > 1e-4
    boxes = np.concatenate(found.marked.marks.boxes)
    assert len(boxes) > 20
    assert np.ptp(boxes, axis=0).min() > 4  # of several places and sizes


def test_coco_results_without_a_mark_are_left_out_and_it_is_said(together, tmp_path):
    """`pycocotools` does not load an empty list; what an earlier evaluation left is removed."""
    _, found = together
    none = found.marked.marks.reaching(2.0)
    judged = none.take(found.marked.judged), found.marked.marked.findings
    bare = dataclasses.replace(found.marked, marks=none, marked=Marked.checked(*judged))
    said = io.StringIO()
    (tmp_path / "coco_results.json").touch()
    write_marks(tmp_path, found, bare, Console(file=said, width=200))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco_truth.json", "marks.csv"]
    assert "no mark at all: coco_results.json is not written" in said.getvalue()
    write_marks(tmp_path, found, found.marked, Console(file=said, width=200))
    truth = _coco(tmp_path / "coco_truth.json")
    with contextlib.redirect_stdout(io.StringIO()):
        results = truth.loadRes(str(tmp_path / "coco_results.json"))
    assert len(results.getAnnIds()) == sum(map(len, found.marked.marked.marks.scores))


def test_files_have_the_marks_of_their_evaluation_from_the_threshold_on(together, films):
    workdir, found = together
    gate = open_detector_gate(workdir, data_mesh())
    assert gate.marker is not None
    assert gate.marker.point == found.marked.point
    shown = found.marked.marks.reaching(found.marked.point.threshold)
    results = list(predict_files(Stages(gate), films))
    assert 0 < sum(map(len, shown.scores)) < sum(map(len, found.marked.marks.scores))
    for place, result in enumerate(results):
        assert result.size == (32, 32)
        assert result.marks is not None
        assert_allclose(result.marks.scores[0], shown.scores[place], atol=1e-6)
        assert_allclose(result.marks.boxes[0], shown.boxes[place], atol=1e-3)
        assert len(result.marks.outlines[0]) == len(shown.scores[place])


def test_marks_go_along_with_types(together, films, stages):
    gate = open_detector_gate(together[0], data_mesh())
    low = dataclasses.replace(gate.point, threshold=0.0)
    both = Stages(dataclasses.replace(gate, point=low), stages.classifier)
    for result, before in zip(
        predict_files(both, films[:5]), predict_files(Stages(gate), films[:5]), strict=True
    ):
        assert result.type in TYPES
        assert result.to_dict()["marks"] == before.to_dict()["marks"]


def _predict(workdir, paths, out, **options):
    text = io.StringIO()
    console = Console(file=text, width=80)
    predict_into(out, workdir, None, paths, data_mesh(), console, **options)
    written = json.loads((out / "predictions.json").read_text())
    with (out / "marks.csv").open(newline="") as file:
        return written, list(csv.DictReader(file)), text.getvalue()


def _coco(path) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_json_csv_coco_and_overlays_say_the_same(together, films, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(b"no picture")
    paths, out = [*films[:7], tmp_path / "cut.jpg"], tmp_path / "out"
    how = {"overlays": "called", "report": True, "coco": True}
    written, rows, text = _predict(together[0], paths, out, **how)
    point = together[1].marked.point
    assert written["marks_threshold"] == point.threshold
    assert written["marks_chosen"]["rule"] == point.rule
    assert [path.rpartition("/")[2] for path in written["maps_of"].split(", ")] == [
        "coarse",
        "fine",
    ]
    *read, unread = written["results"]
    assert "marks" not in unread
    listed = [(one["path"], mark) for one in read for mark in one["marks"]]
    assert len(listed) == len(rows) > 0
    for (path, mark), row in zip(listed, rows, strict=True):
        assert (path, mark["number"]) == (row["path"], int(row["number"]))
        assert mark["score"] == float(row["score"]) >= point.threshold
        box = [float(row[name]) for name in ("ymin", "xmin", "ymax", "xmax")]
        assert mark["box"] == box
        assert 0 <= min(box) < max(box) <= 32
        ends = np.array(mark["outline"])
        assert [*ends.min(axis=0), *ends.max(axis=0)] == box
    with (out / "predictions.csv").open(newline="") as file:
        counts = [row["marks"] for row in csv.DictReader(file)]
    assert counts == [*(str(len(one["marks"])) for one in read), ""]
    opened = _coco(out / "marks_coco.json")
    assert [one["file_name"] for one in opened.dataset["images"]] == [one["path"] for one in read]
    assert [one["score"] for one in opened.dataset["annotations"]] == [
        mark["score"] for _, mark in listed
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        again = opened.loadRes(opened.dataset["annotations"])
    assert len(again.getAnnIds()) == len(listed)
    drawn = {path.name[:6]: path for path in (out / "overlays").iterdir()}
    seen = [bool(one["marks"]) or one["decision"] == "fracture" for one in read]
    assert sorted(drawn) == [f"{row:06d}" for row, saw in enumerate(seen, 1) if saw]
    blue = tuple(bytes.fromhex(MARK[1:]))
    for row, one in enumerate(read, 1):
        if one["marks"]:
            with Image.open(drawn[f"{row:06d}"]) as image:
                assert blue in {colour for _, colour in image.getcolors(2**20) or ()}
    page = (out / "predictions.html").read_text("utf-8")
    assert "colours and marks are of the 2 of them that learnt where findings are" in page
    assert "Blue boxes are its marks" in page
    assert f"({point.rule})" in page
    marked = sum(bool(one["marks"]) for one in read)
    assert f"marked: {marked} of 7, with {len(listed)} marks" in text


def test_without_a_threshold_it_is_said_and_what_to_run(together, films, tmp_path):
    record = together[0] / "operating_point.json"
    kept = record.read_text()
    try:
        record.write_text(json.dumps(json.loads(kept) | {"marks": None}))
        written, rows, text = _predict(together[0], films[:4], tmp_path, coco=True)
    finally:
        record.write_text(kept)
    assert "so marks are shown from 0.5 on; run `fracjax evaluate --checkpoint" in text
    assert (written["marks_threshold"], written["marks_chosen"]) == (0.5, None)
    assert all(float(row["score"]) >= 0.5 for row in rows)


def test_a_coco_file_without_a_mark_opens(together, films, tmp_path):
    record = together[0] / "operating_point.json"
    kept = record.read_text()
    point = json.loads(kept)
    point["marks"]["threshold"] = "inf"
    try:
        record.write_text(json.dumps(point))
        written, rows, _ = _predict(together[0], films[:3], tmp_path, coco=True)
    finally:
        record.write_text(kept)
    assert rows == []
    assert [one["marks"] for one in written["results"]] == [[], [], []]
    opened = _coco(tmp_path / "marks_coco.json")
    assert (len(opened.getImgIds()), opened.getAnnIds()) == (3, [])


def test_coco_of_a_run_without_a_map_is_refused(runs, films, tmp_path):
    with pytest.raises(InputError, match=r"has no map of findings.* leave coco out"):
        predict_into(tmp_path / "out", runs[0], None, films[:1], data_mesh(), QUIET, coco=True)
    assert not list((tmp_path / "out").iterdir())


def test_a_detector_gives_the_marks_of_pictures_in_python(alone, films):
    detector = fracjax.load_detector(alone)
    gate = detector.gate
    assert gate.marker is not None
    assert gate.marker.point is not None
    assert detector.marks_threshold == gate.marker.point.threshold
    found = detector.predict(films[:9])
    files = predict_files(Stages(gate), films[:9])
    for one, file in zip(found, files, strict=True):
        expected = file.to_dict()["marks"]
        assert len(one.marks or ()) == len(expected)
        for mark, other in zip(one.marks or (), expected, strict=True):
            assert_allclose(mark["box"], other["box"], atol=0.011)
        assert one.probability == pytest.approx(file.probability, abs=1e-6)


def test_marks_are_in_pixels_of_the_picture_as_it_is_shown(alone, tmp_path):
    """A high picture, and the same one lying in its file, to be turned by EXIF."""
    upright = picture(3)
    lying, exif = Image.fromarray(np.rot90(upright).copy()), Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.png", exif=exif)
    Image.fromarray(upright).save(tmp_path / "upright.png")
    gate = open_detector_gate(alone, data_mesh())
    assert gate.marker is not None
    assert gate.marker.point is not None
    low = dataclasses.replace(gate.marker.point, threshold=0.0)
    gate = dataclasses.replace(gate, marker=dataclasses.replace(gate.marker, point=low))
    files = [tmp_path / "upright.png", tmp_path / "lying.png"]
    one, other = predict_files(Stages(gate), files)
    assert one.size == other.size == (96, 80)
    said = one.to_dict()
    assert (said["height"], said["width"]) == (96, 80)
    # A picture is made smaller before it is turned, which rounds otherwise by a grey level.
    boxes, turned = ({tuple(it["box"]) for it in of["marks"]} for of in (said, other.to_dict()))
    assert len(boxes & turned) > 0.6 * len(boxes | turned)
    ends = np.max([mark["box"] for mark in said["marks"]], axis=0)
    assert 80 < ends[2] <= 96
    assert ends[3] <= 80


def test_a_detector_without_a_threshold_of_marks_warns(alone, tmp_path):
    record = alone / "operating_point.json"
    kept = record.read_text()
    try:
        record.write_text(json.dumps(json.loads(kept) | {"marks": None}))
        with pytest.warns(UserWarning, match=r"shown from 0\.5 on; run `fracjax evaluate"):
            detector = fracjax.load_detector(alone)
    finally:
        record.write_text(kept)
    assert detector.marks_threshold == 0.5


def test_a_packed_run_carries_the_map_and_the_threshold_of_marks(
    alone, films, tmp_path, monkeypatch
):
    monkeypatch.setenv("FRACJAX_CACHE_DIR", str(tmp_path / "cache"))
    pack(alone, tmp_path / "packed.npz", data_mesh(), QUIET)
    detector = fracjax.load_detector(tmp_path / "packed.npz")
    assert detector.gate.marker is not None
    assert detector.gate.marker.point is not None
    assert detector.gate.marker.point.rule == "false_marks:0.5"
    images = open_dataset(open_run(alone, data_mesh()).meta.config.data)
    seen = images.part("validation", detector.gate.bundle.meta.form).images()
    both = (open_run(it, data_mesh()) for it in (alone, unpacked(tmp_path / "packed.npz")))
    own, there = (finding_maps(run, seen) for run in both)
    assert_allclose(there, own, atol=0.01)  # kernels are rounded
    assert detector.predict(films[0])[0].marks is not None


def test_a_detector_without_a_map_says_nothing_of_marks(lone_detector, films):
    detector = fracjax.load_detector(lone_detector)
    assert detector.marks_threshold is None
    assert [one.marks for one in detector.predict(films[:2])] == [None, None]
    (result,) = predict_files(Stages(detector.gate), films[:1])
    assert not {"marks", "height", "width"} & {*result.to_dict()}
