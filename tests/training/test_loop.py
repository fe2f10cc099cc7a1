"""`fit`: checkpoints, early stopping, resume after a kill, bad input. On forty phantoms."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import jax
import pytest
from numpy.testing import assert_array_equal
from rich.console import Console

from fracjax import config as config_lib
from fracjax.config import Config, Data, Model, Optim, Train
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.errors import UserError
from fracjax.training import loop
from fracjax.training.checkpoint import Checkpoints, read_meta
from fracjax.training.loop import fit
from fracjax.training.network import build_network
from fracjax.training.sharding import data_mesh
from fracjax.training.trained import open_detector, open_trained

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
        optim=Optim(learning_rate=1e-3),
        train=Train(epochs=4, patience=4),
    )


@pytest.fixture(scope="module")
def straight(config):
    """A run of four epochs that nothing disturbed."""
    return fit(config, QUIET)


def _last_state(config):
    mesh = data_mesh()
    network = build_network(config)
    like = network.initial_state(network.optimizer(config.optim, steps=16), mesh)
    with Checkpoints(config.workdir) as checkpoints:
        found = checkpoints.last(like, mesh)
    assert found is not None
    return found


def test_a_run_leaves_config_checkpoints_history_and_events(config, straight):
    written = json.loads((config.workdir / "config.json").read_text())
    assert config_lib.from_dict(written) == config
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
    from fracjax.evaluation import auc
    from fracjax.pipeline.parts import open_dataset

    trained = open_trained(config.workdir, data_mesh())
    examples = open_dataset(trained.meta.config.data).part("validation")
    predictions = trained.predict(examples)
    row = straight.history[straight.best_epoch - 1]
    assert auc(predictions.label, predictions.fracture_score) == pytest.approx(
        row["validation_auc"], abs=1e-6
    )


def test_a_killed_run_continues_to_the_same_bits(config, straight, tmp_path):
    killed = dataclasses.replace(config, workdir=tmp_path / "killed")
    path = tmp_path / "killed.json"
    path.write_text(json.dumps(config_lib.to_dict(killed)))
    code = (
        "import json, sys\n"
        "from rich.console import Console\n"
        "from fracjax import config\n"
        "from fracjax.training.loop import fit\n"
        "fit(config.from_dict(json.load(open(sys.argv[1]))), Console())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], env=os.environ, stdout=subprocess.DEVNULL
    )
    # Kill it somewhere in the epochs that follow the first finished one.
    finished = tmp_path / "killed" / "checkpoints" / "last"
    deadline = time.monotonic() + 240
    while not any(p.name.isdigit() for p in finished.glob("*")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_meta(killed.workdir, "last").epoch < 4, "killed too late to show anything"
    meta = fit(killed, QUIET)
    assert meta.history == straight.history
    ours, theirs = _last_state(killed)[0], _last_state(config)[0]
    jax.tree.map(assert_array_equal, ours, theirs)


def test_a_finished_run_is_not_trained_again(config, straight):
    assert fit(config, QUIET).history == straight.history


def test_more_epochs_continue_a_finished_run(config, straight, tmp_path):
    """Two epochs, then four: the same bits as four at once."""
    short = dataclasses.replace(
        config, workdir=tmp_path / "run", train=dataclasses.replace(config.train, epochs=2)
    )
    assert fit(short, QUIET).epoch == 2
    longer = dataclasses.replace(short, train=config.train)
    assert fit(longer, QUIET).history == straight.history


def test_training_stops_after_the_patience_is_over(config, tmp_path):
    still = dataclasses.replace(
        config,
        workdir=tmp_path / "run",
        optim=Optim(learning_rate=1e-30),
        freeze=config_lib.Freeze(batch_norm="frozen"),
        train=Train(epochs=9, patience=2),
    )
    meta = fit(still, QUIET)
    assert (meta.epoch, meta.best_epoch) == (3, 1)


def test_a_workdir_of_another_config_is_refused_and_left_alone(config, straight):
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, width=0.125))
    with pytest.raises(UserError, match=r"model.width: 0.125 != 0.0625.*another --workdir"):
        fit(other, QUIET)
    assert config_lib.from_dict(json.loads((config.workdir / "config.json").read_text())) == config


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    config, straight, tmp_path, monkeypatch
):
    """The first two epochs are fine; then the learning rate explodes."""
    short = dataclasses.replace(
        config, workdir=tmp_path / "run", train=dataclasses.replace(config.train, epochs=2)
    )
    fit(short, QUIET)
    monkeypatch.setattr(loop, "MAY_CHANGE", (*loop.MAY_CHANGE, "optim."))
    bad = dataclasses.replace(short, optim=Optim(learning_rate=1e30), train=config.train)
    with pytest.raises(UserError, match=r"loss .* (nan|inf) .*step.*--optim.learning-rate"):
        fit(bad, QUIET)
    assert read_meta(short.workdir, "last").epoch == 2
    assert open_trained(short.workdir, data_mesh()).meta.epoch in (1, 2)


def test_a_missing_dataset_is_refused_before_a_workdir_is_made(config, tmp_path):
    away = dataclasses.replace(
        config, workdir=tmp_path / "run", data=dataclasses.replace(config.data, dir=tmp_path)
    )
    with pytest.raises(UserError, match=r"prepare_data.py phantom --data-dir"):
        fit(away, QUIET)
    assert not away.workdir.exists()


def test_a_class_that_the_dataset_has_not_is_refused(config, tmp_path):
    data = dataclasses.replace(config.data, classes=("healthy", "broken"))
    with pytest.raises(
        UserError, match=r"no class 'broken'; its classes are 'healthy', 'fracture'"
    ):
        fit(dataclasses.replace(config, workdir=tmp_path / "run", data=data), QUIET)


def test_cached_views_without_a_frozen_prefix_are_refused(config, tmp_path):
    freeze = config_lib.Freeze(cached_views=2)
    with pytest.raises(UserError, match=r"prefix that is wholly frozen.*cached-views 0"):
        fit(dataclasses.replace(config, workdir=tmp_path / "run", freeze=freeze), QUIET)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no best checkpoint in .*it is not a run"):
        open_trained(tmp_path, data_mesh())


def test_a_checkpoint_of_another_network_is_refused_with_every_difference(
    config, straight, tmp_path
):
    """The arrays on the disk and the config beside them must agree."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(config.workdir, copy)
    meta_path = next((copy / "checkpoints" / "best").glob("*/meta/metadata"))
    meta = json.loads(meta_path.read_text())
    meta["config"]["model"]["width"] = 0.125
    meta_path.write_text(json.dumps(meta))
    with pytest.raises(
        UserError, match=r"\(43 problems\)[\s\S]*block1/conv1/kernel: model .*, checkpoint"
    ):
        open_trained(copy, data_mesh())


def test_a_classifier_is_no_detector(config, straight, tmp_path, monkeypatch):
    from fracjax.training import trained

    meta = read_meta(config.workdir)
    data = dataclasses.replace(meta.config.data, classes=("a", "b", "c"))
    three = dataclasses.replace(meta, config=dataclasses.replace(meta.config, data=data))
    monkeypatch.setattr(trained.checkpoint, "read_meta", lambda _: three)
    with pytest.raises(UserError, match=r"no detector: it tells 3 classes apart \(a, b, c\)"):
        open_detector(config.workdir, data_mesh())
