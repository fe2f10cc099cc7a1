"""Several networks in one program are, each, what they would be alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

from fracjax.config import Augment, Config, Data, Ensemble, Freeze, Loss, Model, Phase, Train
from fracjax.loading.dataset_view import open_dataset
from fracjax.loading.streaming import training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh, replicated
from fracjax.training import freeze
from fracjax.training import step as training_step
from fracjax.training.checkpoint import read_meta
from fracjax.training.ensemble_configs import member_configs, member_dirs
from fracjax.training.loop import fit_members
from fracjax.training.model import init
from fracjax.training.step import StepSpec, make_step
from tests.training.runs import cut_short, fit

QUIET = Console(quiet=True)
SEEDS = (3, 4)
STEPS = 10
BATCH = 9  # of three folds two have a batch less than the third
RATES = np.array([0.0003, 0.001], np.float32)
SECOND = (2, 3)  # values of the columns that are learnt beside the class

# Plain gradient steps where two programs are compared: Adam makes whole steps of rounding noise,
# as `test_step.py` says.
SGD = optax.identity()


def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.fixture(scope="module")
def networks(config):
    """The same small CNN, with augmentation, dropout and an average, from two seeds."""
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, localise=True))
    own = [dataclasses.replace(config, train=Train(seed=seed, average=0.5)) for seed in SEEDS]
    return [init(one) for one in own]


@pytest.fixture(scope="module")
def recipe(networks):
    tx = freeze.partial_updates(SGD, networks[0].freezes[0])
    return StepSpec(networks[0].training_view(0), tx, networks[0].config, second=SECOND)


def _batches(examples, seed):
    """Ten batches in a member's own order, of all studies: few would leave BatchNorm little."""
    epochs = (training_batches(examples, batch_size=20, seed=seed, epoch=e) for e in range(STEPS))
    return [batch for epoch in epochs for batch in epoch]


def _initial(network, recipe, mesh):
    state = network.initial_state(0, mesh, SECOND)
    return dataclasses.replace(state, opt_state=recipe.tx.init(state.params))


@pytest.fixture(scope="module")
def each_alone(networks, recipe, outlined):
    """Each network by itself: its state and its losses."""
    mesh = data_mesh(1)
    step, out = make_step(recipe, mesh), []
    for network, seed, rate in zip(networks, SEEDS, RATES, strict=True):
        state, losses = jax.device_put(_initial(network, recipe, mesh), replicated(mesh)), []
        for batch in _batches(outlined, seed):
            placed = jax.device_put(batch, batch_sharding(mesh))
            state, metrics = step(state, placed, jax.random.key(seed), rate)
            losses.append(
                [
                    float(one.compute())
                    for one in (metrics.loss, metrics.second_loss, metrics.outline_loss)
                ]
            )
        out.append((state, losses))
    return out


def _together(networks, recipe, outlined, devices):
    mesh = data_mesh(devices)
    step = make_step(recipe, mesh, len(SEEDS))
    state = _stack([_initial(network, recipe, mesh) for network in networks])
    state = jax.device_put(state, replicated(mesh))
    keys = jnp.stack([jax.random.key(seed) for seed in SEEDS])
    losses = []
    for batches in zip(*(_batches(outlined, seed) for seed in SEEDS), strict=True):
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
        placed = jax.device_put(stacked, batch_sharding(mesh, axis=1))
        state, metrics = step(state, placed, keys, RATES)
        losses.append(
            [
                one.total / one.count
                for one in (metrics.loss, metrics.second_loss, metrics.outline_loss)
            ]
        )
    return state, np.array(losses).transpose(2, 0, 1)


BOTH_WAYS = pytest.mark.parametrize(
    ("one_by_one", "devices"),
    [(True, 1), (False, 4)],
    ids=["one by one", "vmap on 4 devices"],
)


@BOTH_WAYS
def test_member_i_equals_the_run_of_i_alone_over_ten_steps(
    networks, recipe, outlined, each_alone, one_by_one, devices, monkeypatch
):
    monkeypatch.setattr(training_step, "on_cpu", lambda: one_by_one)
    state, losses = _together(networks, recipe, outlined, devices)
    for i, (theirs, their_losses) in enumerate(each_alone):
        assert_allclose(losses[i], their_losses, rtol=1e-5, atol=1e-5)
        for tree in ("params", "batch_stats", "average"):
            jax.tree.map(
                lambda a, b, i=i: assert_allclose(a[i], b, rtol=1e-5, atol=1e-5),
                getattr(state, tree),
                getattr(theirs, tree),
            )
    assert_array_equal(state.step, [STEPS] * 2)
    head = np.asarray(state.params["head"]["kernel"])
    assert np.abs(head[0] - head[1]).max() > 0.01  # and they are different networks
    assert np.abs(np.asarray(state.params["second"]["kernel"])).min(axis=(1, 2)).min() > 0


@BOTH_WAYS
def test_a_network_without_a_valid_study_stays_as_it_is(
    networks, recipe, outlined, one_by_one, devices, monkeypatch
):
    monkeypatch.setattr(training_step, "on_cpu", lambda: one_by_one)
    mesh = data_mesh(devices)
    step = make_step(recipe, mesh, len(SEEDS))
    before = _stack([_initial(network, recipe, mesh) for network in networks])
    before = jax.device_put(before, replicated(mesh))
    batch = _batches(outlined, 0)[0]
    idle = {**batch, "valid": np.zeros_like(batch["valid"])}
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), batch, idle)
    placed = jax.device_put(stacked, batch_sharding(mesh, axis=1))
    kept = jax.tree.map(np.asarray, before)
    after, metrics = step(before, placed, jnp.stack([jax.random.key(0)] * 2), RATES)
    for tree in ("params", "batch_stats", "average"):
        jax.tree.map(
            lambda a, b: assert_array_equal(a[1], b[1]), vars(after)[tree], vars(kept)[tree]
        )
    assert_array_equal(after.step, [1, 0])
    assert_array_equal(metrics.loss.count, [20, 0])


# Whole runs


@pytest.fixture(scope="module")
def run(phantoms, tmp_path_factory) -> Config:
    """Two phases of an epoch; in stream mode three members and three folds are one program."""
    return Config(
        workdir=tmp_path_factory.mktemp("joint") / "run",
        data=Data(dir=phantoms, image_size=16, batch_size=BATCH, subset=0.7, mode="stream"),
        model=Model(width=0.0625, dropout=0.1),
        freeze=Freeze(batch_norm="above_cut"),
        augment=Augment(flip=True),
        loss=Loss(label_smoothing=0.05, class_weights="balanced", second_task=("bones",)),
        phases=(Phase(epochs=1, learning_rate=1e-3, cut="head"), Phase(1, 1e-3, "dense")),
    )


@pytest.fixture(scope="module")
def ensemble(run):
    """Three members, trained by nobody disturbed."""
    config = dataclasses.replace(run, ensemble=Ensemble(members=3))
    return config, fit_members(config, QUIET)


@pytest.fixture(scope="module")
def alone(ensemble, tmp_path_factory):
    """The second member, trained by its config alone, in a workdir where the first is not yet."""
    config = dataclasses.replace(ensemble[0], workdir=tmp_path_factory.mktemp("alone") / "run")
    return config, fit(member_configs(config)[1], QUIET)


def _same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-4), (name, a, b)


def test_a_member_of_an_ensemble_is_the_run_that_its_config_makes_alone(ensemble, alone):
    config, metas = ensemble
    second = member_configs(config)[1]
    assert second.train.seed == config.train.seed + 1
    _same(metas[1].history, alone[1].history)
    assert [row["phase"] for row in metas[1].history] == [1, 2]
    assert metas[0].history != metas[1].history
    assert all(row["train_second_loss"] < 0.8 for row in metas[1].history)  # chance is 0.69
    names = ["member_1", "member_2", "member_3"]
    assert [folder.name for folder in member_dirs(config.workdir)] == names
    assert read_meta(member_dirs(config.workdir)[1]).config == second


def test_networks_that_were_saved_at_different_epochs_meet_again(ensemble, alone):
    """The second is through its last phase; the first is killed in an epoch of resident mode."""
    config = alone[0]
    resident = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, mode="resident"),
        train=Train(checkpoint_steps=2),
    )
    with cut_short(lambda meta: meta.step == 2):
        fit_members(resident, QUIET)
    first, second = (read_meta(folder, "last") for folder in member_dirs(config.workdir)[:2])
    assert (first.epoch, first.step) == (0, 2)
    assert (second.epoch, second.step) == (2, 0)
    for ours, theirs in zip(fit_members(config, QUIET), ensemble[1], strict=True):
        _same(ours.history, theirs.history)


def test_a_finished_ensemble_is_not_trained_again(ensemble):
    config, metas = ensemble
    assert [meta.history for meta in fit_members(config, QUIET)] == [m.history for m in metas]


def test_a_fold_that_stands_idle_at_the_end_of_each_epoch_is_the_run_of_that_fold(run, tmp_path):
    config = dataclasses.replace(
        run,
        workdir=tmp_path / "folds",
        folds=3,
        data=dataclasses.replace(run.data, subset=1.0),
        phases=(Phase(epochs=2, learning_rate=1e-3, cut="dense"),),
    )
    configs = member_configs(config)
    steps = [-(-len(open_dataset(one.data).part("train")) // BATCH) for one in configs]
    assert min(steps) < max(steps), steps
    metas, shorter = fit_members(config, QUIET), steps.index(min(steps))
    own = dataclasses.replace(configs[shorter], workdir=tmp_path / "alone")
    _same(metas[shorter].history, fit(own, QUIET).history)
