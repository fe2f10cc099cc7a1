"""What a map learns from outlines: its loss by hand, and what has no say in it."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.augment.mixing import mix
from fracjax.config import Augment, Freeze, Loss, Phase
from fracjax.models.feature_pyramid import PRIOR
from fracjax.training.outline_loss import cell_loss, marks_of, mean_of_cells, on_cells
from tests.training.gradient_steps import RATE, first_batch, gradient_step


@pytest.fixture(scope="module")
def still(config):
    """Without anything random."""
    return dataclasses.replace(
        config,
        augment=Augment(),
        model=dataclasses.replace(config.model, dropout=0.0, localise=True),
        loss=Loss(outline_weight=0.5, outline_positive_weight=3.0),
        phases=(Phase(cut="dense"),),
    )


def test_the_loss_of_a_cell_is_weighted_cross_entropy_and_0_where_nothing_is_known():
    logits = jnp.array([[[0.0, 2.0], [-1.0, 3.0]]])
    inside = jnp.array([[[1.0, 0.25], [0.0, 0.0]]])
    known = jnp.array([[[1.0, 1.0], [1.0, 0.0]]])
    p = 1 / (1 + np.exp(-np.asarray(logits)))
    found = cell_loss(logits, jnp.stack([inside, known], -1), 3.0)[0]
    expected = [
        [-3 * np.log(p[0, 0, 0]), -(0.75 * np.log(p[0, 0, 1]) + 0.75 * np.log(1 - p[0, 0, 1]))],
        [-np.log(1 - p[0, 1, 0]), 0],
    ]
    assert_allclose(found, expected, rtol=1e-5)
    alone = optax.sigmoid_binary_cross_entropy(logits, inside) * known
    assert_allclose(cell_loss(logits, jnp.stack([inside, known], -1), 1.0), alone, rtol=1e-5)


def test_a_cell_has_the_part_of_it_that_is_inside_and_none_beyond_the_image():
    mask = np.zeros((1, 6, 6, 1), np.uint8)
    mask[0, 0:3, 0:2] = 255
    found = on_cells(marks_of(mask, np.array([True])), stride=4, cells=2)[0]
    assert_allclose(found[..., 0], [[6 / 16, 0], [0, 0]])
    assert_allclose(found[..., 1], [[1, 0.5], [0.5, 0.25]])
    nothing = on_cells(marks_of(mask * 0, np.array([False])), stride=4, cells=2)
    assert not nothing.any()
    assert mean_of_cells(jnp.zeros((1, 2, 2)), nothing) == 0


def test_a_step_adds_the_weighted_mean_over_known_cells(still, outlined):
    """By hand, from the gradient of the bias of all cells, which begin at the prior.

    The last two studies of the batch do not count; of others nothing is known.
    """
    step, before = gradient_step(still)
    # No feature reaches the cells: they say the prior, wherever they are.
    pyramid = {**before.params["pyramid"]}
    pyramid["cell"] = {**pyramid["cell"], "kernel": jnp.zeros_like(pyramid["cell"]["kernel"])}
    before = dataclasses.replace(before, params=before.params | {"pyramid": pyramid})
    batch = {**first_batch(outlined), "valid": np.arange(8) < 6}
    after, metrics = step(before, batch)
    known = batch["outlined"] & batch["valid"]
    positive = known & (batch["label"] == 1)
    assert 0 < positive.sum() < known.sum() < 6
    assert int(metrics.outline_loss.count) == known.sum()
    part = positive.sum() * 2 / 16 / known.sum()  # of all known cells: two rows of sixteen
    loss = -(3.0 * part * math.log(PRIOR) + (1 - part) * math.log(1 - PRIOR))
    assert_allclose(metrics.outline_loss.compute(), loss, rtol=1e-4)
    gradient = 0.5 * (3.0 * part * (PRIOR - 1) + (1 - part) * PRIOR)
    moved = after.params["pyramid"]["cell"]["bias"] - before.params["pyramid"]["cell"]["bias"]
    assert_allclose(moved, [-RATE * gradient], rtol=1e-3)


def test_the_class_is_measured_as_without_a_map(still, outlined, examples):
    alone = dataclasses.replace(
        still, model=dataclasses.replace(still.model, localise=False), loss=Loss()
    )
    (step, ours), (step_alone, theirs) = gradient_step(still), gradient_step(alone)
    _, metrics = step(ours, first_batch(outlined))
    _, others = step_alone(theirs, first_batch(examples))
    assert metrics.sums().keys() == {"loss", "accuracy", "outline_loss"}
    assert others.sums().keys() == {"loss", "accuracy"}
    assert_allclose(metrics.loss.compute(), others.loss.compute(), rtol=1e-6)


def test_where_nothing_is_known_or_weighs_the_map_has_no_gradient_at_first(still, outlined):
    """Its evidence has a weight of 0 in the head: the class does not reach it yet."""
    unweighted = dataclasses.replace(still, loss=Loss(outline_weight=0.0))
    step, before = gradient_step(unweighted)
    after, _ = step(before, first_batch(outlined))
    jax.tree.map(assert_array_equal, after.params["pyramid"], before.params["pyramid"])
    assert (after.params["head"]["kernel"][-1] != 0).all()  # which the class does move
    step, before = gradient_step(still)
    batch = {
        **first_batch(outlined),
        "outlined": np.zeros(8, bool),
        "outline": np.zeros((8, 16, 16), "u1"),
    }
    after, metrics = step(before, batch)
    jax.tree.map(assert_array_equal, after.params["pyramid"], before.params["pyramid"])
    assert "outline_loss" not in metrics.means()  # 0/0


@pytest.mark.parametrize("way", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_outlines_of_a_mixed_pair_are_mixed_as_its_pictures_are(still, outlined, way):
    """Which the loss is linear in: mixed by fractions it is the loss of the mixed marks."""
    masks, known = outlined.outlines.of(np.arange(8))
    images = jnp.arange(8 * 16 * 16, dtype=jnp.float32).reshape(8, 16, 16, 1)  # no two alike
    marks = marks_of(masks[..., None], known)
    mixed = mix(jax.random.key(1), jnp.concatenate([images, marks], -1), Augment(**way))
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(8, 16, 16)), jnp.float32)
    own = on_cells(marks, stride=1, cells=16)
    found = cell_loss(logits, on_cells(mixed.images[..., 1:], stride=1, cells=16), 3.0)
    if "mixup" in way:
        expected = mixed.of_both(lambda targets: cell_loss(logits, targets, 3.0), own)
    else:  # pixel by pixel of one or of the other
        pasted = (mixed.images[..., 0] != images[..., 0])[..., None]
        expected = cell_loss(logits, jnp.where(pasted, own[mixed.partner], own), 3.0)
    assert 0 < float(mixed.fraction.min()) < 1
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_step_trains_on_mixed_outlines(still, outlined):
    config = dataclasses.replace(
        still, augment=Augment(mixup=0.4, cutmix=1.0), freeze=Freeze("frozen")
    )
    step, state = gradient_step(config)
    _, metrics = step(state, first_batch(outlined))
    assert math.isfinite(float(metrics.outline_loss.compute()))
