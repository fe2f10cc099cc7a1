"""The training step: padding, freezing, figures, the same bits again."""

import dataclasses
import functools

import jax
import numpy as np
import optax
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Augment, Freeze, Phase, Train
from fracjax.loading.streaming import BatchSource, training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh, replicated
from fracjax.training import freeze
from fracjax.training import step as training_step
from fracjax.training.model import init
from fracjax.training.step import StepSpec

RATE = np.float32(1e-3)


# A dense unit that is active for a whole batch has no gradient by its bias: BatchNorm takes the
# shift out. Adam makes whole steps of what rounding leaves there, so numbers that must agree to
# 1e-5 between programs are compared after plain gradient steps, which are Adam's input.
SGD = optax.identity()


def _spec(config, network, tx=None):
    """What `fit` would make a step of the first phase of."""
    plain = freeze.partial_updates(tx, network.freezes[0]) if tx else network.optimizer(0)
    return StepSpec(network.training_view(0), plain, config)


@functools.cache  # compiling is what takes the time here
def make_step(config, devices, tx=None):
    mesh, network = data_mesh(devices), init(config)
    one = _spec(config, network, tx)
    step = training_step.make_step(one, mesh)

    def initial_state():
        state = network.initial_state(0, mesh)
        opt_state = jax.device_put(one.tx.init(state.params), replicated(mesh))
        return dataclasses.replace(state, opt_state=opt_state)

    return mesh, initial_state, step


def train(config, examples, *, devices=1, epochs=1, tx=None, rate=RATE):
    mesh, initial_state, step = make_step(config, devices, tx)
    state, losses = initial_state(), []
    for epoch in range(epochs):
        for batch in training_batches(examples, batch_size=8, seed=0, epoch=epoch):
            state, metrics = step(
                state, jax.device_put(batch, batch_sharding(mesh)), jax.random.key(0), rate
            )
            losses.append(float(metrics.compute()["loss"]))
    return state, losses


def test_same_seed_gives_the_same_bits(config, examples):
    first, again = train(config, examples)[0], train(config, examples)[0]
    jax.tree.map(assert_array_equal, first.params, again.params)


def test_frozen_leaves_are_bit_identical_and_the_others_move(config, examples):
    before = make_step(config, 1)[1]()
    after = train(config, examples, epochs=2)[0]
    for tree in ("params", "batch_stats"):
        ours, theirs = getattr(before, tree)["backbone"], getattr(after, tree)["backbone"]
        jax.tree.map(assert_array_equal, ours["block1"], theirs["block1"])
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), ours["block2"], theirs["block2"])
        assert all(jax.tree.leaves(moved)), moved


def test_the_loss_falls_on_pictures_that_differ_by_a_stripe(config, examples):
    plain = dataclasses.replace(config, model=dataclasses.replace(config.model, dropout=0.0))
    losses = train(plain, examples, epochs=16)[1]
    assert np.mean(losses[-12:]) < 0.5 * np.mean(losses[:3]), losses


def test_rows_that_are_not_valid_count_in_no_loss_and_no_gradient(config, examples):
    """Four studies beside four others that do not count are those four studies seen twice."""
    plain = dataclasses.replace(
        config,
        augment=Augment(),
        model=dataclasses.replace(config.model, dropout=0.0),
        freeze=Freeze(batch_norm="frozen"),
        phases=(Phase(cut="head"),),
    )
    mesh, initial_state, step = make_step(plain, 1)
    beside = {**BatchSource(examples, np.arange(8), 8)[0], "valid": np.arange(8) < 4}
    beside["label"] = np.where(beside["valid"], beside["label"], 1 - beside["label"])
    twice = {**BatchSource(examples, np.arange(4), 8)[0], "valid": np.ones(8, bool)}
    key = jax.random.key(0)
    ours, m1 = step(initial_state(), jax.device_put(beside, batch_sharding(mesh)), key, RATE)
    theirs, m2 = step(initial_state(), jax.device_put(twice, batch_sharding(mesh)), key, RATE)
    assert_allclose(m1.compute()["loss"], m2.compute()["loss"], rtol=1e-6)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5), ours.params, theirs.params)


def test_metrics_are_means_over_valid_studies(config, examples):
    """20 studies in batches of 8: the mean over the epoch weighs every study once."""
    mesh, initial_state, step = make_step(config, 1)
    state, total, seen = initial_state(), None, []
    for batch in training_batches(examples, batch_size=8, seed=0, epoch=0):
        state, metrics = step(
            state, jax.device_put(batch, batch_sharding(mesh)), jax.random.key(0), RATE
        )
        seen.append((int(batch["valid"].sum()), float(metrics.compute()["loss"])))
        total = metrics if total is None else total.merge(metrics)
    assert [n for n, _ in seen] == [8, 8, 4]
    expected = sum(n * loss for n, loss in seen) / 20
    assert total is not None
    assert_allclose(total.compute()["loss"], expected, rtol=1e-6)


def test_frozen_weight_gradients_are_not_computed(config, examples):
    """XLA drops what nobody reads: freezing all but the head leaves little but the forward pass."""

    recipe = {"clip_norm": 1.0, "weight_decay": 0.1, "head_rate": 2.0}

    def flops(cut, batch_norm, **recipe):
        frozen = dataclasses.replace(
            config,
            augment=Augment(),
            freeze=Freeze(batch_norm=batch_norm),
            phases=(Phase(cut=cut, **recipe),),
        )
        _mesh, initial_state, step = make_step(frozen, 1)
        batch = BatchSource(examples, np.arange(20), 8)[0]
        compiled = step.lower(initial_state(), batch, jax.random.key(0), RATE).compile()
        return compiled.cost_analysis()["flops"]

    full = flops("none", "all")
    head = flops("head", "frozen")
    assert head < 0.5 * full, (head, full)
    # Not for a norm, nor for a decay either.
    assert flops("head", "frozen", **recipe) < 1.01 * head


def test_a_step_moves_the_average_after_the_network(config, examples):
    """By hand: parameters and statistics; frozen ones stay. The network itself is as without."""
    averaging = dataclasses.replace(config, train=Train(average=0.2))
    mesh, initial_state, step = make_step(averaging, 1)
    state = initial_state()
    frozen = jax.tree.map(np.asarray, state.params["backbone"]["block1"])
    expected = jax.tree.map(np.asarray, {"params": state.params, "batch_stats": state.batch_stats})
    batches = training_batches(examples, batch_size=8, seed=0, epoch=0)
    for number, batch in enumerate(batches, 1):
        placed = jax.device_put(batch, batch_sharding(mesh))
        state, _ = step(state, placed, jax.random.key(0), RATE)
        decay = min(0.2, (1 + number) / (10 + number))
        network = {"params": state.params, "batch_stats": state.batch_stats}
        expected = jax.tree.map(
            lambda old, new, d=decay: d * old + (1 - d) * np.asarray(new), expected, network
        )
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-7), state.average, expected)
    jax.tree.map(assert_array_equal, state.average["params"]["backbone"]["block1"], frozen)
    assert state.variables is state.average
    without, _ = train(config, examples)
    assert without.average == {}
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-6), state.params, without.params)
