"""What a prediction leaves on the disk and on the screen, and its exit codes."""

import csv
import io
import itertools
import json
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from rich.console import Console

import fracjax
from fracjax.cli.main import main
from fracjax.errors import InputError
from fracjax.imaging.resize import decode
from fracjax.inference import training_images
from fracjax.inference.feature_files import FeatureRows
from fracjax.inference.predict_files import predict_files
from fracjax.inference.prediction_files import FileShard, Result
from fracjax.inference.stages import Stages
from fracjax.runtime.atomic_files import to_json
from fracjax.runtime.sharding import data_mesh
from fracjax.runtime.workdir_lock import only_user
from fracjax.workflows import predict
from fracjax.workflows.predict import predict_into
from tests.datasets.dicoms import dicom
from tests.datasets.trees import encode, picture, write
from tests.inference.conftest import TYPES

STRANGE = 'left, "old"\n=1+1.png'


@pytest.fixture
def clinic(tmp_path) -> Path:
    """Ten files, two of them unreadable, one with a name that a CSV must quote."""
    folder = tmp_path / "clinic"
    for seed in range(6):
        write(folder / f"{seed}.png", encode(picture(seed), "PNG"))
    write(folder / "a" / "scan.dcm", dicom(picture(7)))
    write(folder / "a" / STRANGE, encode(picture(8), "PNG"))
    write(folder / "cut.jpg", encode(picture(9))[:-500])
    write(folder / "text.jpg", b"Dear colleague,")
    write(folder / "notes.txt", b"x")
    return folder


@pytest.fixture
def opened(stages, monkeypatch) -> None:
    """The runs are opened and compiled already."""
    monkeypatch.setattr(
        predict, "open_stages", lambda _, second, __: stages if second else Stages(stages.detector)
    )


def interrupted_after(count: int):
    """What stands for `predict_files`: its first results, then Ctrl-C."""

    def interrupted(*args, **named):
        yield from itertools.islice(predict_files(*args, **named), count)
        raise KeyboardInterrupt

    return interrupted


def _run(clinic: Path, runs, out: Path, **options):
    text = io.StringIO()
    console = Console(file=text, width=80)
    summary = predict_into(out, runs[0], runs[1], [clinic], data_mesh(), console, **options)
    return summary, text.getvalue()


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(
        newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("opened")
def test_csv_and_json_say_the_same_of_every_file(clinic, runs, stages, tmp_path):
    out = tmp_path / "out"
    summary, text = _run(clinic, runs, out)
    rows = _rows(out)
    written = json.loads((out / "predictions.json").read_text())
    results = list(predict_files(stages, [Path(row["path"]) for row in rows]))
    assert [Path(row["path"]).name for row in rows] == [
        *(f"{seed}.png" for seed in range(6)), "cut.jpg", "text.jpg", STRANGE, "scan.dcm"
    ]  # fmt: skip
    threshold = stages.detector.point.threshold
    for row, listed, result in zip(rows, written["results"], results, strict=True):
        assert listed == result.to_dict() | {"probability": listed["probability"],
                                             "types": listed["types"]}  # fmt: skip
        assert row["path"] == listed["path"]
        assert row["reason"] == listed["reason"]
        assert float(row["threshold"]) == threshold
        if listed["status"] == "unreadable":
            assert row["probability"] == row["decision"] == row["type"] == ""
            continue
        assert float(row["probability"]) == listed["probability"]
        assert row["decision"] == ("healthy", "fracture")[listed["probability"] >= threshold]
        assert row["type"] == (listed["type"] or "")
        for name in TYPES:
            assert row[f"p:{name}"] == (str(listed["types"][name]) if listed["types"] else "")
    assert {row["reason"].partition(":")[0] for row in rows} == {"", "truncated", "not a picture"}
    assert (summary.read, summary.unreadable) == (8, {"truncated": 1, "not a picture": 1})
    assert written["skipped"] == {str(clinic / "notes.txt"): "no image"}
    assert not (out / "overlays").exists()
    assert "10 files: 8 read, 2 unreadable" in text
    assert "truncated: 1" in text
    assert "images/s; the device waited for images" in text
    assert "Research code, not a medical device." in text


@pytest.mark.usefixtures("opened")
def test_a_folder_that_was_not_entered_has_a_row_and_loses_nothing(clinic, runs, tmp_path):
    (clinic / "a" / "back").symlink_to(clinic, target_is_directory=True)
    summary, text = _run(clinic, runs, tmp_path / "out")
    rows = _rows(tmp_path / "out")
    assert len(rows) == 11
    row = next(row for row in rows if row["status"] == "not entered")
    assert Path(row["path"]) == clinic / "a" / "back"
    assert row["reason"] == f"not entered: it is {clinic}, which is read already"
    assert (row["probability"], row["decision"]) == ("", "")
    assert (summary.read, summary.unreadable.total()) == (8, 2)
    assert "10 files: 8 read, 2 unreadable" in text
    assert "1 folders not entered, since they are read already" in text


@pytest.mark.usefixtures("opened")
def test_the_json_says_where_the_figures_come_from(clinic, runs, stages, tmp_path):
    _run(clinic, runs, tmp_path / "out")
    header = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert header["notice"] == "research code, not a medical device"
    assert header["fracjax"] == fracjax.__version__
    assert header["operating_point"] == to_json(stages.detector.point)
    assert header["stage1"]["checkpoint"] == str(runs[0])
    assert header["stage1"]["temperature"] == 1.7
    assert header["stage1"]["split_hash"] == "split"
    assert header["stage1"]["epoch"] == [1, 1]
    assert header["classes"] == {"negative": "healthy", "positive": "fracture"}
    assert header["stage2"]["classes"] == list(TYPES)
    assert header["trained_behind_this_detector"] is True
    assert header["complete"] is True
    assert header["unreadable"] == {"truncated": 1, "not a picture": 1}


@pytest.mark.usefixtures("opened")
def test_overlays_bear_the_row_of_their_file(clinic, runs, tmp_path):
    out = tmp_path / "out"
    _run(clinic, runs, out, overlays="called")
    rows = {i: row for i, row in enumerate(_rows(out), 1) if row["decision"] == "fracture"}
    overlays = sorted(path.name for path in (out / "overlays").iterdir())
    assert 0 < len(rows) < 8
    assert [int(name[:6]) for name in overlays] == list(rows)
    for name, row in zip(overlays, rows.values(), strict=True):
        stem = Path(row["path"]).stem
        assert name[7:-4] == (stem if stem.isalnum() else "left_old_1_1")
        with Image.open(out / "overlays" / name) as image:
            assert min(image.size) >= 384
    _run(clinic, runs, out, overlays="all", overwrite=True)
    assert len(list((out / "overlays").iterdir())) == 8
    _run(clinic, runs, out, overwrite=True)
    assert list((out / "overlays").iterdir()) == []  # none of an earlier run is left


@pytest.mark.usefixtures("opened")
def test_results_are_not_overwritten_unless_asked(clinic, runs, tmp_path):
    out = tmp_path / "out"
    write(out / "predictions.csv", b"another run's")
    with pytest.raises(
        InputError, match=r"already holds predictions.csv; name another .*overwrite"
    ):
        _run(clinic, runs, out)
    assert (out / "predictions.csv").read_bytes() == b"another run's"
    _run(clinic, runs, out, overwrite=True)
    assert len(_rows(out)) == 10


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        (["nowhere.png", "nothing"], {}, "nowhere.png: no such .*nothing: no such file or folder"),
        (["."], {"batch_size": 0}, "batch_size is 0; write 1 or more"),
        (["."], {"out": "a.png"}, "a.png is a file; name a folder"),
    ],
)
def test_what_is_wrong_is_said_before_a_network_is_opened(
    paths, options, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.png", b"x")
    with pytest.raises(InputError, match=message):
        predict_into(
            Path(options.pop("out", "out")),
            Path("no_run"),
            None,
            [Path(path) for path in paths],
            data_mesh(),
            Console(quiet=True),
            **options,
        )
    assert not Path("out").exists()


@pytest.mark.usefixtures("opened")
def test_what_was_finished_is_kept_when_it_is_interrupted(clinic, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "predict_files", interrupted_after(4))
    write(tmp_path / "out" / "predictions.json", b"of an earlier run")
    out = tmp_path / "out"
    said = f"interrupted: 4 of 10 files are in {out}/predictions.csv and predictions.json$"
    with pytest.raises(KeyboardInterrupt, match=said):
        _run(clinic, runs, out, overwrite=True)
    assert len(_rows(tmp_path / "out")) == 4
    written = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (written["complete"], written["files"], len(written["results"])) == (False, 10, 4)


def _as_first_of_two(monkeypatch, out: Path, meter: list[float] | None = None):
    """As if another process predicted the second half of the files, and was the slower one."""

    def allgather(ours):
        table, results = out / "predictions.csv", out / "predictions.json"
        for path in (table, results):  # it makes haste to have found nothing out of the ordinary
            path.with_name(f"{path.name}.0001").write_bytes(path.read_bytes())
        return [ours, meter]

    monkeypatch.setattr(predict, "process_index_count", lambda: (0, 2))
    monkeypatch.setattr(predict, "check_shared", lambda _: None)
    monkeypatch.setattr(predict, "allgather", allgather)


@pytest.mark.usefixtures("opened")
def test_all_files_of_several_processes_are_counted_by_the_slowest(
    clinic, runs, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    _as_first_of_two(monkeypatch, out, [500.0, 250.0])
    summary, text = _run(clinic, runs, out)
    written = json.loads((out / "predictions.json").read_text())
    assert (written["complete"], written["files"], len(written["results"])) == (True, 10, 10)
    assert summary.meter.seconds == 500
    assert "0.0 images/s; the device waited for images 50.0% of the time" in text
    assert sorted(path.name for path in out.iterdir()) == ["predictions.csv", "predictions.json"]


@pytest.mark.usefixtures("opened")
def test_an_interrupt_of_several_processes_names_what_the_others_left(
    clinic, runs, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    monkeypatch.setattr(predict, "predict_files", interrupted_after(1))
    _as_first_of_two(monkeypatch, out)
    with pytest.raises(
        KeyboardInterrupt, match=r"1 of 10 files .*; what other .*, predictions.csv.0001"
    ):
        _run(clinic, runs, out)
    written = json.loads((out / "predictions.json").read_text())
    assert (written["complete"], written["files"], len(written["results"])) == (False, 10, 1)
    for name in ("predictions.csv", "predictions.json"):
        (out / name).unlink()
    write(out / "predictions.csv.0001", b"")
    with pytest.raises(InputError, match=r"already holds predictions.csv.0001; name another"):
        _run(clinic, runs, out)


@pytest.mark.usefixtures("opened")
def test_a_folder_that_the_processes_do_not_share_is_refused(clinic, runs, tmp_path, monkeypatch):
    def raise_problems(folder):
        assert folder.is_dir()
        raise InputError("not shared")

    _as_first_of_two(monkeypatch, tmp_path / "out")
    monkeypatch.setattr(predict, "check_shared", raise_problems)
    with pytest.raises(InputError, match="not shared"):
        _run(clinic, runs, tmp_path / "out")


def test_each_line_is_on_the_disk_as_soon_as_its_file_is_done(tmp_path):
    """Also of a name that is no UTF-8."""
    odd = Path(os.fsdecode(b"caf\xe9.png"))
    with predict.results_table(tmp_path / "out.csv", np.inf) as add:
        add(Result(odd, probability=0.1 + 0.2, decision="healthy"))
        data = (tmp_path / "out.csv").read_bytes()
    header, line = data.splitlines()
    assert header == b"path,status,probability,threshold,decision,type,reason,note"
    assert line == b"caf\xe9.png,read,0.30000000000000004,inf,healthy,,,"


def test_the_command_from_folder_to_exit_code(clinic, runs, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    words = ["predict", "--stage1", str(runs[0]), str(clinic)]
    assert main(words) == 1
    said = capfd.readouterr()
    assert said.err == ""
    assert "predictions.csv and predictions.json are in predictions" in said.out
    assert len(_rows(tmp_path / "predictions")) == 10
    assert main([*words, "--overwrite", "--ignore-unreadable"]) == 0
    whole = ["predict", "--stage1", str(runs[0]), str(clinic / "0.png"), "--out", "whole"]
    assert main(whole) == 0


@pytest.mark.usefixtures("opened")
def test_a_page_shows_every_file_with_its_answer_and_where_the_threshold_is_from(
    clinic, runs, tmp_path
):
    odd = os.fsdecode(b"caf\xe9.png")
    write(clinic / odd, encode(picture(11), "PNG"))
    out = tmp_path / "out"
    _run(clinic, runs, out, report=True)
    text = (out / "predictions.html").read_text("utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    results = {one["row"]: one for one in json.loads(data[1])["results"]}
    rows = _rows(out)
    assert len(results) == len(rows) == 11
    for number, row in enumerate(rows, 1):
        one = results[number]
        assert one["decision"] == (row["decision"] or None)
        assert one["reason"] == row["reason"]
        assert (f'id="i{number}"' in text) == (row["status"] == "read")
        assert (f'id="o{number}"' in text) == (row["decision"] == "fracture")
    assert str(clinic / "caf\\xe9.png") in {one["path"] for one in results.values()}
    assert "chosen by the rule fixed:" in text
    assert "on the 20 validation studies of phantom, 10 of them fracture" in text
    assert "Whether images are like those of training is not known here" in text
    assert sorted(path.name for path in out.iterdir()) == [
        "predictions.csv", "predictions.html", "predictions.json"
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"already holds .*predictions.html"):
        _run(clinic, runs, out)
    _run(clinic, runs, out, overwrite=True)
    assert not (out / "predictions.html").exists()  # it would be an earlier run's


@pytest.mark.usefixtures("opened")
def test_an_image_unlike_those_of_training_is_noted(clinic, runs, stages, tmp_path, monkeypatch):
    form = stages.detector.bundle.meta.form
    training = np.stack([decode(encode(picture(seed), "PNG"), form) for seed in range(30)])
    known = training_images.ranges_of(training_images.measure(training), "split")
    monkeypatch.setattr(training_images, "read", lambda *_: known)
    write(clinic / "dark.png", encode(picture(3) // 10, "PNG"))
    _run(clinic, runs, tmp_path / "out", report=True)
    notes = {Path(row["path"]).name: row["note"] for row in _rows(tmp_path / "out")}
    assert notes["dark.png"].startswith("unlike the training images: darker (mean grey ")
    assert not any(notes[f"{seed}.png"] for seed in range(6))
    text = (tmp_path / "out" / "predictions.html").read_text("utf-8")
    assert "images are unlike the 30 of training" in text


@pytest.mark.usefixtures("opened")
def test_a_page_of_an_interrupted_prediction_says_so(clinic, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "predict_files", interrupted_after(1))
    with pytest.raises(KeyboardInterrupt):
        _run(clinic, runs, tmp_path / "out", report=True)
    text = (tmp_path / "out" / "predictions.html").read_text("utf-8")
    assert "Only 1 of 10 files were predicted" in text


@pytest.mark.usefixtures("opened")
def test_the_heads_make_the_scores_of_the_features(clinic, runs, stages, tmp_path):
    """With one view: of the detector's two networks, at its temperature, and of the classifier."""
    out = tmp_path / "out"
    _, text = _run(clinic, runs, out, features=True)
    rows, found = _rows(out), np.load(out / "features.npz")
    read = [i for i, row in enumerate(rows, 1) if row["status"] == "read"]
    typed = [i for i, row in enumerate(rows, 1) if row["type"]]
    assert found["row"].tolist() == read
    assert found["row_stage2"].tolist() == typed
    assert 0 < len(typed) < len(read) < len(rows)
    assert found["path"].tolist() == [rows[i - 1]["path"] for i in read]
    assert found["path_stage2"].tolist() == [rows[i - 1]["path"] for i in typed]
    detector, classifier = stages.bundles
    features, of_types = found["features"], found["features_stage2"]
    assert features.dtype == of_types.dtype == np.float32
    heads = [
        [jax.tree.map(np.asarray, own["params"]["head"]) for own in bundle.networks]
        for bundle in stages.bundles
    ]
    assert features.shape == (8, 2, heads[0][0]["kernel"].shape[0])
    assert of_types.shape == (len(typed), heads[1][0]["kernel"].shape[0])
    assert np.ptp(features, axis=0).max() > 0
    logits = [features[:, i] @ head["kernel"] + head["bias"] for i, head in enumerate(heads[0])]
    mean = np.mean([1 / (1 + np.exp(-one[:, 0])) for one in logits], axis=0)
    odds = (mean / (1 - mean)) ** (1 / detector.temperature)
    said = [float(rows[i - 1]["probability"]) for i in read]
    assert_allclose(odds / (1 + odds), said, atol=1e-5)
    powers = np.exp(of_types @ heads[1][0]["kernel"] + heads[1][0]["bias"])
    said = [[float(rows[i - 1][f"p:{name}"]) for name in TYPES] for i in typed]
    assert classifier.temperature == 1
    assert_allclose(powers / powers.sum(axis=1, keepdims=True), said, atol=1e-5)
    sizes = f"features 8 × 2 × {features.shape[2]}, features_stage2 {len(typed)} × "
    assert sizes in text
    assert sorted(path.name for path in out.iterdir()) == [
        "features.npz", "predictions.csv", "predictions.json"
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"already holds .*features.npz"):
        _run(clinic, runs, out)
    _run(clinic, runs, out, overwrite=True)
    assert not (out / "features.npz").exists()  # it would be an earlier run's


@pytest.mark.usefixtures("opened")
def test_features_of_an_interrupted_prediction_are_those_of_its_rows(
    clinic, runs, tmp_path, monkeypatch
):
    monkeypatch.setattr(predict, "predict_files", interrupted_after(3))
    with pytest.raises(KeyboardInterrupt):
        _run(clinic, runs, tmp_path / "out", features=True)
    found = np.load(tmp_path / "out" / "features.npz")
    assert found["path"].tolist() == [row["path"] for row in _rows(tmp_path / "out")]
    assert found["features"].shape[:2] == (3, 2)


def test_features_of_several_processes_are_joined(stages, tmp_path):
    """The third of their four files was not read."""
    bundle, vectors = stages.bundles[0], {}
    each = [FeatureRows(tmp_path, FileShard(index, 2, 4), [bundle]) for index in (0, 1)]
    for rows, numbers in zip(each, ((1, 2), (4,)), strict=True):
        for row in numbers:
            vectors[row] = np.full((2, _width(bundle)), row, np.float32)
            rows.add(row, Result(Path(f"{row}.png"), features=vectors[row]))
        rows.close()
    each[0].append()
    said = each[0].write([{"path": f"{row}.png"} for row in range(1, 5)])
    assert said == f"features 3 × 2 × {_width(bundle)} (files × numbers) in features.npz"
    found = np.load(tmp_path / "features.npz")
    assert found["row"].tolist() == [1, 2, 4]
    assert found["path"].tolist() == ["1.png", "2.png", "4.png"]
    np.testing.assert_array_equal(found["features"], list(vectors.values()))
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


def test_features_of_no_readable_file_are_an_empty_array(stages, tmp_path):
    rows = FeatureRows(tmp_path, FileShard(0, 1, 1), stages.bundles)
    rows.add(1, Result(tmp_path / "cut.jpg", "truncated: it ends early"))
    rows.close()
    rows.write([{"path": "cut.jpg"}])
    found = np.load(tmp_path / "features.npz")
    assert found["features"].shape == (0, 2, _width(stages.bundles[0]))
    assert found["features_stage2"].shape == (0, _width(stages.bundles[1]))
    assert found["path"].dtype.kind == "U"


def _width(bundle) -> int:
    return bundle.networks[0]["params"]["head"]["kernel"].shape[0]


def test_two_predictions_into_one_folder_do_not_mix(clinic, runs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    held = only_user(out, does="predicts into", instead="wait")
    with held, pytest.raises(InputError, match=r"predicts into .*name another --out"):
        _run(clinic, runs, out)
    assert not list(out.iterdir())
