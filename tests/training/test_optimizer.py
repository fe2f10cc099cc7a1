"""The optimiser of a phase: by hand, and as optax's own AdamW."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Config, Data, Model, Phase
from fracjax.errors import InputError
from fracjax.models.backbone import HEAD, leaf_name
from fracjax.models.build import build
from fracjax.training.checks import check_config
from fracjax.training.freeze import FREEZE, FreezeSpec, labels, partial_updates, partition
from fracjax.training.model import variables_of
from fracjax.training.optimizer import block_rates, kernels, make_optimizer
from fracjax.training.second_head import new_head
from fracjax.training.step import averaged

ALL = FreezeSpec(frozenset(), frozenset())
RATE = 0.01


def _network(name, image_size):
    model = Model(name=name, width=0.125 if name == "basic_cnn" else 1.0)
    return nnx.eval_shape(lambda: build(model, outputs=1, image_size=image_size, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def cnn():
    return _network("basic_cnn", 16)


@pytest.fixture(scope="module")
def params(cnn):
    rng = np.random.default_rng(0)
    shapes = variables_of(cnn)["params"]
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), shapes)


def _gradients(params, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), params)


def _updates(tx, params, gradients):
    """Of the first step."""
    return jax.jit(tx.update)(gradients, tx.init(params), params)[0]


def _by_name(tree):
    return {leaf_name(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def test_with_nothing_on_it_is_adam_alone(cnn, params):
    """Its state, too: a program of before is the program of now."""
    part = partition(cnn, "block3", "above_cut")
    ours = make_optimizer(Phase(), part, cnn.backbone.BLOCKS)
    adam = partial_updates(optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-7), part)
    assert jax.tree.structure(ours.init(params)) == jax.tree.structure(adam.init(params))
    gradients = _gradients(params, 1)
    found, expected = (_updates(tx, params, gradients) for tx in (ours, adam))
    jax.tree.map(assert_array_equal, found, expected)


# Weight decay


@pytest.mark.parametrize(
    ("name", "side", "spared"),
    [
        ("basic_cnn", 16, {"bias", "scale"}),
        ("vit_ti16", 32, {"bias", "scale", "position", "class_token"}),
    ],
)
def test_what_is_no_kernel_does_not_decay(name, side, spared):
    found = _by_name(kernels(variables_of(_network(name, side))["params"]))
    assert {path.split("/")[-1] for path, decays in found.items() if not decays} == spared
    assert {path.split("/")[-1] for path, decays in found.items() if decays} == {"kernel"}
    assert found["head/kernel"]


def test_without_a_gradient_the_decay_is_left_by_hand(cnn, params):
    tx = make_optimizer(Phase(weight_decay=0.25), ALL, cnn.backbone.BLOCKS)
    updates = _by_name(_updates(tx, params, jax.tree.map(jnp.zeros_like, params)))
    for name, value in _by_name(params).items():
        decayed = 0.25 * value if name.endswith("/kernel") else np.zeros_like(value)
        assert_array_equal(updates[name], decayed)


def test_steps_are_those_of_optax_adamw(cnn, params):
    """Three, the decay of second moments included; the learning rate multiplies the decay, too."""
    phase = Phase(weight_decay=0.05, second_moment_decay=0.95)
    ours = make_optimizer(phase, ALL, cnn.backbone.BLOCKS)
    kernels = jax.tree.map_with_path(lambda path, _: path[-1].key == "kernel", params)
    theirs = optax.adamw(RATE, b2=0.95, eps=1e-7, weight_decay=0.05, mask=kernels)

    @jax.jit
    def three(gradients):
        a, b, state_a, state_b = params, params, ours.init(params), theirs.init(params)
        for one in gradients:
            updates, state_a = ours.update(one, state_a, a)
            a = jax.tree.map(lambda p, u: p - RATE * u, a, updates)
            updates, state_b = theirs.update(one, state_b, b)
            b = optax.apply_updates(b, updates)
        return a, b

    a, b = three([_gradients(params, seed) for seed in range(3)])
    jax.tree.map(lambda x, y: assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)


# Clipping


def test_the_gradient_is_clipped_by_the_norm_of_what_trains(cnn, params):
    """Frozen leaves have no finite gradient here, and nobody reads it.

    Adam's first moments after one step are a tenth of the gradients that it was given.
    """
    part = partition(cnn, "dense", "above_cut")
    frozen = jax.tree.map(lambda label: label == FREEZE, labels(params, part))
    gradients = jax.tree.map(
        lambda g, is_frozen: g * np.nan if is_frozen else g, _gradients(params, 3), frozen
    )
    trained = {n: g for n, g in _by_name(gradients).items() if n not in part.frozen}
    norm = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in trained.values()))
    assert norm > 10
    for limit, factor in ((2.0, 2.0 / norm), (2 * norm, 1.0)):
        tx = make_optimizer(Phase(clip_norm=limit), part, cnn.backbone.BLOCKS)
        updates, state = jax.jit(tx.update)(gradients, tx.init(params), params)
        moments = _by_name(optax.tree.get(state, "mu"))
        assert moments.keys() == trained.keys()
        for name, gradient in trained.items():
            assert_allclose(moments[name], 0.1 * factor * gradient, rtol=1e-5)
        updates = _by_name(updates)
        assert all(not updates[name].any() for name in part.frozen)


# Learning rates of parts


def test_rates_fall_by_block_from_the_head_down():
    phase = Phase(head_rate=10.0, block_decay=0.5)
    expected = {"a": 0.125, "b": 0.25, "c": 0.5, HEAD: 10.0}
    assert block_rates(phase, ("a", "b", "c")) == expected
    assert set(block_rates(Phase(), ("a", "b", "c")).values()) == {1.0}


def test_each_block_moves_at_its_own_rate(cnn, params):
    """Adam's first step is 1 wherever the gradient is 1; the decay is scaled with it."""
    part = partition(cnn, "block2", "above_cut")
    phase = Phase(head_rate=4.0, block_decay=0.5, weight_decay=0.125)
    tx = make_optimizer(phase, part, cnn.backbone.BLOCKS)
    ones = jax.tree.map(jnp.ones_like, params | new_head(4, (2, 3)))
    rates = {"block1": 0.0, "block2": 0.125, "block3": 0.25, "dense": 0.5, "head": 4.0}
    rates["second"] = rates["head"]
    for name, update in _by_name(_updates(tx, ones, ones)).items():
        rate = rates[name.removeprefix("backbone/").split("/")[0]]
        # An epsilon of 1e-7, in float32.
        assert_allclose(update, rate * (1.125 if name.endswith("kernel") else 1.0), rtol=1e-5)


def test_rates_apart_are_refused_where_the_head_alone_trains():
    head = Phase(cut="head", head_rate=2.0, block_decay=0.5)
    config = Config(data=Data(image_size=16), phases=(Phase(head_rate=2.0), head))
    check_config(config)  # the BatchNorms below the head train
    held = dataclasses.replace(
        config, freeze=dataclasses.replace(config.freeze, batch_norm="frozen")
    )
    with pytest.raises(InputError) as refused:
        check_config(held)
    said = str(refused.value)
    assert "phases.1.head_rate sets learning rates of blocks apart, and none trains" in said
    assert "phases.1.block_decay" in said
    assert "phases.0" not in said


# The moving average


def test_the_average_by_hand():
    """Its decay rises as in TensorFlow, to the one asked for: 2/11, 3/12, then 0.3 for good."""
    network = [8.0, 4.0, 2.0, 10.0]
    expected, average = 0.0, jnp.zeros(())
    for step, (value, decay) in enumerate(zip(network, (2 / 11, 3 / 12, 0.3, 0.3), strict=True), 1):
        expected = decay * expected + (1 - decay) * value
        average = averaged(average, jnp.asarray(value), jnp.int32(step), 0.3)
        assert_allclose(average, expected, rtol=1e-6)


def test_the_average_of_what_stays_is_the_same_to_the_bit():
    rng = np.random.default_rng(0)
    fixed = jnp.asarray(rng.normal(size=10_000), jnp.float32)
    now = fixed
    for step in (1, 7, 1000, 1_000_000):
        now = jax.jit(averaged, static_argnums=3)(now, fixed, jnp.int32(step), 0.995)
    assert_array_equal(now, fixed)
