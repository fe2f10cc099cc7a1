"""What is refused, and that nothing is kept that was not checked."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fracjax.errors import InputError
from fracjax.export import program
from fracjax.export.onnx import ONNX
from fracjax.export.program import STABLEHLO, inputs_of, refuse_impossible
from fracjax.export.verify import CheckImages, compare, images_of
from fracjax.inference.stages import Stages
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.sharding import data_mesh
from fracjax.workflows import export
from fracjax.workflows.export import export_into


@pytest.fixture(scope="module")
def pictures(stages, files) -> CheckImages:
    return images_of(stages, files[0].parent, None)


@pytest.fixture(scope="module")
def load(exported):
    return STABLEHLO.load(exported[0] / "cascade.jax")


def _changed(load, **changes):
    def program(*pictures):
        found = {name: np.asarray(array) for name, array in load(*pictures).items()}
        return found | {name: change(found[name]) for name, change in changes.items()}

    return program


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"types": lambda p: p + np.float32(1.25e-5)},
            r"types differs by 1.\de-05 in batches of 1 \(al",
        ),
        ({"probability": lambda p: p * np.float32("nan")}, "probability differs by nan in batches"),
        ({"called": lambda c: ~c}, "11 of 11 calls differ in batches of 1; .* in batches of 3"),
    ],
)
def test_an_export_that_says_something_else_is_refused(stages, load, pictures, changes, message):
    with pytest.raises(InputError, match=message):
        compare(stages, _changed(load, **changes), pictures)


def test_a_call_that_rounding_decides_is_counted_not_refused(stages, load, pictures):
    scores = np.asarray(load(*pictures.arrays)["probability"], np.float64)
    # A little above one score, which the program below then gives a little more.
    threshold = float(np.sort(scores)[5]) + 4e-6
    point = dataclasses.replace(stages.detector.point, threshold=threshold)
    near = Stages(dataclasses.replace(stages.detector, point=point), stages.classifier)

    def program(*pictures):
        found = _changed(load, probability=lambda p: p + np.float32(6e-6))(*pictures)
        return found | {"called": found["probability"] >= np.float32(threshold)}

    checked = compare(near, program, pictures)
    assert checked.undecided == 1
    assert checked.called == np.sum(scores >= threshold)

    def contradicting_itself(*pictures):
        found = program(*pictures)
        undecided = np.abs(found["probability"] - threshold) <= 1e-5
        return found | {"called": found["called"] ^ undecided}

    with pytest.raises(InputError, match="1 of 11 calls differ in batches of 1; 1 of 11 calls"):
        compare(near, contradicting_itself, pictures)


def _export(folder: Path, runs, files, **options):
    quiet = Console(quiet=True)
    check_on = files[0].parent
    return export_into(folder, runs[0], runs[1], data_mesh(), quiet, check_on=check_on, **options)


def _lowered_before(monkeypatch, exported, **changes) -> None:
    """Have the next export take the file of `exported` in place of lowering the stages again."""
    data = (exported[0] / "cascade.jax").read_bytes()
    again = dataclasses.replace(STABLEHLO, write=lambda _, path: path.write_bytes(data), **changes)
    monkeypatch.setattr(export, "STABLEHLO", again)


def test_an_export_that_fails_leaves_what_was_there(runs, files, exported, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    for made in exported[0].iterdir():
        (folder / made.name).write_bytes(made.read_bytes())
    with pytest.raises(InputError, match=r"already holds cascade.jax, card.json; name another"):
        _export(folder, runs, files)
    wrong = _changed(STABLEHLO.load(folder / "cascade.jax"), probability=lambda p: p + 1)
    _lowered_before(monkeypatch, exported, load=lambda _: wrong)
    with pytest.raises(
        InputError, match=r"probability differs by 1 in batches of 1.*nothing was ke"
    ):
        _export(folder, runs, files, overwrite=True)
    assert sorted(made.name for made in folder.iterdir()) == ["card.json", "cascade.jax"]
    for made in exported[0].iterdir():
        assert (folder / made.name).read_bytes() == made.read_bytes()


def test_what_no_export_can_be_is_refused_at_once(stages, monkeypatch):
    detector = dataclasses.replace(stages.detector.bundle, test_views=4)
    many = Stages(dataclasses.replace(stages.detector, bundle=detector), stages.classifier)
    monkeypatch.setattr(program, "_MOST_BYTES", 1000)
    with pytest.raises(InputError) as error:
        refuse_impossible(many)
    text = str(error.value)
    assert (
        "averages over 4 views of an image that are drawn, and an export sees it as it is" in text
    )
    assert f"--checkpoint {detector.workdir} --split validation --views 1` first" in text
    assert "one file holds less than 2 GiB; export the stages one by one" in text


def test_onnx_is_refused_without_its_packages_and_in_bfloat16(stages, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    detector = stages.detector.bundle.in_precision("bfloat16")
    detector = dataclasses.replace(detector, test_views="flip")
    with pytest.raises(InputError) as error:
        ONNX.refuse_impossible(Stages(dataclasses.replace(stages.detector, bundle=detector)))
    text = str(error.value)
    assert (
        r"--onnx needs jax2onnx and onnxruntime; install them with `pip install -e '.[onn" in text
    )
    assert "computes in bfloat16" in text
    assert "averages over the fixed views flip, which are written with JAX only" in text


def test_it_is_checked_on_the_validation_studies_unless_a_folder_is_named(stages, world, tmp_path):
    with pytest.raises(
        InputError, match=r"nothing to check the export on: .*'phantom' is not prep"
    ):
        images_of(stages, None, tmp_path)
    data_dir = world.stage1.data.dir
    with pytest.raises(InputError, match="was trained on split split, but"):
        images_of(stages, None, data_dir)
    detector = stages.detector.bundle
    dataset = open_dataset(detector.meta.config.data, data_dir)
    meta = dataclasses.replace(detector.meta, split_hash=dataset.split_hash)
    detector = dataclasses.replace(detector, metas=(meta,))
    known = Stages(dataclasses.replace(stages.detector, bundle=detector), stages.classifier)
    pictures = images_of(known, None, data_dir)
    assert pictures.source == "phantom, validation"
    held = dataset.indices("validation")
    expected = dataset.part("validation", inputs_of(known)["detector_pictures"]).images()
    assert np.array_equal(pictures.arrays[0][0], expected[0])
    assert np.array_equal(pictures.arrays[0][-1], expected[-1])
    assert len(pictures) == min(12, len(held))


def test_a_folder_of_damaged_files_is_nothing_to_check_on(stages, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"none of the 1 files tried in .* can be read"):
        images_of(stages, tmp_path, None)


def _onnx_in_card(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text())["files"]["onnx"]


def test_the_card_says_what_ran_the_onnx_model(runs, files, exported, tmp_path, monkeypatch):
    """The packages of the extra may not be there: others stand in for all that uses them."""
    load = STABLEHLO.load(exported[0] / "cascade.jax")
    stand_in = dataclasses.replace(
        ONNX,
        refuse_impossible=lambda _: None,
        write=lambda _, path: path.write_bytes(b"a model"),
        load=lambda _: load,
        provenance=lambda path: {"opset": path.read_text()},
    )
    monkeypatch.setattr(export, "ONNX", stand_in)
    _lowered_before(monkeypatch, exported)
    checked = _export(tmp_path, runs, files, onnx=True)
    assert checked["jax_export"].device == "cpu cpu"
    entry = _onnx_in_card(tmp_path)
    assert entry["checked"]["device"] == "onnxruntime CPUExecutionProvider"
    assert entry["opset"] == "a model"
    assert entry["bytes"] == 7


def test_onnx_says_what_the_checkpoints_say(runs, files, tmp_path):
    pytest.importorskip("jax2onnx", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    checked = _export(tmp_path, runs, files, onnx=True)["onnx"]
    assert max(checked.differences.values()) < 1e-5
    entry = _onnx_in_card(tmp_path)
    assert entry["versions"].keys() == {"jax2onnx", "onnx", "onnxruntime"}
    assert entry["versions"]["onnxruntime"] == onnxruntime.__version__
    assert entry["opset"]["ai.onnx"] >= 21
