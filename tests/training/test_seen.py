"""What the network sees: mixed pairs and their loss, the colour map, views at test time."""

import dataclasses
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.augment.colour import apply_colormap
from fracjax.augment.mixing import mix
from fracjax.augment.policy import augment
from fracjax.config import Augment, Freeze, Phase, Views
from fracjax.errors import InputError
from fracjax.inference.model_bundle import ModelBundle
from fracjax.loading.streaming import BatchSource
from fracjax.runtime.randomness import stream
from fracjax.runtime.sharding import data_mesh
from fracjax.training import losses
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.checks import check_cached_views
from fracjax.training.forward import make_forward, predict_logits
from fracjax.training.model import init
from fracjax.training.step import StepSpec, pure_step

RATE = np.float32(1e-3)


def _still(config, **augment):
    """Without anything random but the augmentation."""
    return dataclasses.replace(
        config,
        augment=Augment(**augment),
        model=dataclasses.replace(config.model, dropout=0.0),
        freeze=Freeze(batch_norm="frozen"),
        phases=(Phase(cut="head"),),
    )


def _loss(config, batch, colormap="none"):
    network = init(config)
    coloured = dataclasses.replace(config, data=dataclasses.replace(config.data, colormap=colormap))
    recipe = StepSpec(network.training_view(0), network.optimizer(0), coloured)
    state = network.initial_state(0, data_mesh(1))
    _, metrics = jax.jit(pure_step(recipe))(state, batch, jax.random.key(4), RATE)
    forward = make_forward(network.model, image=network.image, mesh=data_mesh(1))
    logits = lambda images: forward(state.variables, images, None)  # noqa: E731
    return metrics.compute()["loss"], logits


def test_the_loss_of_a_mixed_pair_is_mixed_as_its_pictures_are(config, examples):
    still = _still(config, mixup=0.4, cutmix=1.0)
    weights = np.array([0.5, 2.0], np.float32)
    batch = BatchSource(examples, np.arange(8), 8, weights)[0]
    found, logits_of = _loss(still, batch)
    pairs = jax.random.fold_in(stream(jax.random.key(4), "mix"), 0)
    mixed = mix(pairs, jnp.asarray(batch["image"], jnp.float32), still.augment)
    assert np.ptp(mixed.fraction) > 0.05
    logits, label = logits_of(mixed.images), batch["label"]
    own, other = (
        losses.loss(logits, jnp.asarray(each)) * weights[each]
        for each in (label, label[np.asarray(mixed.partner)])
    )
    assert_allclose(found, np.mean(mixed.fraction * own + (1 - mixed.fraction) * other), rtol=1e-5)


def test_the_colour_map_is_seen_in_training_and_in_evaluation(config, examples):
    still = _still(config)
    batch = BatchSource(examples, np.arange(8), 8)[0]
    in_jet = apply_colormap(jnp.asarray(batch["image"], jnp.float32), "jet")
    assert in_jet.shape[-1] == 3
    found, logits_of = _loss(still, batch, "jet")
    expected = losses.loss(logits_of(in_jet), jnp.asarray(batch["label"]))
    assert_allclose(found, expected.mean(), rtol=1e-6)
    network, mesh = init(still), data_mesh(1)
    jet = make_forward(network.model, image=network.image, mesh=mesh, colormap="jet")
    state = network.initial_state(0, mesh)
    seen = jet(state.variables, jnp.asarray(batch["image"]), None)
    assert_allclose(seen, logits_of(in_jet), rtol=1e-6)


def test_coloured_pictures_reach_the_network_as_they_are(config, examples):
    colour = np.stack([np.asarray(examples.image)[..., 0] // d for d in (1, 2, 3)], axis=-1)
    coloured = dataclasses.replace(examples, image=colour)
    network, mesh = init(config), data_mesh(1)
    forward = make_forward(network.model, image=network.image, mesh=mesh)
    state = network.initial_state(0, mesh)
    found = predict_logits(forward, state.variables, coloured, batch_size=8, mesh=mesh)
    scaled = colour.astype(np.float32) / 255 * (network.image.high - network.image.low)
    expected = network.model(jnp.asarray(scaled + network.image.low))
    assert_allclose(found, expected, atol=1e-5)


# Views at test time


def _trained(views: Views, policy: Augment, config) -> ModelBundle:
    """A run whose network answers with the mean grey of what it sees."""

    def forward(variables, images, drawn_by):
        seen = images if drawn_by is None else augment(drawn_by[0], images, policy, drawn_by[1])
        return jnp.mean(seen.astype(jnp.float32), axis=(1, 2)) / 255

    meta = CheckpointMetadata(config, init(config).image, "hash", 1, [], 1, math.inf, 1)
    networks = ({"params": {}, "batch_stats": {}},)
    return ModelBundle(Path("x"), (meta,), networks, forward, data_mesh(1), 8, views)


def test_probabilities_are_the_mean_over_the_study_itself_and_drawn_views(config, examples):
    policy = Augment(brightness=0.5)
    one, three = (_trained(n, policy, config).predict(examples).fracture_score for n in (1, 3))
    grey = examples.images().mean(axis=(1, 2, 3)) / 255
    assert_allclose(one, 1 / (1 + np.exp(-grey)), rtol=1e-6)
    assert np.abs(three - one).max() > 1e-3
    assert_array_equal(_trained(3, policy, config).predict(examples).fracture_score, three)
    two = _trained(2, policy, config).predict(examples).fracture_score
    second, third = 2 * two - one, 3 * three - 2 * two  # what each view alone would say
    assert np.abs(second - third).max() > 1e-3
    # Brightness moves the mean grey of a picture by half the range at most.
    for view in (second, third):
        shift = np.log(view / (1 - view)) - grey
        assert np.abs(shift).max() < 0.5 + 1e-6
        assert len(np.unique(shift.round(5))) > 10  # each study by a draw of its own


def test_views_do_not_hang_on_how_the_studies_are_cut_into_batches(config, examples):
    """As when eight devices make up a batch of 12 to 16."""
    run = _trained(2, Augment(brightness=0.5), config)
    other = dataclasses.replace(run, batch_size=12)
    assert_allclose(
        run.predict(examples).fracture_score, other.predict(examples).fracture_score, rtol=1e-6
    )


def test_views_of_an_empty_policy_change_nothing(config, examples):
    one, three = (_trained(n, Augment(), config).predict(examples).fracture_score for n in (1, 3))
    assert_allclose(one, three, rtol=1e-12)


@pytest.mark.parametrize(("views", "seen"), [("flip", 2), ("dihedral", 8)])
def test_fixed_views_are_the_mean_probability_over_the_arrangements(config, examples, views, seen):
    """And not the probability of the mean logit; nothing is drawn, whatever the policy has."""

    def weigh(images):  # a mean that knows left from right and top from bottom
        ramp = np.linspace(0, 1, 16)
        weight = ramp[:, None] ** 2 + 3 * ramp
        return ((images * weight[..., None]).mean(axis=(-3, -2, -1)) - 120) / 10

    def forward(variables, images, drawn_by):
        assert drawn_by is None
        with jax.numpy_rank_promotion("allow"):
            return weigh(jnp.asarray(images, jnp.float32))[:, None]

    run = _trained(views, Augment(brightness=0.5), config)
    run = dataclasses.replace(run, forward=forward)
    images = examples.images().astype(np.float64)
    turns = [np.rot90(images, k, axes=(1, 2)) for k in range(4)]
    turns = [turn[:, :, ::step] for turn in turns for step in (1, -1)]
    each = np.array([1 / (1 + np.exp(-weigh(turn))) for turn in turns[:seen]])
    assert np.ptp(each, axis=0).max() > 0.01
    found = run.predict(examples).fracture_score
    assert_allclose(found, each.mean(axis=0), rtol=1e-5)
    mean_logit = np.log(each / (1 - each)).mean(axis=0)
    assert np.abs(found - 1 / (1 + np.exp(-mean_logit))).max() > 1e-4
    # As `predict` asks for them: batch by batch, the picture as it is before all others.
    fetched = jax.device_get(run.logits(jnp.asarray(examples.images())))
    assert [len(views) for views in fetched] == [seen]
    assert_allclose(run.probabilities_of(fetched)[:, 1], found, rtol=1e-5)
    assert_allclose(1 / (1 + np.exp(-fetched[0][0][:, 0])), each[0], rtol=1e-5)


def test_cached_views_cannot_be_mixed_and_the_advice_works(config):
    cached = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, dropout=0.0),
        freeze=Freeze(batch_norm="above_cut", cached_views=2),
        augment=Augment(mixup=0.2),
    )
    with pytest.raises(InputError, match=r"--augment.mixup 0 --augment.cutmix 0"):
        check_cached_views(cached)
    check_cached_views(dataclasses.replace(cached, augment=Augment()))
