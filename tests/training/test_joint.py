"""Several networks in one program are, each, what they would be alone."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

from fracjax.config import Augment, Config, Data, Ensemble, Freeze, Loss, Model, Phase, Train
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.loading.dataset_view import open_dataset
from fracjax.loading.streaming import training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh, replicated
from fracjax.training import freeze, loop
from fracjax.training.checkpoint import read_meta
from fracjax.training.ensemble_configs import member_configs, member_dirs
from fracjax.training.loop import fit, fit_members
from fracjax.training.model import init
from fracjax.training.step import StepSpec, make_joint_step, make_train_step

QUIET = Console(quiet=True)
SEEDS = (3, 4)
STEPS = 10
RATES = np.array([0.0003, 0.001], np.float32)

# Plain gradient steps where two programs are compared: Adam makes whole steps of rounding noise,
# as `test_step.py` says.
SGD = optax.identity()


def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.fixture(scope="module")
def networks(config):
    """The same small CNN, with augmentation and dropout, from two seeds."""
    return [init(dataclasses.replace(config, train=Train(seed=seed))) for seed in SEEDS]


@pytest.fixture(scope="module")
def recipe(config, networks):
    return StepSpec(
        view=networks[0].training_view(0),
        tx=freeze.partial_updates(SGD, networks[0].freezes[0]),
        image=networks[0].image,
        policy=config.augment,
    )


def _batches(examples, seed):
    """Ten batches in a member's own order, of all studies: few would leave BatchNorm little."""
    epochs = (training_batches(examples, batch_size=20, seed=seed, epoch=e) for e in range(STEPS))
    return [batch for epoch in epochs for batch in epoch]


def _initial(network, recipe, mesh):
    state = network.initial_state(0, mesh)
    return dataclasses.replace(state, opt_state=recipe.tx.init(state.params))


@pytest.fixture(scope="module")
def alone(networks, recipe, examples):
    """Each network by itself: its state and its losses."""
    mesh = data_mesh(1)
    step, out = make_train_step(recipe, mesh), []
    for network, seed, rate in zip(networks, SEEDS, RATES, strict=True):
        state, losses = jax.device_put(_initial(network, recipe, mesh), replicated(mesh)), []
        for batch in _batches(examples, seed):
            placed = jax.device_put(batch, batch_sharding(mesh))
            state, metrics = step(state, placed, jax.random.key(seed), rate)
            losses.append(float(metrics.compute()["loss"]))
        out.append((state, losses))
    return out


def _together(networks, recipe, examples, *, one_by_one, devices=1):
    mesh = data_mesh(devices)
    step = make_joint_step(recipe, mesh, one_by_one=one_by_one)
    state = _stack([_initial(network, recipe, mesh) for network in networks])
    state = jax.device_put(state, replicated(mesh))
    keys = jnp.stack([jax.random.key(seed) for seed in SEEDS])
    losses = []
    for batches in zip(*(_batches(examples, seed) for seed in SEEDS), strict=True):
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
        placed = jax.device_put(stacked, batch_sharding(mesh, axis=1))
        state, metrics = step(state, placed, keys, RATES)
        losses.append(np.asarray(metrics.loss.total / metrics.loss.count))
    assert step._cache_size() == 1, "a step of the same shapes was compiled again"
    return state, np.array(losses).T


@pytest.mark.parametrize(
    ("one_by_one", "devices"),
    [(True, 1), (False, 1), (True, 4)],
    ids=["one by one", "vmap", "4 devices"],
)
def test_member_i_equals_the_run_of_i_alone_over_ten_steps(
    networks, recipe, examples, alone, one_by_one, devices
):
    state, losses = _together(networks, recipe, examples, one_by_one=one_by_one, devices=devices)
    for i, (theirs, their_losses) in enumerate(alone):
        assert_allclose(losses[i], their_losses, rtol=1e-5, atol=1e-5)
        for tree in ("params", "batch_stats"):
            jax.tree.map(
                lambda a, b, i=i: assert_allclose(a[i], b, rtol=1e-5, atol=1e-5),
                getattr(state, tree),
                getattr(theirs, tree),
            )
    assert_array_equal(state.step, [STEPS] * 2)
    head = np.asarray(state.params["head"]["kernel"])
    assert np.abs(head[0] - head[1]).max() > 0.01  # and they are different networks


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_network_without_a_valid_study_stays_as_it_is(networks, recipe, examples, one_by_one):
    mesh = data_mesh(1)
    step = make_joint_step(recipe, mesh, one_by_one=one_by_one)
    before = _stack([_initial(network, recipe, mesh) for network in networks])
    before = jax.device_put(before, replicated(mesh))
    batch = _batches(examples, 0)[0]
    idle = {**batch, "valid": np.zeros_like(batch["valid"])}
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), batch, idle)
    placed = jax.device_put(stacked, batch_sharding(mesh, axis=1))
    kept = jax.tree.map(np.asarray, before)
    after, metrics = step(before, placed, jnp.stack([jax.random.key(0)] * 2), RATES)
    for tree in ("params", "batch_stats"):
        jax.tree.map(
            lambda a, b: assert_array_equal(a[1], b[1]), vars(after)[tree], vars(kept)[tree]
        )
    assert_array_equal(after.step, [1, 0])
    assert_array_equal(metrics.loss.count, [20, 0])


# Whole runs


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Config:
    """Two phases on forty phantoms; the first ends early."""
    folder = tmp_path_factory.mktemp("joint")
    prepare(Request(name="phantom", data_dir=folder / "data", count=60, side=32))
    return Config(
        workdir=folder / "run",
        data=Data(dir=folder / "data", image_size=16, batch_size=16),
        model=Model(width=0.0625, dropout=0.1),
        freeze=Freeze(batch_norm="above_cut"),
        augment=Augment(flip=True),
        loss=Loss(label_smoothing=0.05, class_weights="balanced"),
        phases=(Phase(epochs=2, learning_rate=1e-3, cut="dense"), Phase(2, 1e-3, "none")),
    )


@functools.cache
def _ensemble(run: Config):
    config = dataclasses.replace(
        run,
        workdir=run.workdir.with_name("ensemble"),
        data=dataclasses.replace(run.data, subset=0.7),
        ensemble=Ensemble(members=2),
    )
    return config, fit_members(config, QUIET)


def _same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-4), (name, a, b)


def test_a_member_of_an_ensemble_is_the_run_that_its_config_makes_alone(run, tmp_path):
    config, metas = _ensemble(run)
    second = member_configs(config)[1]
    assert second.train.seed == run.train.seed + 1
    alone = fit(dataclasses.replace(second, workdir=tmp_path / "alone"), QUIET)
    _same(metas[1].history, alone.history)
    assert [row["phase"] for row in alone.history] == [1, 1, 2, 2]
    assert metas[0].history != metas[1].history
    assert [p.name for p in member_dirs(config.workdir)] == ["member_1", "member_2"]
    assert read_meta(member_dirs(config.workdir)[1]).config == second


def test_folds_of_unequal_length_are_the_runs_of_each_fold(run, tmp_path, monkeypatch):
    """A fold may have a step less than another, and stands idle at the end of each epoch."""
    monkeypatch.setattr(loop, "data_mesh", lambda: data_mesh(1))  # four do not take fives
    config = dataclasses.replace(
        run,
        workdir=tmp_path / "folds",
        folds=2,
        data=dataclasses.replace(run.data, batch_size=5),
        phases=(Phase(epochs=1, learning_rate=1e-3),),
    )
    metas = fit_members(config, QUIET)
    studies = [len(open_dataset(one.data).part("train")) for one in member_configs(config)]
    steps = [-(-n // 5) for n in studies]
    assert min(steps) < max(steps), studies
    for i in range(2):
        one = dataclasses.replace(member_configs(config)[i], workdir=tmp_path / f"alone{i}")
        _same(metas[i].history, fit(one, QUIET).history)


def test_networks_that_were_saved_at_different_epochs_meet_again(run, tmp_path):
    """The first is through its last phase, while the second has not begun."""
    config, straight = _ensemble(run)
    again = dataclasses.replace(config, workdir=tmp_path / "again")
    fit(member_configs(again)[0], QUIET)
    resumed = fit_members(again, QUIET)
    for ours, theirs in zip(resumed, straight, strict=True):
        _same(ours.history, theirs.history)


def test_a_finished_ensemble_is_not_trained_again(run):
    config, metas = _ensemble(run)
    assert [meta.history for meta in fit_members(config, QUIET)] == [m.history for m in metas]
