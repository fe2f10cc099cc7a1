"""`fit`: checkpoints, early stopping, resume after a kill, bad input. On forty phantoms."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from rich.console import Console

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train, io
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.evaluation import auc
from fracjax.inference import model_bundle
from fracjax.inference.model_bundle import open_detector, open_run
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.sharding import data_mesh
from fracjax.training import checks, trainer
from fracjax.training.checkpoint import Checkpoints, read_meta
from fracjax.training.loop import fit
from fracjax.training.model import init

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare(Request(name="phantom", data_dir=folder, count=60, side=32))
    return folder


@pytest.fixture(scope="module")
def config(data_dir, tmp_path_factory) -> Config:
    return Config(
        workdir=tmp_path_factory.mktemp("runs") / "straight",
        data=Data(dir=data_dir, image_size=16, batch_size=16),
        model=Model(width=0.0625),
        phases=(Phase(epochs=4, learning_rate=1e-3),),
        train=Train(patience=4),
    )


@pytest.fixture(scope="module")
def straight(config):
    """A run of four epochs that nothing disturbed."""
    return fit(config, QUIET)


def _epochs(config, epochs):
    """The phases of a config of one phase, of so many epochs."""
    return (dataclasses.replace(config.phases[0], epochs=epochs),)


def _last_state(config):
    mesh = data_mesh()
    network = init(config)
    like = network.initial_state(0, mesh)
    with Checkpoints(config.workdir) as checkpoints:
        found = checkpoints.last(like, mesh)
    assert found is not None
    return found


def test_a_run_leaves_config_checkpoints_history_and_events(config, straight):
    written = json.loads((config.workdir / "config.json").read_text())
    assert io.from_dict(written) == config
    assert [row["epoch"] for row in straight.history] == [1, 2, 3, 4]
    losses = [row["validation_loss"] for row in straight.history]
    assert straight.best_loss == min(losses)
    assert losses[straight.best_epoch - 1] == min(losses)
    assert read_meta(config.workdir).epoch == straight.best_epoch
    assert read_meta(config.workdir, "last").epoch == 4
    assert json.loads((config.workdir / "history.json").read_text()) == straight.history
    assert list(config.workdir.glob("events.out.tfevents.*"))


def test_the_best_checkpoint_predicts_with_the_figures_of_its_epoch(config, straight):
    """The validation AUC of the best epoch comes back from the checkpoint alone."""
    run = open_run(config.workdir, data_mesh())
    examples = open_dataset(run.meta.config.data).part("validation")
    predictions = run.predict(examples)
    row = straight.history[straight.best_epoch - 1]
    assert auc(predictions.label, predictions.fracture_score) == pytest.approx(
        row["validation_auc"], abs=1e-6
    )


_DIE = """
import json, os, signal, sys
from rich.console import Console
from fracjax.config import io
from fracjax.training.checkpoint import Checkpoints
from fracjax.training.loop import fit
from fracjax.training.progress import Bar

def kill_before(method, when):
    original = method["of"].__dict__[method["name"]]
    def dies(self, *args):
        if when(*args):
            self._best.wait_until_finished() if hasattr(self, "_best") else None
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *args)
    setattr(method["of"], method["name"], dies)

if sys.argv[2] == "between the two saves of epoch 2":
    kill_before({"of": Checkpoints, "name": "save_last"}, lambda state, meta: meta.epoch == 2)
else:
    steps = []
    kill_before({"of": Bar, "name": "step"}, lambda loss, _: steps.append(loss) or len(steps) == 8)
fit(io.from_dict(json.load(open(sys.argv[1]))), Console(quiet=True))
"""


@pytest.mark.parametrize(
    ("moment", "finished"), [("between the two saves of epoch 2", 1), ("within epoch 3", 2)]
)
def test_a_killed_run_continues_to_the_same_bits(config, straight, tmp_path, moment, finished):
    assert straight.history[1]["validation_loss"] < straight.history[0]["validation_loss"]
    killed = dataclasses.replace(config, workdir=tmp_path / "killed")
    path = tmp_path / "killed.json"
    path.write_text(json.dumps(io.to_dict(killed)))
    process = subprocess.run([sys.executable, "-c", _DIE, str(path), moment], check=False)
    assert process.returncode == -signal.SIGKILL
    # Saving is asynchronous: a kill soon after an epoch may lose it.
    assert 1 <= read_meta(killed.workdir, "last").epoch <= finished
    assert read_meta(killed.workdir, "best").epoch == 2
    meta = fit(killed, QUIET)
    assert meta.history == straight.history
    ours, theirs = _last_state(killed)[0], _last_state(config)[0]
    jax.tree.map(assert_array_equal, ours, theirs)


def test_a_finished_run_is_not_trained_again(config, straight):
    assert fit(config, QUIET).history == straight.history


def test_more_epochs_continue_a_finished_run(config, straight, tmp_path):
    """Two epochs, then four: the same bits as four at once."""
    short = dataclasses.replace(config, workdir=tmp_path / "run", phases=_epochs(config, 2))
    assert fit(short, QUIET).epoch == 2
    longer = dataclasses.replace(short, phases=config.phases)
    assert fit(longer, QUIET).history == straight.history


def test_training_stops_after_the_patience_is_over(config, tmp_path):
    still = dataclasses.replace(
        config,
        workdir=tmp_path / "run",
        phases=(Phase(epochs=9, learning_rate=1e-30),),
        freeze=Freeze(batch_norm="frozen"),
        train=Train(patience=2),
    )
    meta = fit(still, QUIET)
    assert (meta.epoch, meta.best_epoch) == (3, 1)


def test_every_plateau_reduces_the_step_size(config, tmp_path):
    """Steps of 1e-30 move nothing, so that no epoch brings a lower loss."""
    still = dataclasses.replace(
        config,
        workdir=tmp_path / "run",
        phases=(Phase(epochs=9, learning_rate=1e-30, schedule="plateau"),),
        freeze=Freeze(batch_norm="frozen"),
        train=Train(patience=4, plateau_patience=2, plateau_factor=0.5),
    )
    rates = [row["learning_rate"] for row in fit(still, QUIET).history]
    assert rates == pytest.approx([1e-30, 1e-30, 1e-30, 5e-31, 5e-31], rel=1e-6)


def test_a_phase_trains_what_its_cut_says_and_resumes_to_the_same_bits(
    config, tmp_path, monkeypatch
):
    """The head, then all; cut short at the end of the first phase and within the second."""
    phases = (Phase(2, 1e-3, "head"), Phase(2, 1e-3, "none"))
    whole = dataclasses.replace(
        config, workdir=tmp_path / "whole", phases=phases, freeze=Freeze(batch_norm="above_cut")
    )
    straight = fit(whole, QUIET)
    assert [row["phase"] for row in straight.history] == [1, 1, 2, 2]
    first, _ = _last_state(dataclasses.replace(whole, phases=phases[1:]))
    initial = init(whole).initial_state(0, data_mesh()).params["backbone"]
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), initial, first.params["backbone"])
    assert all(jax.tree.leaves(moved))
    original = trainer.Trainer.finish_epoch
    for number in (2, 3):
        cut = dataclasses.replace(whole, workdir=tmp_path / f"cut{number}")

        def finish(self, *arguments, number=number):
            if self.meta.epoch == number:
                raise InterruptedError
            return original(self, *arguments)

        monkeypatch.setattr(trainer.Trainer, "finish_epoch", finish)
        with pytest.raises(InterruptedError):
            fit(cut, QUIET)
        monkeypatch.setattr(trainer.Trainer, "finish_epoch", original)
        if number == 2:  # nothing but the head has trained so far
            like = dataclasses.replace(cut, phases=phases[:1])
            kept = _last_state(like)[0].params["backbone"]
            jax.tree.map(assert_array_equal, kept, initial)
        assert fit(cut, QUIET).history == straight.history


def test_a_workdir_of_another_config_is_refused_and_left_alone(config, straight):
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, width=0.125))
    with pytest.raises(InputError, match=r"model.width: 0.125 != 0.0625.*another --workdir"):
        fit(other, QUIET)
    assert io.from_dict(json.loads((config.workdir / "config.json").read_text())) == config


def test_a_workdir_that_is_a_file_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file is a file; name a folder"):
        fit(dataclasses.replace(config, workdir=tmp_path / "file"), QUIET)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    config, straight, tmp_path, monkeypatch
):
    """The first two epochs are fine; then the learning rate explodes."""
    short = dataclasses.replace(config, workdir=tmp_path / "run", phases=_epochs(config, 2))
    fit(short, QUIET)
    monkeypatch.setattr(checks, "MAY_CHANGE", (*checks.MAY_CHANGE, "phases."))
    bad = dataclasses.replace(short, phases=(Phase(epochs=4, learning_rate=1e30),))
    with pytest.raises(
        InputError, match=r"loss .* (nan|inf); .*epoch are kept.*--phases.0.learning-rate"
    ):
        fit(bad, QUIET)
    assert read_meta(short.workdir, "last").epoch == 2
    assert open_run(short.workdir, data_mesh()).meta.epoch in (1, 2)


def test_what_a_loss_that_is_not_finite_advises_works(config, tmp_path):
    """No epoch was finished, so the same workdir takes the mended config."""
    bad = dataclasses.replace(
        config, workdir=tmp_path / "run", phases=(Phase(epochs=1, learning_rate=1e30),)
    )
    with pytest.raises(InputError, match=r"no epoch was finished; try a lower --phases.0.learn"):
        fit(bad, QUIET)
    assert fit(dataclasses.replace(bad, phases=_epochs(config, 1)), QUIET).epoch == 1


def test_cached_views_train_in_turn_resume_and_predict_from_pictures(config, tmp_path, monkeypatch):
    seen = []

    def batches(examples, **options):
        seen.append(examples.pictures())
        return original(examples, **options)

    original = trainer.training_batches
    monkeypatch.setattr(trainer, "training_batches", batches)
    cached = dataclasses.replace(
        config,
        workdir=tmp_path / "straight",
        data=dataclasses.replace(config.data, mode="stream"),
        model=dataclasses.replace(config.model, dropout=0.0),
        freeze=Freeze(batch_norm="above_cut", cached_views=2),
        augment=Augment(brightness=0.2),
        phases=(Phase(epochs=3, learning_rate=1e-3, cut="block2"),),
    )
    straight = fit(cached, QUIET)
    assert_array_equal(seen[0], seen[2])  # epoch e trains on view e mod 2
    assert np.abs(seen[0].astype(np.float32) - seen[1].astype(np.float32)).max() > 0.01
    assert len(list((cached.workdir / "features").iterdir())) == 3  # two views, and validation
    again = dataclasses.replace(cached, workdir=tmp_path / "resumed")
    fit(dataclasses.replace(again, phases=_epochs(cached, 2)), QUIET)
    assert fit(again, QUIET).history == straight.history
    run = open_run(cached.workdir, data_mesh())
    examples = open_dataset(cached.data).part("validation")
    loss = -np.log(run.predict(examples).probabilities[np.arange(9), examples.label]).mean()
    assert loss == pytest.approx(straight.best_loss, abs=2e-3)  # features are float16


def test_a_missing_dataset_is_refused_before_a_workdir_is_made(config, tmp_path):
    away = dataclasses.replace(
        config, workdir=tmp_path / "run", data=dataclasses.replace(config.data, dir=tmp_path)
    )
    with pytest.raises(InputError, match=r"prepare_data.py phantom --data-dir"):
        fit(away, QUIET)
    assert not away.workdir.exists()


def test_a_class_that_the_dataset_has_not_is_refused(config, tmp_path):
    data = dataclasses.replace(config.data, classes=("healthy", "broken"))
    with pytest.raises(
        InputError, match=r"no class 'broken'; its 2 classes are 'healthy', 'fracture'"
    ):
        fit(dataclasses.replace(config, workdir=tmp_path / "run", data=data), QUIET)


def test_cached_views_without_a_frozen_prefix_are_refused_and_the_advice_works(config, tmp_path):
    bad = dataclasses.replace(
        config,
        workdir=tmp_path / "run",
        freeze=Freeze(cached_views=2),
        phases=_epochs(config, 1),
    )
    with pytest.raises(InputError, match=r"prefix that is wholly frozen.*cached-views 0"):
        fit(bad, QUIET)
    assert fit(dataclasses.replace(bad, freeze=Freeze()), QUIET).epoch == 1


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no best checkpoint in .*it is not a run"):
        open_run(tmp_path, data_mesh())


def test_a_checkpoint_of_another_network_is_refused_with_every_difference(
    config, straight, tmp_path
):
    """The arrays on the disk and the config beside them must agree."""
    copy = tmp_path / "copy"
    shutil.copytree(config.workdir, copy)
    meta_path = next((copy / "checkpoints" / "best").glob("*/meta/metadata"))
    meta = json.loads(meta_path.read_text())
    meta["config"]["model"]["width"] = 0.125
    meta_path.write_text(json.dumps(meta))
    with pytest.raises(
        InputError, match=r"\(43 problems\)[\s\S]*block1/conv1/kernel: model .*, checkpoint"
    ):
        open_run(copy, data_mesh())


def test_a_classifier_is_no_detector(config, straight, tmp_path, monkeypatch):
    meta = read_meta(config.workdir)
    data = dataclasses.replace(meta.config.data, classes=("a", "b", "c"))
    three = dataclasses.replace(meta, config=dataclasses.replace(meta.config, data=data))
    monkeypatch.setattr(model_bundle.checkpoint, "read_meta", lambda _: three)
    with pytest.raises(InputError, match=r"no detector: it tells 3 classes apart \(a, b, c\)"):
        open_detector(config.workdir, data_mesh())
