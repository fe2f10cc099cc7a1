"""A run with the whole recipe on: what is kept, and that it goes on to the same bits."""

import dataclasses
import os
import signal

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from rich.console import Console

from fracjax.config import Augment, Config, Data, Loss, Model, Phase, Train
from fracjax.errors import InputError
from fracjax.inference.model_bundle import open_run, read_metas
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.sharding import data_mesh
from fracjax.runtime.termination import Ended
from fracjax.training.checkpoint import Checkpoints, read_meta
from fracjax.training.checks import check_workdir
from fracjax.training.starting_run import initial_arrays, starts_of
from tests.training.runs import cut_short, fit, saved

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def config(phantoms, tmp_path_factory) -> Config:
    """Two epochs of five steps each, the last of which is kept."""
    phase = Phase(
        epochs=2,
        learning_rate=3e-3,
        schedule="cosine",
        weight_decay=0.1,
        second_moment_decay=0.99,
        clip_norm=1.0,
        head_rate=2.0,
        block_decay=0.8,
    )
    return Config(
        workdir=tmp_path_factory.mktemp("recipe") / "straight",
        data=Data(dir=phantoms, image_size=16, batch_size=12),
        model=Model(width=0.0625, localise=True),
        augment=Augment(flip=True),
        loss=Loss(second_task=("bones",), second_weight=0.5),
        phases=(phase,),
        train=Train(keep="last", patience=1, average=0.9),
    )


@pytest.fixture(scope="module")
def straight(config):
    """What nothing disturbs."""
    return fit(config, QUIET)


def test_the_last_epoch_is_kept(config, straight):
    assert (straight.epoch, straight.best_epoch) == (2, 2)
    assert straight.best_loss == straight.history[-1]["validation_loss"]
    assert read_meta(config.workdir).epoch == 2
    first, last = (row["learning_rate"] for row in straight.history)
    assert first > last > 0


def test_the_average_is_kept_and_is_what_was_validated(config, straight):
    last, best = saved(config.workdir), saved(config.workdir, "best")
    jax.tree.map(assert_array_equal, best, last["average"])
    network = {name: last["params"][name] for name in best["params"]}
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), best["params"], network)
    assert all(jax.tree.leaves(moved))
    run = open_run(config.workdir, data_mesh())
    examples = open_dataset(config.data).part("validation")
    own = run.predict(examples).probabilities[np.arange(len(examples)), examples.label]
    assert -np.log(own).mean() == pytest.approx(straight.best_loss, rel=1e-5)


def test_a_second_task_is_learnt_beside_the_class_and_is_no_part_of_the_result(config, straight):
    assert straight.second_task == {"bones": ["1", "2"]}
    first, last = (row["train_second_loss"] for row in straight.history)
    assert last < first < 0.8  # nats; chance is 0.69
    assert saved(config.workdir)["params"].keys() == {"backbone", "head", "pyramid", "second"}


def test_a_map_is_learnt_from_outlines_and_is_part_of_the_result(config, straight):
    first, last = (row["train_outline_loss"] for row in straight.history)
    assert last < first
    assert saved(config.workdir, "best")["params"].keys() == {"backbone", "head", "pyramid"}


def test_a_run_that_starts_from_it_starts_from_the_average(config, straight, tmp_path):
    model = dataclasses.replace(config.model, weights=config.workdir)
    after = dataclasses.replace(config, workdir=tmp_path, model=model)
    start, _ = initial_arrays(after, starts_of(after), data_mesh())
    jax.tree.map(assert_array_equal, start, saved(config.workdir)["average"])


def test_it_goes_on_to_the_same_bits(config, straight, tmp_path):
    """Killed within its second epoch; there is no result before the end, and this is said.

    In stream mode up to there.
    """
    train = dataclasses.replace(config.train, checkpoint_steps=2)
    run = dataclasses.replace(config, workdir=tmp_path, train=train)
    streamed = dataclasses.replace(run, data=dataclasses.replace(run.data, mode="stream"))
    with cut_short(lambda meta: (meta.epoch, meta.step) == (1, 2)):
        fit(streamed, QUIET)
    with pytest.raises(InputError, match="a run that keeps its last epoch, and is not over"):
        read_metas(tmp_path)
    assert fit(run, QUIET).history == straight.history
    for which in ("last", "best"):
        jax.tree.map(assert_array_equal, saved(tmp_path, which), saved(config.workdir, which))


def test_an_epoch_that_ends_while_another_is_written_is_saved_at_the_latest_when_the_run_ends(
    config, straight, tmp_path, monkeypatch
):
    def busy(checkpoints):
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    run = dataclasses.replace(config, workdir=tmp_path)
    monkeypatch.setattr(Checkpoints, "is_writing_last", busy)
    with pytest.raises(Ended, match="is saved after epoch 1;"):
        fit(run, QUIET)
    assert read_meta(tmp_path, "last").epoch == 1
    assert fit(run, QUIET).history == straight.history
    for which in ("last", "best"):
        jax.tree.map(assert_array_equal, saved(tmp_path, which), saved(config.workdir, which))


def test_more_epochs_are_another_cosine(config, straight):
    longer = dataclasses.replace(config.phases[0], epochs=5)
    with pytest.raises(InputError, match=r"another config \(phases.0.epochs: 5 != 2"):
        check_workdir(dataclasses.replace(config, phases=(longer,)))
