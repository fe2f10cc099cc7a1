"""A run as one file: what is in it, what comes out of it, and what is refused."""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

import fracjax
from fracjax import InputError, load_detector
from fracjax.cli.main import main
from fracjax.evaluation import choose_threshold
from fracjax.inference import calibration, packed_run, training_images
from fracjax.inference.model_bundle import open_run
from fracjax.inference.packed_run import BUILT_IN, half, unpacked, write
from fracjax.inference.stages import open_detector_gate
from fracjax.inference.trained_dataset import open_as_trained
from fracjax.runtime.sharding import data_mesh
from fracjax.workflows.compare import compare
from fracjax.workflows.explain import explain_run
from fracjax.workflows.pack import pack
from fracjax.workflows.train import open_detector
from tests.datasets.trees import encode, picture
from tests.datasets.trees import write as write_file
from tests.pairs import run_pair

FILES = [encode(picture(seed), "PNG") for seed in range(11)]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("FRACJAX_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def packed(lone_detector, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "mine.npz"
    beside = [of.path(lone_detector) for of in (calibration, training_images)]
    run = open_run(lone_detector, data_mesh())
    write(path, run.meta, run.networks[0], beside, {"auc": 0.5})
    return path


def _changed(packed: Path, to: Path, **changes) -> Path:
    with np.load(packed) as file:
        kept = {name: file[name] for name in file.files} | changes
    np.savez(to, **{name: array for name, array in kept.items() if array is not None})  # pyright: ignore[reportArgumentType]
    return to


def test_kernels_are_float16_the_rest_float32_and_nothing_is_pickled(packed):
    with np.load(packed, allow_pickle=False) as file:
        kinds = {(file[name].ndim > 1, file[name].dtype.name) for name in file.files if "/" in name}
        record = json.loads(str(file["record"]))
    assert kinds == {(True, "float16"), (False, "float32")}
    assert record["figures"] == {"auc": 0.5}


def test_what_is_unpacked_is_the_run_with_its_kernels_rounded(packed, lone_detector):
    there = open_detector_gate(unpacked(packed), data_mesh())
    here = open_detector_gate(lone_detector, data_mesh())
    rounded = half(here.bundle.networks[0])
    jax.tree.map(np.testing.assert_array_equal, there.bundle.networks[0], rounded)
    assert (there.point, there.identity) == (here.point, here.identity)
    assert there.bundle.metas == here.bundle.metas


def test_it_is_unpacked_once_and_a_workdir_not_at_all(packed, lone_detector, own_cache):
    folder = unpacked(packed)
    assert folder.is_relative_to(own_cache)
    assert folder.name == "mine"
    (folder / "seen").touch()
    assert (unpacked(packed) / "seen").exists()
    assert unpacked(lone_detector) == lone_detector
    assert not list(own_cache.rglob("unfinished-*"))


# Two processes open one packed run.
PAIR = """
import sys
from pathlib import Path
from fracjax.cli.process import run_program
from fracjax.runtime.multihost import start

def main():
    start()
    from fracjax.inference.packed_run import unpacked
    from fracjax.inference.stages import open_detector_gate
    from fracjax.runtime.sharding import data_mesh

    gate = open_detector_gate(unpacked(Path(sys.argv[1])), data_mesh())
    print("threshold", gate.point.threshold)

run_program(main)
"""


def test_of_two_processes_the_first_unpacks_and_both_open_it(packed, tmp_path):
    environment = {"FRACJAX_CACHE_DIR": str(tmp_path / "cache")}
    ended = run_pair(tmp_path, "-c", PAIR, packed, **environment)
    assert [one.code for one in ended] == [0, 0], ended
    expected = f"threshold {load_detector(packed).threshold}"
    assert all(expected in one.out for one in ended)


def test_half_rounds_kernels_and_refuses_what_float16_cannot_hold():
    network = {"kernel": np.array([[1 + 2**-12, 65504.0]]), "bias": np.array([1 + 2**-12, 1e6])}
    rounded = half(network)
    assert rounded["kernel"].tolist() == [[1.0, 65504.0]]
    assert rounded["bias"].tolist() == np.array([1 + 2**-12, 1e6], np.float32).tolist()
    with pytest.raises(InputError, match=r"^kernel holds values up to 7e\+04, and float16 ends at"):
        half({"kernel": np.array([[7e4]])})


def _record(packed: Path, **changes) -> np.ndarray:
    with np.load(packed) as file:
        return np.array(json.dumps(json.loads(str(file["record"])) | changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": None}, r"is damaged, or no packed run \(KeyError: .*; pack the run again"),
        ({"record": np.array("{")}, r"is damaged, or no packed run \(JSONDecodeError"),
        ({"kernel": np.zeros((2, 2), np.float16)}, r"1 arrays of other shapes, such as kernel"),
        ({"record": np.array([None], object)}, r"is damaged, .*ValueError: Object arrays cannot"),
    ],
    ids=["no record", "no JSON", "an array too many", "pickled"],
)
def test_a_file_that_is_no_packed_run_is_refused(packed, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        unpacked(_changed(packed, tmp_path / "other.npz", **change))


def test_a_file_of_another_version_is_refused(packed, tmp_path):
    other = _changed(packed, tmp_path / "old.npz", record=_record(packed, version=0))
    with pytest.raises(InputError, match=r"old.npz: of versions \(0, \d+\), these are \(1, \d+\)"):
        unpacked(other)


def test_a_network_that_is_not_fracjaxs_own_is_refused_and_not_imported(packed, tmp_path):
    with np.load(packed) as file:
        meta = json.loads(str(file["record"]))["meta"]
    meta["config"]["model"]["name"] = "antigravity:Net"
    planted = _changed(packed, tmp_path / "p.npz", record=_record(packed, meta=meta))
    with pytest.raises(InputError, match=r"its network is antigravity:Net, none of fracjax's own"):
        unpacked(planted)
    assert "antigravity" not in sys.modules


def test_what_a_cleaning_of_the_cache_left_is_unpacked_again(packed):
    folder = unpacked(packed)
    gone = [folder / name for name in json.loads((folder / "unpacked.json").read_text())[::2]]
    for file in gone:
        file.unlink()
    assert unpacked(packed) == folder
    names = json.loads((folder / "unpacked.json").read_text())
    assert all((folder / name).is_file() for name in names)
    open_run(folder, data_mesh())


def test_what_was_changed_in_the_cache_is_unpacked_again(packed):
    folder = unpacked(packed)
    arrays = max(folder.glob("checkpoints/best/*/state/**/*"), key=lambda it: it.stat().st_size)
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[:-100] + bytes(100))
    assert unpacked(packed) == folder
    open_run(folder, data_mesh())


@pytest.mark.parametrize("name", ["../outside.json", "run.py", "/tmp/a.json"])
def test_a_file_that_would_write_elsewhere_is_refused(packed, tmp_path, name):
    planted = _changed(packed, tmp_path / "p.npz", record=_record(packed, beside={name: {}}))
    with pytest.raises(InputError, match=r"it holds files named"):
        unpacked(planted)


def test_values_that_are_not_finite_are_refused(packed, tmp_path):
    with np.load(packed) as file:
        name = next(name for name in file.files if name.endswith("kernel"))
        broken = np.full_like(file[name], np.nan)
    with pytest.raises(InputError, match=r"does not hold the network of its config \(not finite\)"):
        unpacked(_changed(packed, tmp_path / "nan.npz", **{name: broken}))


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_damaged_file_is_refused_and_leaves_nothing(packed, tmp_path, own_cache, where):
    data = bytearray(packed.read_bytes())
    at = int(where * len(data))
    data[at : at + 64] = bytes(64)
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(data)
    before = sorted(own_cache.rglob("*"))
    with pytest.raises(InputError, match=r"damaged.npz is damaged"):
        unpacked(damaged)
    assert [it for it in sorted(own_cache.rglob("*")) if it.is_file()] == [
        it for it in before if it.is_file()
    ]


def test_a_damaged_built_in_file_says_to_install_again(packed, tmp_path, monkeypatch):
    broken = tmp_path / "detector.npz"
    broken.write_bytes(b"no zip")
    monkeypatch.setattr(packed_run, "BUILT_IN", broken)
    with pytest.raises(InputError, match=r"is damaged.*; install fracjax again$"):
        unpacked(broken)


def test_without_a_cache_that_can_be_written_it_says_which_to_name(packed, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FRACJAX_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be written .*set FRACJAX_CACHE_DIR to a folder"):
        unpacked(packed)


def test_only_a_detector_of_one_network_is_packed_into_an_npz(runs, lone_detector, tmp_path):
    quiet = Console(quiet=True)
    for workdir, out, message in (
        (lone_detector, tmp_path / "a.zip", "a packed run is an .npz, found .*name it .*a.zip.npz"),
        (runs[0], tmp_path / "a.npz", "stage1 has 2 networks; name the folder of one"),
        (runs[1], tmp_path / "a.npz", "expected a detector of two classes"),
    ):
        with pytest.raises(InputError, match=message):
            pack(workdir, out, data_mesh(), quiet)
    again = rf"no threshold .*evaluate --checkpoint {lone_detector} .*--out {tmp_path}` first"
    with pytest.raises(InputError, match=again):
        pack(lone_detector, tmp_path / "a.npz", data_mesh(), quiet, calibrated=tmp_path)
    (tmp_path / "a.npz").touch()
    with pytest.raises(InputError, match=r"a\.npz is there already"):
        pack(lone_detector, tmp_path / "a.npz", data_mesh(), quiet)


@pytest.mark.parametrize("words", ["compare {0} {0}", "explain --checkpoint {0}"])
def test_results_of_a_packed_run_need_a_folder(packed, words, capsys):
    assert main([*words.format(packed).split(), "--split", "test"]) == 2
    assert "a packed run is a file: name a folder for the results with --out" in (
        capsys.readouterr().err
    )


def test_what_is_packed_is_calibrated_as_it_is_rounded(world, tmp_path):
    out, data = tmp_path / "new" / "phantom.npz", world.stage1.data.dir
    record = json.loads(calibration.path(world.stage1.workdir).read_text())
    record["operating_point"]["rule"] = "fixed:0.25"  # as of `evaluate --threshold --out there`
    elsewhere = tmp_path / "there"
    write_file(calibration.path(elsewhere), json.dumps(record).encode())
    how = {"data_dir": data, "calibrated": elsewhere}
    pack(world.stage1.workdir, out, data_mesh(), Console(quiet=True), **how)
    own, there = (
        open_detector_gate(it, data_mesh()) for it in (world.stage1.workdir, unpacked(out))
    )
    jax.tree.map(
        np.testing.assert_array_equal, there.bundle.networks[0], half(own.bundle.networks[0])
    )
    (meta,) = there.bundle.metas
    examples = open_as_trained(meta, data).part("validation", meta.form)
    scores = there.bundle.predict(examples).fracture_score
    chosen = choose_threshold("fixed:0.25", examples.label, scores, examples.group)
    assert chosen == there.point
    with np.load(out) as file:
        figures = json.loads(str(file["record"]))["figures"]
    assert figures["auc"]["value"] == pytest.approx(roc_auc_score(examples.label, scores))
    how = {"out": tmp_path / "figures", "data_dir": data}
    for one, other in ((world.stage1.workdir, out), (out, world.stage1.workdir)):
        fracjax.evaluate(one, "validation", **how)
        again = rf"figures are of other arrays .*`fracjax evaluate .*--out {how['out']}` first"
        with pytest.raises(InputError, match=again):
            fracjax.evaluate(other, "test", **how)
    assert fracjax.evaluate(out, "test", **how)["source"]["part"] == "test"
    where = data_mesh(), Console(quiet=True), tmp_path / "more"
    compare(world.stage1.workdir, out, "test", *where, data_dir=data)
    compared = json.loads((tmp_path / "more" / "metrics.json").read_text())["source"]
    assert compared["second"]["checkpoint"] == str(unpacked(out))
    explain_run(out, "test", *where, studies=1, data_dir=data)
    assert len(list((tmp_path / "more").glob("001_*.png"))) == 1


# By command


def test_predict_without_a_detector_takes_the_one_of_fracjax_and_says_so(tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(FILES[0])
    words = [
        "predict",
        str(tmp_path / "a.png"),
        "--out",
        str(tmp_path / "out"),
        "--batch-size",
        "1",
    ]
    assert main(words) == 0
    assert "stage 1 is the detector that comes with fracjax" in capsys.readouterr().out
    header = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (header["stage1"]["model"], header["stage1"]["image_size"]) == ("mobilenet_v2", 384)
    sha256 = hashlib.sha256(BUILT_IN.read_bytes()).hexdigest()[:16]
    of_fracjax = {"sha256": sha256, "built_in": f"fracjax {fracjax.__version__}"}
    assert header["stage1"]["packed"] == of_fracjax


def test_a_packed_run_is_taken_in_place_of_its_workdir(packed, tmp_path, lone_detector):
    (tmp_path / "a.png").write_bytes(FILES[0])
    found = []
    for run in (packed, lone_detector):
        csv = fracjax.predict_files(tmp_path / "a.png", run, out=tmp_path / run.name)
        header = json.loads(csv.with_suffix(".json").read_text())
        origin = {"sha256": unpacked(packed).parent.name, "built_in": None}
        assert header["stage1"]["packed"] == (origin if run is packed else None)
        found.append(float(csv.read_text().splitlines()[1].split(",")[2]))
    assert found[0] == pytest.approx(found[1], abs=0.02)  # kernels are rounded
    with pytest.raises(InputError, match=r"a packed run is a file: name a folder .* with --out"):
        fracjax.evaluate(packed, "validation")
    with pytest.raises(InputError, match=r"mine.npz: a packed run answers alone; name its workdir"):
        fracjax.predict_files(tmp_path / "a.png", [packed, lone_detector], out=tmp_path / "both")
    with pytest.raises(InputError, match=r"it is a file, and only what evaluates, applies or expl"):
        pack(packed, tmp_path / "again.npz", data_mesh(), Console(quiet=True))
    assert open_detector(packed, data_mesh()).point == load_detector(packed).gate.point


# From Python


def test_a_detector_says_of_files_bytes_and_pixels_what_the_run_does(packed, tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(FILES[0])
    pixels = np.asarray(picture(0))
    detector = load_detector(packed)
    of_file, of_text, of_bytes, of_pixels = detector.predict([path, str(path), FILES[0], pixels])
    for other in (of_text, of_bytes, of_pixels, *detector.predict(path)):
        assert (other.probability, other.decision) == (of_file.probability, of_file.decision)
        np.testing.assert_array_equal(other.features, of_file.features)


def test_more_pictures_than_a_batch_are_what_each_is_alone(packed):
    detector = load_detector(str(packed))
    assert len(FILES) > 8
    together = detector.predict(FILES)
    alone = [detector.predict(data)[0] for data in FILES]
    np.testing.assert_allclose(
        [it.probability for it in together], [it.probability for it in alone], rtol=1e-6
    )
    assert {it.decision for it in together} == {"healthy", "fracture"} == {*detector.classes}
    for it in together:
        assert (it.decision == "fracture") == (it.probability >= detector.threshold)
    assert detector.predict([]) == []


def test_features_times_the_head_are_the_probability(packed):
    detector = load_detector(packed)
    bundle = detector.gate.bundle
    (found,) = detector.predict(FILES[3])
    head = bundle.networks[0]["params"]["head"]
    logit = found.features @ np.ravel(head["kernel"]) + np.ravel(head["bias"])[0]
    expected = 1 / (1 + np.exp(-logit / bundle.temperature))
    assert found.probability == pytest.approx(expected, rel=1e-5)


def test_numbers_that_are_not_finite_are_no_answer(packed):
    detector = load_detector(packed)
    bundle = detector.gate.bundle
    broken = jax.tree.map(lambda leaf: leaf * np.nan, bundle.networks[0])
    gate = dataclasses.replace(
        detector.gate, bundle=dataclasses.replace(bundle, networks=(broken,))
    )
    with pytest.raises(InputError, match="not finite: its network is damaged; train it again"):
        dataclasses.replace(detector, gate=gate).predict(FILES[0])


def test_a_picture_unlike_those_of_training_has_a_note(packed):
    inside, white = load_detector(packed).predict([FILES[0], np.full((40, 40), 255, np.uint8)])
    assert inside.note == ""
    assert "unlike the training images: brighter" in white.note


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((8, 8), np.float32), r"expected uint8\[h, w\], .*, found float32\[8, 8\]"),
        (np.zeros((3, 8, 8), np.uint8), r"found uint8\[3, 8, 8\]"),
        (np.zeros((0, 8), np.uint8), r"found uint8\[0, 8\]"),
        (b"", "empty: zero bytes"),
        (b"text", "not a picture"),
        ("nowhere.png", "unreadable: "),
    ],
    ids=["float", "channels first", "empty", "no bytes", "no picture", "no file"],
)
def test_all_pictures_that_cannot_be_read_are_named_at_once(packed, wrong, message):
    with pytest.raises(InputError, match=rf"^2 of 3 not read: picture 0.*: .*{message}.*picture 2"):
        load_detector(packed).predict([wrong, FILES[0], wrong])


# The one that comes with fracjax


def test_the_built_in_detector_is_small_and_holds_what_its_card_says():
    assert BUILT_IN.stat().st_size <= 6 * 2**20
    detector = load_detector()
    assert detector.classes == ("normal", "fracture")
    assert 0 < detector.threshold < 1
    assert detector.training is not None
    assert detector.training.n == 2392
    with np.load(BUILT_IN, allow_pickle=False) as file:
        record = json.loads(str(file["record"]))
    card = BUILT_IN.with_suffix(".md").read_text()
    assert record["meta"]["split_hash"] in card
    assert f"{detector.threshold:.4f}" in card
    assert f"{detector.gate.bundle.temperature:.2f}" in card


def test_the_built_in_detector_answers():
    (found,) = load_detector().predict(np.asarray(picture(0)))
    assert 0 <= found.probability <= 1
    assert found.features.shape == (1280,)
    assert open_run(unpacked(BUILT_IN), data_mesh()).meta.config.model.name == "mobilenet_v2"
