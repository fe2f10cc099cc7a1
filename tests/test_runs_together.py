"""Several runs that answer as one: the mean of what each says, calibrated on validation."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

import fracjax
from fracjax.cli.main import main, one_flag_each
from fracjax.config import Augment, Config, Data, Ensemble, Model
from fracjax.errors import InputError
from fracjax.evaluation import Predictions, choose_threshold
from fracjax.evaluation.temperature import fit_temperature, scale_probabilities
from fracjax.export.program import refuse_impossible
from fracjax.imaging.resize import decode
from fracjax.inference import calibration
from fracjax.inference.cascade import run_cascade
from fracjax.inference.ensemble_bundle import EnsembleBundle, open_bundle
from fracjax.inference.ensemble_folder import folder_of, join
from fracjax.inference.evaluate_run import evaluate_run
from fracjax.inference.evaluation_request import EvaluationRequest
from fracjax.inference.model_bundle import open_run
from fracjax.inference.predict_files import predict_files
from fracjax.inference.stages import Stages, open_detector_gate, open_stages
from fracjax.loading.dataset_view import open_dataset, seen_files
from fracjax.runtime.sharding import data_mesh
from fracjax.training import checkpoint, starting_run
from fracjax.training.checks import check_workdir
from fracjax.training.ensemble_configs import joined_runs
from fracjax.workflows.compare import compare
from fracjax.workflows.evaluate import evaluate
from fracjax.workflows.explain import explain_run
from fracjax.workflows.export import export_into
from fracjax.workflows.pack import pack
from fracjax.workflows.predict import predict_into
from fracjax.workflows.system_state import is_evaluated
from fracjax.workflows.systems import System
from tests.conftest import TYPES
from tests.datasets.trees import encode, picture, write
from tests.inference.conftest import save_untrained

QUIET = Console(quiet=True)


def _save(config: Config, **facts) -> Config:
    dataset = open_dataset(dataclasses.replace(config.data, fold=None))
    epoch = {"epoch": 1, "train_loss": 0.7, "validation_loss": 0.7}
    known = {"split_hash": dataset.split_hash, "seen_files": seen_files(dataset)}
    facts = {**known, "history": [epoch], **facts}
    save_untrained(config, channels=3 if config.data.channels == "colour" else 1, **facts)
    return config


@pytest.fixture(scope="session")
def together(phantoms, tmp_path_factory) -> tuple[list[Path], list[Path]]:
    """Two detectors that see images of two forms, and two classifiers; both pairs evaluated.

    The first detector is two networks, in float32 and one view, the second one in bfloat16 and two
    views. Nothing is trained.
    """
    root = tmp_path_factory.mktemp("together")
    small = Data(dir=phantoms, image_size=16, batch_size=8)
    large = dataclasses.replace(small, image_size=24, fit="pad", channels="colour", batch_size=4)
    tiny = Model(width=0.0625, dropout=0.0)
    one = Config(workdir=root / "one", data=small, model=tiny, ensemble=Ensemble(members=2))
    two = Config(
        workdir=root / "two",
        data=large,
        model=dataclasses.replace(tiny, precision="bfloat16"),
        augment=Augment(test_views="flip"),
    )
    types = {"name": "phantom_types", "classes": TYPES}
    three, four = (
        Config(workdir=root / name, data=dataclasses.replace(data, **types), model=tiny)
        for name, data in (
            ("types_1", small),
            ("types_2", dataclasses.replace(large, image_size=20)),
        )
    )
    for seed, config in enumerate((one, two, three, four)):
        _save(config, seed=seed, best_loss=0.5 + seed)
    detectors, classifiers = [one.workdir, two.workdir], [three.workdir, four.workdir]
    evaluate(detectors[::-1], "validation", data_mesh(), QUIET, gallery=2)
    request = EvaluationRequest(join(classifiers), "validation", calibrate=True)
    evaluate_run(request, data_mesh())
    return detectors, classifiers


def _alone(workdir: Path, part: str) -> Predictions:
    """What a run says by itself, unscaled."""
    run = open_run(workdir, data_mesh())
    dataset = open_dataset(run.meta.config.data)
    return run.predict(dataset.part(part, run.meta.form))


def _opened(together: tuple[list[Path], list[Path]]) -> Stages:
    return open_stages(folder_of(together[0]), folder_of(together[1]), data_mesh())


def _metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def test_probabilities_threshold_and_temperature_are_those_of_the_mean(together):
    """To the bit; a run of two networks has one vote as well."""
    detectors, _ = together
    folder = detectors[0].with_name("one+two")
    each = [_alone(run, "validation") for run in detectors]
    mean = np.mean([one.probabilities for one in each], axis=0)
    groups = each[0].groups
    temperature = fit_temperature(each[0].label, mean, groups).value
    expected = scale_probabilities(mean, temperature)
    point = choose_threshold("youden", each[0].label, expected[:, 1], groups)
    written = folder / "evaluation" / "validation"
    found = Predictions.from_csv(written / "predictions.csv")
    assert_array_equal(found.probabilities, expected)
    for number, one in enumerate(each, 1):
        member = Predictions.from_csv(written / f"member_{number}.csv")
        assert_array_equal(member.probabilities, one.probabilities)
    record = json.loads(calibration.path(folder).read_text())
    assert record["temperature"]["value"] == temperature
    assert record["operating_point"]["threshold"] == point.threshold
    assert np.abs(each[0].probabilities - each[1].probabilities).max() > 0.01


def test_test_only_reads_what_validation_chose(together):
    detectors, _ = together
    read = evaluate_run(EvaluationRequest(folder_of(detectors), "test"), data_mesh())
    each = [_alone(run, "test").probabilities for run in detectors]
    chosen = json.loads(calibration.path(folder_of(detectors)).read_text())
    temperature = chosen["temperature"]["value"]
    expected = scale_probabilities(np.mean(each, axis=0), temperature)
    assert_array_equal(read.predictions.probabilities, expected)
    assert read.calibration.point is not None
    assert read.calibration.point.threshold == chosen["operating_point"]["threshold"]


def test_each_run_keeps_its_own_form_views_and_precision(together):
    bundle = open_detector_gate(folder_of(together[0]), data_mesh()).bundle
    assert isinstance(bundle, EnsembleBundle)
    assert [(form.side, form.fit, form.channels) for form in bundle.forms] == [
        (16, "stretch", 1), (24, "pad", 3)
    ]  # fmt: skip
    assert bundle.test_views == (1, "flip")
    assert bundle.precision == ("float32", "bfloat16")
    record = json.loads(calibration.path(bundle.workdir).read_text())
    assert record["test_views"] == [1, "flip"]
    assert record["precision"] == ["float32", "bfloat16"]
    images = [np.zeros((3, f.side, f.side, f.channels), np.uint8) for f in bundle.forms]
    runs = [run.probabilities(own) for run, own in zip(bundle.runs, images, strict=True)]
    expected = scale_probabilities(np.mean(runs, axis=0), bundle.temperature)
    assert_array_equal(bundle.probabilities(*images), expected)


def test_the_order_of_the_runs_does_not_matter(together, tmp_path):
    """They were named in the other order by the fixture."""
    one, two = together[0]
    folder = one.with_name("one+two")
    assert folder_of([one, two]) == folder_of([two, one]) == folder_of(folder) == folder
    named = json.loads((folder / "ensemble.json").read_text())
    assert named == {"runs": ["../one", "../two"]}
    moved = write(tmp_path / "runs" / "one+two" / "ensemble.json", json.dumps(named).encode())
    assert joined_runs(moved.parent) == [tmp_path / "runs" / "one", tmp_path / "runs" / "two"]
    assert folder_of([one]) == folder_of(one) == one


def test_the_report_is_of_every_run(together):
    folder = folder_of(together[0]) / "evaluation" / "validation"
    found = _metrics(folder)
    source = found["source"]
    assert source["checkpoint"] == str(folder_of(together[0]))
    assert source["networks"] == 3
    assert (source["image_size"], source["test_views"]) == ([16, 24], [1, "flip"])
    assert [run["checkpoint"] for run in source["runs"]] == list(map(str, together[0]))
    assert [run["networks"] for run in source["runs"]] == [2, 1]
    assert source["classes"] == ["healthy", "fracture"]
    assert len(found["members"]["each"]) == 2
    said = (folder / "markdown" / "report.md").read_text()
    for words in (
        "run 1: 16×16 pixels, channels: 1",
        "run 2: 24×24 pixels, channels: 3",
        "the mean of 2 runs: run 1: basic_cnn, networks: 2",
        "mean of the probabilities of 3 networks of 2 runs, each run one vote",
        "2 runs on 12 studies each",
        f"the maps of the first alone, {together[0][0]}",
    ):
        assert words in said, words


def test_files_are_said_what_arrays_are(together, tmp_path):
    detectors, classifiers = together
    files = [write(tmp_path / f"{i}.png", encode(picture(i), "PNG")) for i in range(5)]
    stages = open_stages(folder_of(detectors), folder_of(classifiers), data_mesh())
    stages = dataclasses.replace(
        stages,
        detector=dataclasses.replace(
            stages.detector, point=dataclasses.replace(stages.detector.point, threshold=0.0)
        ),
    )
    found = list(predict_files(stages, files, keep_images=True))
    forms = [form for bundle in stages.bundles for form in bundle.forms]

    arrays = [np.stack([decode(file.read_bytes(), form) for file in files]) for form in forms]
    scores = stages.detector.bundle.probabilities(*arrays[:2])[:, 1]
    assert stages.classifier is not None
    types = stages.classifier.probabilities(*arrays[2:])
    assert_allclose(np.array([one.probability for one in found], float), scores, atol=1e-6, rtol=0)
    assert_allclose([list(one.types.values()) for one in found], types, atol=1e-6, rtol=0)
    assert [one.images[0].shape for one in found] == [(16, 16, 1)] * 5
    assert np.ptp(scores) > 1e-3


def test_predict_takes_several_workdirs_for_a_stage(together, tmp_path):
    detectors, classifiers = together
    write(tmp_path / "a.png", encode(picture(1), "PNG"))
    out = tmp_path / "out"
    how = {"report": True, "overlays": "all"}
    paths = [tmp_path / "a.png"]
    predict_into(out, detectors, classifiers, paths, data_mesh(), QUIET, **how)
    header = json.loads((out / "predictions.json").read_text())
    assert header["stage1"]["checkpoint"] == str(folder_of(detectors))
    assert [run["checkpoint"] for run in header["stage2"]["runs"]] == list(map(str, classifiers))
    assert header["maps_of"] == str(detectors[0])
    assert len(list((out / "overlays").iterdir())) == 1
    assert (
        f"the first of them alone looked at, {detectors[0]}"
        in (out / "predictions.html").read_text()
    )
    with pytest.raises(InputError, match=r"features are what enters the heads of one run, and .*"):
        predict_into(tmp_path / "f", detectors, None, paths, data_mesh(), QUIET, features=True)


def test_a_cascade_of_several_runs_is_that_of_their_means(together):
    classifiers = together[1]
    stages = _opened(together)
    cascade = run_cascade(stages, "test")
    assert stages.classifier is not None
    each = [_alone(run, "test").probabilities for run in classifiers]
    expected = scale_probabilities(np.mean(each, axis=0), stages.classifier.temperature)
    assert_array_equal(cascade.classifier.probabilities, expected)
    assert not stages.matched


def test_a_classifier_may_train_behind_several_detectors(together, tmp_path):
    gate = open_detector_gate(folder_of(together[0]), data_mesh())
    types = checkpoint.read_meta(together[1][0]).config
    behind = dataclasses.replace(types, workdir=tmp_path / "behind")
    _save(behind, behind=gate.identity)
    assert open_stages(folder_of(together[0]), behind.workdir, data_mesh()).matched
    dataset = open_dataset(types.data)
    passed = gate.passing(dataset, "test")
    run_1, run_2 = gate.bundle.runs
    each = [run.detect(dataset.part("test", run.meta.form)) for run in (run_1, run_2)]
    mean = np.mean([one.probabilities for one in each], axis=0)
    scores = scale_probabilities(mean, gate.bundle.temperature)[:, 1]
    assert_array_equal(passed, scores >= gate.point.threshold)


def test_runs_of_other_classes_splits_or_folds_are_refused_in_one_line(
    together, tmp_path, monkeypatch
):
    def unread(*_):
        raise AssertionError("arrays were read")

    monkeypatch.setattr(checkpoint, "restore_network", unread)
    one, two = together[0]
    other = checkpoint.read_meta(two).config

    def saved(name: str, **changes) -> Path:
        facts = {"split_hash": changes.pop("split_hash")} if "split_hash" in changes else {}
        data = dataclasses.replace(other.data, **changes)
        return _save(
            dataclasses.replace(other, workdir=tmp_path / name, data=data), **facts
        ).workdir

    split = saved("split", split_hash="another")
    fold = saved("fold", fold="1/2")
    for runs, said in (
        ([one, together[1][0]], r"they differ in classes: .*; they differ in the split: "),
        ([one, split], r"in the split: phantom \w+ \(.*one\) and phantom another \(.*split\)\. "),
        ([one, two, one], r"one is named twice\. Name runs of"),
        ([two, fold], r"fold is of a cross-validation"),
        ([two, folder_of([one, two])], r"one\+two stands for several runs itself: name these"),
        (
            [one, tmp_path / "none", tmp_path / "nil"],
            r"nil: it is not a run.*none: it is not a run",
        ),
    ):
        for use in (
            lambda runs=runs: evaluate(runs, "validation", data_mesh(), QUIET),
            lambda runs=runs: predict_into(tmp_path, runs, None, [tmp_path], data_mesh(), QUIET),
        ):
            with pytest.raises(InputError, match=said) as refused:
                use()
            assert "\n" not in str(refused.value)
    assert not list(one.parent.glob("*+types_1*"))


def test_runs_that_were_not_evaluated_together_say_what_to_type(together, tmp_path):
    (one, _), (three, _) = together
    third = dataclasses.replace(checkpoint.read_meta(together[0][1]).config, workdir=tmp_path / "x")
    _save(third)
    said = rf"fracjax evaluate --checkpoint {tmp_path / 'x'} {one} --split validation"
    with pytest.raises(InputError, match=said):
        folder_of([tmp_path / "x", one])
    stage1 = one.with_name("one+two")
    for use in (
        lambda: folder_of([]),
        lambda: fracjax.predict_files(tmp_path, stage1, [], out=tmp_path / "out"),
        lambda: export_into(tmp_path / "out", stage1, [], data_mesh(), QUIET),
    ):
        with pytest.raises(InputError, match=r"no run is named"):
            use()
    with pytest.raises(InputError, match=r"is a run itself; name another folder with --out"):
        join([one, tmp_path / "x"], three)
    with pytest.raises(
        InputError, match=r"one\+two stands for .*two, not for .*x, .*one; name another"
    ):
        join([one, tmp_path / "x"], folder_of(together[0]))
    assert join([one, tmp_path / "x"], tmp_path / "mine") == tmp_path / "mine"
    assert folder_of([one, tmp_path / "x"], tmp_path / "mine") == tmp_path / "mine"
    with pytest.raises(InputError, match=r"mine has no threshold yet; run `fracjax evaluate"):
        open_detector_gate(tmp_path / "mine", data_mesh())
    (tmp_path / "mine" / "ensemble.json").write_text('{"runs": ["../x"]}')
    with pytest.raises(InputError, match=r"ensemble.json is damaged: its runs are \['../x'\]"):
        open_bundle(tmp_path / "mine", data_mesh())


def test_rules_that_differ_are_for_the_user_to_choose_from(together, tmp_path):
    one = together[0][0]
    other = checkpoint.read_meta(together[0][1]).config
    other = dataclasses.replace(other, workdir=tmp_path / "other", threshold="fixed:0.5")
    _save(other)
    folder = join([one, other.workdir], tmp_path / "both")
    request = EvaluationRequest(folder, "validation", calibrate=True, views=1)
    with pytest.raises(InputError, match=r"by fixed:0.5 and by youden: write --threshold with"):
        evaluate_run(request, data_mesh())
    evaluate_run(dataclasses.replace(request, rule="fixed:0.5"), data_mesh())
    gate = open_detector_gate(folder, data_mesh())
    assert (gate.point.threshold, gate.bundle.test_views) == (0.5, 1)
    # Trained again since: the threshold is of networks that are gone.
    (other.workdir / "checkpoints").rename(tmp_path / "gone")
    _save(other, best_loss=0.25)
    with pytest.raises(
        InputError, match=r"not this checkpoint's: validation_loss is .*; run `frac"
    ):
        open_detector_gate(folder, data_mesh())


def test_a_stored_list_of_another_length_is_damaged(together, tmp_path):
    folder = join(together[0], tmp_path / "copy")
    record = json.loads(calibration.path(folder_of(together[0])).read_text())
    calibration.path(folder).write_text(json.dumps({**record, "test_views": [1, 1, 1]}))
    with pytest.raises(InputError, match=r"is damaged \(it holds \[1, 1, 1\] for 2 runs\)"):
        open_detector_gate(folder, data_mesh())
    calibration.path(folder).write_text(json.dumps({**record, "precision": ["float32", "x"]}))
    with pytest.raises(InputError, match=r"is damaged \(the precision is x\)"):
        open_detector_gate(folder, data_mesh())


def test_commands_of_one_run_refuse_the_folder_of_several(together, tmp_path):
    folder = folder_of(together[0])
    said = r"stands for 2 runs, and this takes one: name one of .*one, .*two"
    with pytest.raises(InputError, match=said):
        explain_run(folder, "test", data_mesh(), QUIET, tmp_path)
    with pytest.raises(InputError, match=said):
        open_run(folder, data_mesh())
    with pytest.raises(InputError, match=r"stands for 2 runs, which predict_files asks; a De"):
        fracjax.load_detector(folder)
    with pytest.raises(InputError, match=r"has 3 networks; name the folder of one to pack it"):
        pack(folder, tmp_path / "x.npz", data_mesh(), QUIET)
    config = checkpoint.read_meta(together[0][1]).config
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, weights=folder))
    with pytest.raises(InputError, match=r"model.weights is .*, a run of 2 networks; name one of"):
        starting_run.starting_run(config)
    with pytest.raises(InputError, match=r"\+two stands for other runs \(.*\); name another"):
        check_workdir(dataclasses.replace(config, workdir=folder))


def test_several_runs_are_compared_with_one_of_them(together, tmp_path):
    """Which asks whether the others are worth their time."""
    one, _ = together[0]
    evaluate_run(EvaluationRequest(one, "validation", calibrate=True, out=tmp_path), data_mesh())
    calibration.path(one).write_bytes(calibration.path(tmp_path).read_bytes())
    compare(one, folder_of(together[0]), "test", data_mesh(), QUIET, tmp_path / "comparison")
    found = _metrics(tmp_path / "comparison")
    assert found["source"]["second"]["networks"] == 3
    assert found["figures"]["n"] == 12


def test_another_dataset_is_seen_by_each_run_in_its_own_form(together, tmp_path):
    for i in range(6):
        name = ("healthy", "fracture")[i % 2]
        write(tmp_path / "on" / name / f"{i}.png", encode(picture(i), "PNG"))
    request = EvaluationRequest(folder_of(together[0]), "all", on=tmp_path / "on")
    found = evaluate_run(request, data_mesh())
    assert found.drift is not None
    bundle, names = found.bundle, found.predictions.study.tolist()
    each = [
        np.stack([decode((tmp_path / "on" / name).read_bytes(), form) for name in names])
        for form in bundle.forms
    ]
    assert isinstance(bundle, EnsembleBundle)
    assert_array_equal(found.predictions.probabilities, bundle.probabilities(*each))


def test_a_system_is_evaluated_whatever_the_order_of_its_configs(together):
    """`reproduce` reads that off the folder, in which the runs are by their paths."""
    one, two = together[0]
    config = checkpoint.read_meta(two).config
    there, folder = folder_of([one, two]), one.with_name("system")
    write(calibration.path(folder), calibration.path(there).read_bytes())
    metrics = there / "evaluation" / "validation" / "metrics.json"
    write(folder / "evaluation" / "validation" / "metrics.json", metrics.read_bytes())
    configs = [dataclasses.replace(config, workdir=run) for run in (two, one)]
    for order in (configs, configs[::-1]):
        assert is_evaluated(System("system", ("two", "one"), tuple(order)), "validation")


def test_the_folder_that_stands_for_them_has_its_results_where_a_run_has_them(together, tmp_path):
    """Whichever command named it: that of the runs with --out, or a later one."""
    runs, out = together[1], tmp_path / "types"
    for named, part, where in ((runs, "validation", out), (runs, "test", out), (out, "test", None)):
        folder = evaluate(named, part, data_mesh(), QUIET, gallery=0, out=where)
        assert folder == out / "evaluation" / part


def test_what_any_of_the_runs_started_from_counts_as_seen(together, tmp_path):
    first, second = open_bundle(folder_of(together[0]), data_mesh()).runs
    starts = [{"config": {}, "split_hash": name} for name in ("a", "b")]

    def started(run, *which):
        meta = dataclasses.replace(run.meta, started_from=[starts[i] for i in which])
        return dataclasses.replace(run, metas=(meta,))

    bundle = EnsembleBundle(tmp_path, (started(first, 0), started(second, 1, 0)))
    assert bundle.meta.started_from == starts


def test_the_front_takes_them_as_a_run(together):
    bundle = fracjax.open_run([str(run) for run in together[0]])
    assert isinstance(bundle, EnsembleBundle)
    assert bundle.temperature == 1
    assert bundle.workdir == folder_of(together[0])


def test_the_export_of_several_runs_has_an_input_for_each_form(together, tmp_path):
    """It is kept only if it says what the runs say, on images that it is given in all forms."""
    detectors, classifiers = together
    for i in range(3):
        write(tmp_path / "check" / f"{i}.png", encode(picture(i), "PNG"))
    out, mesh = tmp_path / "out", data_mesh()
    checked = export_into(out, detectors, classifiers, mesh, QUIET, check_on=tmp_path / "check")
    assert checked["jax_export"].differences["types"] <= 1e-5
    card = json.loads((out / "card.json").read_text())
    assert [(one["name"], one["side"]) for one in card["inputs"]] == [
        ("detector_pictures_1", 16), ("detector_pictures_2", 24),
        ("classifier_pictures_1", 16), ("classifier_pictures_2", 20),
    ]  # fmt: skip
    for stage, runs in (("stage1", detectors), ("stage2", classifiers)):
        assert [run["checkpoint"] for run in card[stage]["runs"]] == list(map(str, runs))
    stages = _opened(together)
    bundle = stages.detector.bundle
    assert isinstance(bundle, EnsembleBundle)
    drawn = dataclasses.replace(stages.detector, bundle=bundle.in_views((1, 3)))
    with pytest.raises(InputError, match=r"two averages over 3 views .*one\+two --split"):
        refuse_impossible(Stages(drawn))


@pytest.mark.parametrize(
    "words",
    [
        "evaluate --split test --checkpoint ONE TYPES",
        "cascade --stage1 ONE TYPES --stage2 TYPES",
        "cascade --stage2 ONE TYPES --stage1 ONE",
        "predict --stage1 ONE TYPES nowhere.png",
        "predict nowhere.png --stage1 ONE --stage2 ONE TYPES",
        "export --stage1 ONE TYPES",
        "export --stage1 ONE --stage2 ONE TYPES",
    ],
)
def test_every_command_takes_several_workdirs_for_a_stage(together, words, capsys):
    """And answers in one line where they cannot answer as one."""
    where = {"ONE": str(together[0][0]), "TYPES": str(together[1][0])}
    assert main([where.get(word) or word for word in words.split()]) == 2
    assert capsys.readouterr().err.count("cannot answer as one: they differ in classes") == 1


def test_paths_may_follow_the_runs_of_a_stage(together):
    one, two = map(str, together[0])
    folder = str(folder_of(together[0]))
    for words, expected in (
        (["--stage1", one, "x.png", "y"], ["--stage1", one, "x.png", "y"]),
        (["--stage1", one, two, "x.png"], ["--stage1", one, "--stage1", two, "x.png"]),
        (
            ["x.png", "--stage1", "nowhere", folder],
            ["x.png", "--stage1", "nowhere", "--stage1", folder],
        ),
        (["--stage1", one, "x.png", two], ["--stage1", one, "x.png", two]),
        (["--stage1", one, "--out", two, "x"], ["--stage1", one, "--out", two, "x"]),
    ):
        assert one_flag_each(words, "--stage1", "--stage2") == expected
