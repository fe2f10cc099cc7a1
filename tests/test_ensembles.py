"""Ensembles, folds and sweeps: what is written, and that stage 2 takes the first two as a run."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from rich.console import Console

from fracjax.config import Config, Ensemble, Model, Sweep
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.aggregate import mean
from fracjax.evaluation.temperature import scaled
from fracjax.inference.cascade import run_cascade
from fracjax.inference.evaluate_run import evaluate_run
from fracjax.inference.evaluation_request import EvaluationRequest
from fracjax.inference.model_bundle import open_run
from fracjax.inference.stages import open_detector_gate, open_stages
from fracjax.loading import dataset_view
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checks import check_workdir
from fracjax.training.loop import fit_members
from fracjax.workflows import train
from fracjax.workflows.compare import compare
from fracjax.workflows.evaluate import evaluate
from fracjax.workflows.sweep import show_sweep
from fracjax.workflows.two_stages import run_two_stages

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def runs(world, tmp_path_factory):
    """A detector of two members and a classifier of two folds, trained badly.

    In stream mode, whose program does not depend on the number of studies: members, folds and
    sweep of the detector are one program.
    """
    root = tmp_path_factory.mktemp("ensembles")
    streamed = dataclasses.replace(world.stage1.data, mode="stream")
    detector = dataclasses.replace(
        world.stage1, workdir=root / "detector", data=streamed, ensemble=Ensemble(members=2)
    )
    types = dataclasses.replace(world.stage2.data, filter=None)
    classifier = dataclasses.replace(world.stage2, workdir=root / "types", data=types, folds=2)
    for config in (detector, classifier):
        fit_members(config, QUIET)
    evaluate_run(EvaluationRequest(detector.workdir, "validation", calibrate=True), data_mesh())
    for config, part in ((detector, "test"), (classifier, "validation"), (classifier, "test")):
        evaluate(config.workdir, part, data_mesh(), QUIET, gallery=0)
    return detector, classifier


def _read(config: Config, part: str):
    folder = config.workdir / "evaluation" / part
    whole = Predictions.from_csv(folder / "predictions.csv")
    each = [Predictions.from_csv(folder / f"member_{i}.csv") for i in (1, 2)]
    return whole, each, json.loads((folder / "metrics.json").read_text())


def test_an_ensemble_predicts_the_mean_of_its_members(runs):
    whole, each, metrics = _read(runs[0], "test")
    temperature = metrics["temperature"]["value"]
    expected = scaled(mean(each), temperature).probabilities
    assert_allclose(whole.probabilities, expected, atol=1e-12)
    assert np.abs(each[0].probabilities - each[1].probabilities).max() > 1e-3
    assert metrics["source"]["networks"] == 2
    again = open_run(runs[0].workdir, data_mesh())
    examples = open_dataset(runs[0].data).part("test")
    assert_allclose(
        scaled(again.predict(examples), temperature).probabilities, expected, atol=1e-12
    )


def test_mean_and_standard_deviation_are_those_of_the_members(runs):
    for config, name in zip(runs, ("AUC", "accuracy"), strict=True):
        members = _read(config, "test")[2]["members"]
        values = [one[name]["value"] for one in members["each"]]
        spread = members["mean_and_sd"][name]
        assert spread["mean"] == pytest.approx(np.mean(values))
        assert spread["sd"] == pytest.approx(np.std(values, ddof=1))
        assert set(members["together"]) == {"mean of probabilities", "majority vote"}


def test_folds_validate_every_study_of_training_and_validation_once(runs):
    whole, each, metrics = _read(runs[1], "validation")
    dataset = open_dataset(runs[1].data)
    studies = [s for part in ("train", "validation") for s in dataset.part(part).study]
    assert sorted(whole.study) == sorted(studies)
    assert not set(each[0].study) & set(each[1].study)
    assert set(metrics["members"]["together"]) == {"all folds pooled"}
    assert metrics["figures"]["n"] == len(studies)


def test_a_fold_is_validated_by_the_network_that_did_not_train_on_it(runs):
    _, each, _ = _read(runs[1], "validation")
    for i, predictions in enumerate(each):
        trained = open_run(runs[1].workdir, data_mesh())
        fold = trained.metas[i].config.data.fold
        assert fold == f"{i + 1}/2"
        data = dataclasses.replace(runs[1].data, fold=fold)
        part = open_dataset(data).part("validation")
        assert part.study.tolist() == predictions.study.tolist()
        ours = trained.predict_with(i, part)
        assert_allclose(ours.probabilities, predictions.probabilities, atol=1e-12)


def test_stages_may_be_ensembles(runs):
    detector, classifier = runs
    front = open_detector_gate(detector.workdir, data_mesh())
    assert front.identity["epoch"] == [1, 1]
    cascade = run_cascade(open_stages(detector.workdir, classifier.workdir, data_mesh()), "test")
    whole, _, _ = _read(classifier, "test")
    assert_allclose(
        cascade.classifier.aligned_to(whole).probabilities, whole.probabilities, atol=1e-12
    )


def test_folds_have_no_validation_part_for_a_cascade(runs):
    with pytest.raises(InputError, match=r"folds of a cross-validation.*use the test part"):
        run_cascade(open_stages(runs[0].workdir, runs[1].workdir, data_mesh()), "validation")


def test_a_workdir_of_other_networks_is_refused(runs, tmp_path):
    """Evaluation takes all networks of a workdir: none may be left from another run."""
    detector, _ = runs
    alone = dataclasses.replace(detector, ensemble=Ensemble())
    with pytest.raises(InputError, match=r"other networks \(member_1, member_2\) than the 1"):
        fit_members(alone, QUIET)
    copy = shutil.copytree(detector.workdir, tmp_path / "copy")
    check_workdir(dataclasses.replace(detector, workdir=copy, ensemble=Ensemble(members=3)))
    shutil.copytree(copy / "member_2", copy / "member_3")  # as if it had been trained
    with pytest.raises(InputError, match=r"other networks \(member_3\) than the 2"):
        fit_members(dataclasses.replace(detector, workdir=copy), QUIET)


def test_the_folds_of_a_detector_are_no_detector(runs, tmp_path):
    config = dataclasses.replace(
        runs[0],
        workdir=tmp_path / "folds",
        ensemble=Ensemble(),
        folds=2,
    )
    fit_members(config, QUIET)
    evaluate_run(EvaluationRequest(config.workdir, "validation", calibrate=True), data_mesh())
    with pytest.raises(InputError, match=r"chosen on the scores of single networks"):
        evaluate(config.workdir, "test", data_mesh(), QUIET)
    with pytest.raises(InputError, match=r"train one network, or ensemble.members"):
        open_detector_gate(config.workdir, data_mesh())


def test_a_fold_of_other_studies_is_refused(runs, monkeypatch):
    """As after an update of the library that cuts them."""
    _, classifier = runs

    def cut(label, group, *, fold, seed, source):
        rows = np.arange(len(label))
        return rows[::2], rows[1::2]

    monkeypatch.setattr(dataset_view, "fold_indices", cut)
    with pytest.raises(InputError, match=r"was trained on split"):
        evaluate(classifier.workdir, "validation", data_mesh(), QUIET)


@pytest.mark.parametrize(
    "change",
    [lambda x: x.astype(np.float32) / 255, lambda x: x[:, :8], lambda x: x[..., 0]],
    ids=["scaled already", "another size", "no channel"],
)
def test_pictures_of_another_kind_are_refused(runs, change):
    trained = open_run(runs[0].workdir, data_mesh())
    examples = open_dataset(runs[0].data).part("test")
    bad = dataclasses.replace(examples, image=change(examples.images()), row=None)
    with pytest.raises(InputError, match=r"takes uint8\[n, 16, 16, 1\], values from 0 to 255"):
        trained.predict(bad)


@pytest.fixture(scope="module")
def sweep(runs):
    """A learning rate that no network survives, and one that trains, in the detector's program."""
    detector, _ = runs
    config = dataclasses.replace(
        detector,
        workdir=detector.workdir.with_name("sweep"),
        ensemble=Ensemble(),
        sweep=Sweep(learning_rates=(1e38, 3e-3)),
    )
    said = Console(record=True, width=200)
    return config, fit_members(config, said), said.export_text()


def test_a_run_that_diverges_ends_alone(sweep):
    config, metas, said = sweep
    assert [len(meta.history) for meta in metas] == [0, 1]
    assert metas[1].history[0]["learning_rate"] == pytest.approx(3e-3)
    assert re.search(r"lr_1e\+38_seed_0  diverged: the loss in epoch 1 is (nan|inf); it ends", said)
    again = fit_members(config, QUIET)  # it is tried again, to the same end
    assert [meta.history for meta in again] == [meta.history for meta in metas]


def test_a_sweep_ends_with_what_is_best_on_validation(sweep):
    config, metas, _ = sweep
    said = Console(record=True, width=200)
    show_sweep(config.workdir, metas, said)
    best = metas[1]
    text = said.export_text()
    assert "diverged in 1" in text
    assert f"of its runs {best.config.workdir} has the lowest, {best.best_loss:.4f} nats." in text
    assert f"next: fracjax evaluate --checkpoint {best.config.workdir} --split" in text
    kept = json.loads((config.workdir / "sweep.json").read_text())
    assert kept["best_run"] == str(best.config.workdir)
    assert kept["best_rate"] == best.config.phases[0].learning_rate
    assert [run["complete"] for run in kept["runs"]] == [False, True]
    assert open_run(Path(kept["best_run"]), data_mesh()).meta.best_loss == best.best_loss


def test_a_sweep_is_no_network(sweep, tmp_path):
    """Its runs are never averaged; who names it is told which of them is best."""
    config, metas, _ = sweep
    folder, mesh = config.workdir, data_mesh()
    data = dataclasses.replace(config.data, filter=folder)
    behind = dataclasses.replace(metas[0].config, workdir=tmp_path / "behind", data=data)
    uses = (
        lambda: open_run(folder, mesh),
        lambda: open_detector_gate(folder, mesh),
        lambda: evaluate(folder, "validation", mesh, QUIET),
        lambda: open_stages(folder, folder, mesh),
        lambda: compare(folder, folder, "test", mesh, QUIET, tmp_path / "comparison"),
        lambda: train.fit(behind, QUIET),
    )
    for use in uses:
        with pytest.raises(InputError) as refused:
            use()
        message = str(refused.value)
        assert f"{folder} is a sweep: 2 runs to compare, no networks to average" in message
        assert f"best on validation is {metas[1].config.workdir} (learning rate 0.003" in message
    with pytest.raises(InputError, match=r"stage 2 is a sweep: train it with `fracjax train`"):
        run_two_stages(metas[0].config, config, QUIET)


def test_a_sweep_may_grow_and_takes_no_other_run_into_its_folder(sweep):
    config, _, _ = sweep
    check_workdir(dataclasses.replace(config, sweep=Sweep((3e-3, 1e-2), seeds=2)))
    for other in (Ensemble(), Ensemble(members=2)):
        run = dataclasses.replace(config, sweep=Sweep(), ensemble=other)
        with pytest.raises(InputError, match=r"other networks \(lr_0.003_seed_0\) than"):
            check_workdir(run)
    changed = dataclasses.replace(config, model=Model(width=0.125, dropout=0.0))
    with pytest.raises(InputError, match=r"lr_0.003_seed_0 is the run of another config \(model.w"):
        check_workdir(changed)
