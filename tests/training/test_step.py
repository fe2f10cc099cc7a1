"""The training step: devices, padding, freezing, recompiles."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Augment, Freeze
from fracjax.pipeline.stream import BatchSource, training_batches
from fracjax.training.network import build_network
from fracjax.training.sharding import by_study, check_batch, data_mesh
from fracjax.training.step import make_train_step


@functools.cache  # compiling is what takes the time here
def _step(config, devices):
    mesh, network = data_mesh(devices), build_network(config)
    tx = network.optimizer(config.optim, steps=100)
    step = make_train_step(
        network.training_view, tx, image=network.image, policy=config.augment, mesh=mesh
    )
    return mesh, lambda: network.initial_state(tx, mesh), step


def _train(config, examples, *, devices=1, epochs=1):
    mesh, initial_state, step = _step(config, devices)
    state, losses = initial_state(), []
    for epoch in range(epochs):
        for batch in training_batches(examples, batch_size=8, seed=0, epoch=epoch):
            state, metrics = step(state, jax.device_put(batch, by_study(mesh)), jax.random.key(0))
            losses.append(float(metrics.compute()["loss"]))
    assert step._cache_size() == 1, "a step of the same shapes was compiled again"
    return state, losses


def test_one_device_equals_four(config, examples):
    one, losses_one = _train(config, examples, devices=1)
    four, losses_four = _train(config, examples, devices=4)
    assert_allclose(losses_one, losses_four, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5), one.params, four.params)
    jax.tree.map(
        lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5), one.batch_stats, four.batch_stats
    )


def test_same_seed_gives_the_same_bits(config, examples):
    first, again = _train(config, examples)[0], _train(config, examples)[0]
    jax.tree.map(assert_array_equal, first.params, again.params)


def test_frozen_leaves_are_bit_identical_and_the_others_move(config, examples):
    before = _step(config, 1)[1]()
    after = _train(config, examples, epochs=2)[0]
    for tree in ("params", "batch_stats"):
        ours, theirs = getattr(before, tree)["backbone"], getattr(after, tree)["backbone"]
        jax.tree.map(assert_array_equal, ours["block1"], theirs["block1"])
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), ours["block2"], theirs["block2"])
        assert all(jax.tree.leaves(moved)), moved


def test_the_loss_falls_on_pictures_that_differ_by_a_stripe(config, examples):
    losses = _train(config, examples, epochs=12)[1]
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3]), losses


def test_rows_that_are_not_valid_count_in_no_loss_and_no_gradient(config, examples):
    """Four studies beside four others that do not count are those four studies seen twice."""
    plain = dataclasses.replace(
        config,
        augment=Augment(),
        model=dataclasses.replace(config.model, dropout=0.0),
        freeze=Freeze(cut="head", batch_norm="frozen"),
    )
    mesh, initial_state, step = _step(plain, 1)
    beside = {**BatchSource(examples, np.arange(8), 8)[0], "valid": np.arange(8) < 4}
    beside["label"] = np.where(beside["valid"], beside["label"], 1 - beside["label"])
    twice = {**BatchSource(examples, np.arange(4), 8)[0], "valid": np.ones(8, bool)}
    key = jax.random.key(0)
    ours, m1 = step(initial_state(), jax.device_put(beside, by_study(mesh)), key)
    theirs, m2 = step(initial_state(), jax.device_put(twice, by_study(mesh)), key)
    assert_allclose(m1.compute()["loss"], m2.compute()["loss"], rtol=1e-6)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5), ours.params, theirs.params)


def test_metrics_are_means_over_valid_studies(config, examples):
    """20 studies in batches of 8: the mean over the epoch weighs every study once."""
    mesh, initial_state, step = _step(config, 1)
    state, total, seen = initial_state(), None, []
    for batch in training_batches(examples, batch_size=8, seed=0, epoch=0):
        state, metrics = step(state, jax.device_put(batch, by_study(mesh)), jax.random.key(0))
        seen.append((int(batch["valid"].sum()), float(metrics.compute()["loss"])))
        total = metrics if total is None else total.merge(metrics)
    assert [n for n, _ in seen] == [8, 8, 4]
    expected = sum(n * loss for n, loss in seen) / 20
    assert total is not None
    assert_allclose(total.compute()["loss"], expected, rtol=1e-6)


def test_frozen_weight_gradients_are_not_computed(config, examples):
    """XLA drops what nobody reads: freezing all but the head leaves little but the forward pass."""

    def flops(freeze):
        _mesh, initial_state, step = _step(dataclasses.replace(config, freeze=freeze), 1)
        batch = BatchSource(examples, np.arange(20), 8)[0]
        compiled = step.lower(initial_state(), batch, jax.random.key(0)).compile()
        return compiled.cost_analysis()["flops"]

    full = flops(Freeze(cut="none"))
    head = flops(Freeze(cut="head", batch_norm="frozen"))
    assert head < 0.5 * full, (head, full)


def test_a_batch_that_the_devices_cannot_share_is_refused():
    with pytest.raises(Exception, match=r"batch-size is 6, which 4 devices .* --data.batch-size 4"):
        check_batch(6, data_mesh(4))
